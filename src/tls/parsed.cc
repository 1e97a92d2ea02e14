#include "tls/parsed.hh"

#include <algorithm>

#include "tls/decoded.hh"

namespace ringpost::tls {

namespace {

std::optional<KeyKind> kind_of(word32 algorithm) {
  if (algorithm == RSAk) return KeyKind::rsa;
  if (algorithm == ECDSAk) return KeyKind::ecdsa;
  return std::nullopt;
}

/// `count` decimal digits at the front of `text`, which loses them. -1: they are none.
int digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return -1;
    value = 10 * value + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

std::vector<std::string> names_in(const DNS_entry* entry, int type) {
  std::vector<std::string> names;
  for (; entry; entry = entry->next) {
    if (entry->type != type || entry->len <= 0) continue;
    const std::string_view name{entry->name, static_cast<std::size_t>(entry->len)};
    if (name.find('\0') == name.npos) names.emplace_back(name);
  }
  return names;
}

}  // namespace

std::optional<WallTime> parse_time(Bytes der) {
  constexpr std::byte kUtcTime{23}, kGeneralizedTime{24};
  if (der.size() < 2 || der.size() != 2 + std::to_integer<std::size_t>(der[1])) return std::nullopt;
  const bool short_year = der[0] == kUtcTime;
  if (!short_year && der[0] != kGeneralizedTime) return std::nullopt;
  std::string_view text = as_text(der.subspan(2));
  int year = digits(text, short_year ? 2 : 4);
  if (year < 0) return std::nullopt;
  if (short_year) year += year < 50 ? 2000 : 1900;
  const int month = digits(text, 2), day = digits(text, 2), hour = digits(text, 2), minute = digits(text, 2),
            second = digits(text, 2);
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || text != "Z")
    return std::nullopt;
  // Nanoseconds of 64 bits end in 2262; "no end" is written as the year 9999.
  if (year > 2261) return WallTime::max();
  if (year < 1678) return WallTime::min();
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second};
}

std::optional<Parsed> parse_der(Bytes der) {
  const DecodedPtr decoded = decode(der);
  if (!decoded) return std::nullopt;
  Parsed parsed;
  static_assert(sizeof decoded->subjectHash >= sizeof(NameHash) && sizeof decoded->issuerHash >= sizeof(NameHash));
  std::copy_n(reinterpret_cast<const std::byte*>(decoded->subjectHash), parsed.subject.size(), parsed.subject.begin());
  std::copy_n(reinterpret_cast<const std::byte*>(decoded->issuerHash), parsed.issuer.size(), parsed.issuer.begin());
  parsed.self_signed = decoded->selfSigned != 0;
  parsed.may_issue = decoded->isCA && (!decoded->extKeyUsageSet || (decoded->extKeyUsage & KEYUSE_KEY_CERT_SIGN) != 0);
  if (decoded->pathLengthSet) parsed.authorities_below = decoded->pathLength;
  parsed.may_serve = !decoded->extExtKeyUsageSet || (decoded->extExtKeyUsage & (EXTKEYUSE_ANY | EXTKEYUSE_SERVER_AUTH)) != 0;
  parsed.may_ask = !decoded->extExtKeyUsageSet || (decoded->extExtKeyUsage & (EXTKEYUSE_ANY | EXTKEYUSE_CLIENT_AUTH)) != 0;
  parsed.kind = kind_of(decoded->keyOID);
  auto time_at = [](const byte* at, int size) {
    return parse_time({reinterpret_cast<const std::byte*>(at), static_cast<std::size_t>(size)});
  };
  const auto begin = time_at(decoded->beforeDate, decoded->beforeDateLen),
             end = time_at(decoded->afterDate, decoded->afterDateLen);
  if (!begin || !end) return std::nullopt;
  parsed.not_before = *begin;
  parsed.not_after = *end;
  parsed.hosts = names_in(decoded->altNames, ASN_DNS_TYPE);
  parsed.mailboxes = names_in(decoded->altEmailNames, ASN_RFC822_TYPE);
  return parsed;
}

}  // namespace ringpost::tls
