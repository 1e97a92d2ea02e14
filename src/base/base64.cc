#include "ringpost/base/base64.hh"

#include <array>

namespace ringpost {

namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::uint8_t, 256> values_of(std::string_view alphabet) {
  std::array<std::uint8_t, 256> values{};
  values.fill(255);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}
constexpr std::array<std::uint8_t, 256> kStandardValues = values_of(kStandard), kUrlValues = values_of(kUrl);

}  // namespace

std::optional<std::size_t> decode_base64(std::string_view text, MutableBytes target, Base64 form) {
  RP_ASSERT(target.size() >= base64_bytes_max(text.size()));
  if (form == Base64::standard) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  const auto& values = form == Base64::url ? kUrlValues : kStandardValues;
  std::uint32_t bits = 0;
  int have = 0;
  std::size_t written = 0;
  for (char c : text) {
    const std::uint8_t value = values[static_cast<unsigned char>(c)];
    if (value > 63) return std::nullopt;
    bits = bits << 6 | value;
    have += 6;
    if (have < 8) continue;
    have -= 8;
    target[written++] = static_cast<std::byte>(bits >> have & 0xff);
  }
  if ((bits & ((1U << have) - 1)) != 0) return std::nullopt;
  return written;
}

std::string encode_base64(Bytes bytes, Base64 form) {
  const std::string_view alphabet = form == Base64::url ? kUrl : kStandard;
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int have = 0;
  for (std::byte b : bytes) {
    bits = bits << 8 | std::to_integer<std::uint32_t>(b);
    for (have += 8; have >= 6;) {
      have -= 6;
      text.push_back(alphabet[bits >> have & 63]);
    }
  }
  if (have > 0) text.push_back(alphabet[bits << (6 - have) & 63]);
  if (form == Base64::standard) text.resize((text.size() + 3) / 4 * 4, '=');
  return text;
}

}  // namespace ringpost
