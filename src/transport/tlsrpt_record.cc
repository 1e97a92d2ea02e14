#include <algorithm>

#include "ringpost/base/ascii.hh"
#include "ringpost/smtp/address.hh"
#include "ringpost/transport/tls_report.hh"
#include "transport/fields.hh"

namespace ringpost::transport {

namespace {

constexpr std::string_view kVersion = "v=TLSRPTv1";

std::optional<std::string_view> without_scheme(std::string_view uri, std::string_view scheme) {
  if (!equal_ignoring_case(uri.substr(0, scheme.size()), scheme)) return std::nullopt;
  return uri.substr(scheme.size());
}

/// Percent decoding (RFC 3986 section 2.1). Nothing: it is malformed.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      decoded.push_back(text[at]);
      continue;
    }
    if (text.size() - at < 3 || digit(text[at + 1]) < 0 || digit(text[at + 2]) < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(digit(text[at + 1]) * 16 + digit(text[at + 2])));
    at += 2;
  }
  return decoded;
}

constexpr std::string_view kHttps = "https://";

std::string_view authority_of(std::string_view rest) { return rest.substr(0, rest.find_first_of("/?#")); }

/// The host of an https URI, which names no user.
bool names_host(std::string_view rest) {
  std::string_view authority = authority_of(rest);
  const std::size_t colon = authority.find(':');
  if (colon != authority.npos) {
    const std::string_view port = authority.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) return false;
    authority = authority.substr(0, colon);
  }
  return smtp::parse_domain(authority) == smtp::AddressFault::none;
}

std::optional<ReportTarget> parse_target(std::string_view uri) {
  if (uri.find_first_of(" \t!") != uri.npos) return std::nullopt;
  if (const auto rest = without_scheme(uri, kHttps)) {
    if (!names_host(*rest)) return std::nullopt;
    return ReportTarget{ReportTarget::Kind::https, std::string{uri}};
  }
  if (const auto rest = without_scheme(uri, "mailto:")) {
    std::optional<std::string> mailbox = percent_decoded(rest->substr(0, rest->find('?')));
    if (!mailbox || !smtp::parse_mailbox(*mailbox, smtp::Utf8::refused).ok()) return std::nullopt;
    return ReportTarget{ReportTarget::Kind::mailto, std::move(*mailbox)};
  }
  return std::nullopt;
}

}  // namespace

std::string_view host_of(const ReportTarget& target) {
  const std::string_view authority = authority_of(std::string_view{target.text}.substr(kHttps.size()));
  return authority.substr(0, authority.find(':'));
}

std::vector<ReportTarget> parse_tlsrpt_records(std::span<const std::string> records) {
  std::vector<ReportTarget> targets;
  const auto fields = only_record(records, kVersion);
  if (!fields) return targets;
  for (const Field& field : *fields) {
    if (field.key != "rua") continue;
    for (std::string_view uris = field.value; !uris.empty() && targets.size() < kReportTargetsMax;) {
      std::optional<ReportTarget> target = parse_target(trimmed(cut(uris, ',')));
      if (target && std::ranges::find(targets, *target) == targets.end()) targets.push_back(std::move(*target));
    }
  }
  return targets;
}

}  // namespace ringpost::transport
