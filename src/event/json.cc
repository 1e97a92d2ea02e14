// JSON lines. Every value is a number, a fixed word, hexadecimal, or an address in digits, so only a setting's name and values
// need escaping at all.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <concepts>
#include <string>
#include <utility>

#include "fields.hh"
#include "ringpost/event/codec.hh"

namespace ringpost::event {
namespace {

/// Text that needs no escaping.
void append_word(std::string& out, std::string_view text) { out.append("\"").append(text).append("\""); }

bool is_plain(char octet) {
  auto value = static_cast<unsigned char>(octet);
  return value >= 0x20 && value < 0x7f && octet != '"' && octet != '\\';
}

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (std::ranges::all_of(text, is_plain)) return append_word(out, text);
  out += '"';
  for (char octet : text) {
    auto value = static_cast<unsigned char>(octet);
    if (is_plain(octet)) out += octet;
    else if (octet == '"' || octet == '\\') out.append({'\\', octet});
    else out.append("\\u00").append({kHex[value >> 4], kHex[value & 15]});
  }
  out += '"';
}

void append_value(std::string& out, std::integral auto number) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

template <std::size_t kWidth>
void append_padded(std::string& out, std::uint64_t number) {
  char digits[kWidth];
  for (std::size_t at = kWidth; at-- > 0; number /= 10) digits[at] = static_cast<char>('0' + number % 10);
  out.append(digits, kWidth);
}

/// RFC 3339 in UTC with nanoseconds.
void append_time(std::string& out, WallTime time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{time - day};
  out += '"';
  append_padded<4>(out, static_cast<std::uint64_t>(int{date.year()}));
  out += '-';
  append_padded<2>(out, unsigned{date.month()});
  out += '-';
  append_padded<2>(out, unsigned{date.day()});
  out += 'T';
  append_padded<2>(out, static_cast<std::uint64_t>(clock.hours().count()));
  out += ':';
  append_padded<2>(out, static_cast<std::uint64_t>(clock.minutes().count()));
  out += ':';
  append_padded<2>(out, static_cast<std::uint64_t>(clock.seconds().count()));
  out += '.';
  append_padded<9>(out, static_cast<std::uint64_t>(clock.subseconds().count()));
  out += "Z\"";
}

template <typename Tag>
void append_value(std::string& out, const Id<Tag>& id) {
  out += '"';
  append_hex(out, id.bytes);
  out += '"';
}
void append_value(std::string& out, const IpAddress& address) {
  char text[IpAddress::kTextMax];
  append_word(out, address.text(text));
}
void append_value(std::string& out, const Host& host) {
  char text[SocketAddress::kTextMax];
  append_word(out, SocketAddress{host.ip, host.port}.text(text));
}
void append_value(std::string& out, const SettingText& text) { append_string(out, text.view()); }
void append_value(std::string& out, Reason reason) { append_word(out, name_of(reason)); }
void append_value(std::string& out, Authentication authentication) { append_word(out, name_of(authentication)); }
std::string suite_text(std::uint16_t suite) {
  constexpr std::pair<std::uint16_t, std::string_view> kNames[] = {
      {0x1301, "TLS_AES_128_GCM_SHA256"},
      {0x1302, "TLS_AES_256_GCM_SHA384"},
      {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
      {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
      {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
      {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
      {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
      {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
      {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
  };
  for (const auto& [number, name] : kNames)
    if (number == suite) return std::string{name};
  return std::to_string(suite);
}

void append_value(std::string& out, const TlsResult& tls) {
  out += "{\"version\":";
  if (tls.version == 0) out += "null,\"suite\":null";
  else out.append(tls.version == 0x0304 ? "\"TLSv1.3\"" : "\"TLSv1.2\"").append(",\"suite\":\"").append(suite_text(tls.suite)).append("\"");
  out += ",\"policy\":";
  append_word(out, name_of(tls.policy));
  out.append(",\"verified\":").append(tls.verified ? "true" : "false").append(",\"why_not_better\":");
  if (tls.shortfall == TlsResult::Shortfall::none) out += "null";
  else append_word(out, name_of(tls.shortfall));
  out += '}';
}
void append_value(std::string& out, const ReplyCode& reply) {
  out += '"';
  append_value(out, reply.code);
  if (reply.enhanced_class != 0) {
    out += ' ';
    append_value(out, reply.enhanced_class);
    out += '.';
    append_value(out, reply.enhanced_subject);
    out += '.';
    append_value(out, reply.enhanced_detail);
  }
  out += '"';
}

}  // namespace

void append_json(const Event& event, std::string& out, SettingName setting_name) {
  out += "{\"v\":";
  append_value(out, kEventVersion);
  out += ",\"event\":";
  append_word(out, name_of(event.kind));
  out += ",\"class\":";
  append_word(out, name_of(class_of(event.kind)));
  out += ",\"incarnation\":";
  append_value(out, event.stamp.incarnation);
  out += ",\"sequence\":";
  append_value(out, event.stamp.sequence);
  out += ",\"time\":";
  append_time(out, event.stamp.time);
  out += ",\"process\":";
  append_word(out, name_of(event.stamp.process));
  out += ",\"shard\":";
  append_value(out, event.stamp.shard);
  for_each_field(event, [&](Field field, std::string_view name, const auto& value) {
    if (!value) return;
    out.append(",\"").append(name).append("\":");
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(*value)>, std::uint32_t>) {
      std::string_view text = field == Field::setting && setting_name != nullptr ? setting_name(*value) : std::string_view{};
      if (!text.empty()) return append_string(out, text);
    }
    append_value(out, *value);
  });
  out += '}';
}

}  // namespace ringpost::event
