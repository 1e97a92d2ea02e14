// JSON lines. Every value is a number, a fixed word, hexadecimal, or an address in digits, so only a setting's name and values
// need escaping at all.
#include <chrono>
#include <string>
#include <utility>

#include "fields.hh"
#include "ringpost/event/codec.hh"

namespace ringpost::event {
namespace {

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (char octet : text) {
    auto value = static_cast<unsigned char>(octet);
    if (octet == '"' || octet == '\\') {
      out.append({'\\', octet});
    } else if (value < 0x20 || value >= 0x7f) {
      out.append("\\u00").append({kHex[value >> 4], kHex[value & 15]});
    } else {
      out += octet;
    }
  }
  out += '"';
}

void append_padded(std::string& out, std::uint64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  out.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

/// RFC 3339 in UTC with nanoseconds.
void append_time(std::string& out, WallTime time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{time - day};
  out += '"';
  append_padded(out, static_cast<std::uint64_t>(int{date.year()}), 4);
  out += '-';
  append_padded(out, unsigned{date.month()}, 2);
  out += '-';
  append_padded(out, unsigned{date.day()}, 2);
  out += 'T';
  append_padded(out, static_cast<std::uint64_t>(clock.hours().count()), 2);
  out += ':';
  append_padded(out, static_cast<std::uint64_t>(clock.minutes().count()), 2);
  out += ':';
  append_padded(out, static_cast<std::uint64_t>(clock.seconds().count()), 2);
  out += '.';
  append_padded(out, static_cast<std::uint64_t>(clock.subseconds().count()), 9);
  out += "Z\"";
}

template <std::integral Number>
void append_value(std::string& out, Number number) {
  out += std::to_string(number);
}
template <typename Tag>
void append_value(std::string& out, const Id<Tag>& id) {
  append_string(out, hex(id));
}
void append_value(std::string& out, const IpAddress& address) { append_string(out, address.text()); }
void append_value(std::string& out, const Host& host) { append_string(out, SocketAddress{host.ip, host.port}.text()); }
void append_value(std::string& out, const SettingText& text) { append_string(out, text.view()); }
void append_value(std::string& out, Reason reason) { append_string(out, name_of(reason)); }
void append_value(std::string& out, Authentication authentication) { append_string(out, name_of(authentication)); }
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
  append_string(out, name_of(tls.policy));
  out.append(",\"verified\":").append(tls.verified ? "true" : "false").append(",\"why_not_better\":");
  if (tls.shortfall == TlsResult::Shortfall::none) out += "null";
  else append_string(out, name_of(tls.shortfall));
  out += '}';
}
void append_value(std::string& out, const ReplyCode& reply) {
  std::string text = std::to_string(reply.code);
  if (reply.enhanced_class != 0) {
    text += " " + std::to_string(reply.enhanced_class) + "." + std::to_string(reply.enhanced_subject) + "." +
            std::to_string(reply.enhanced_detail);
  }
  append_string(out, text);
}

}  // namespace

void append_json(const Event& event, std::string& out, SettingName setting_name) {
  out += "{\"v\":";
  append_value(out, kEventVersion);
  out += ",\"event\":";
  append_string(out, name_of(event.kind));
  out += ",\"class\":";
  append_string(out, name_of(class_of(event.kind)));
  out += ",\"incarnation\":";
  append_value(out, event.stamp.incarnation);
  out += ",\"sequence\":";
  append_value(out, event.stamp.sequence);
  out += ",\"time\":";
  append_time(out, event.stamp.time);
  out += ",\"process\":";
  append_string(out, name_of(event.stamp.process));
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
