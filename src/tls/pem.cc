#include "tls/pem.hh"

#include <cstdint>
#include <string>

namespace ringpost::tls {

namespace {

constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::vector<PemBlock>> pem_blocks(std::string_view file) {
  std::vector<PemBlock> blocks;
  for (std::size_t from = 0; (from = file.find(kBegin, from)) != file.npos;) {
    const std::size_t label = from + kBegin.size(), dashes = file.find(kDashes, label);
    if (dashes == file.npos) return std::nullopt;
    const std::string_view name = file.substr(label, dashes - label);
    const std::string last = std::string{kEnd} + std::string{name} + std::string{kDashes};
    const std::size_t end = file.find(last, dashes);
    if (end == file.npos) return std::nullopt;
    blocks.push_back({name, file.substr(from, end + last.size() - from)});
    from = end + last.size();
  }
  return blocks;
}

std::optional<std::vector<std::byte>> pem_bytes(const PemBlock& block) {
  std::string_view body = block.text;
  body.remove_prefix(kBegin.size() + block.label.size() + kDashes.size());
  body.remove_suffix(kEnd.size() + block.label.size() + kDashes.size());
  std::vector<std::byte> bytes;
  bytes.reserve(body.size() * 3 / 4);
  std::uint32_t bits = 0;
  std::size_t digits = 0, padding = 0;
  for (char c : body) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int value = sextet(c);
    if (value < 0 || padding > 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++digits % 4 == 0)
      for (int shift = 16; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::byte>(bits >> shift & 0xff));
  }
  const std::size_t rest = digits % 4;
  if (rest == 1 || padding != (rest == 0 ? 0 : 4 - rest)) return std::nullopt;
  if (rest == 2) bytes.push_back(static_cast<std::byte>(bits >> 4 & 0xff));
  if (rest == 3) {
    bytes.push_back(static_cast<std::byte>(bits >> 10 & 0xff));
    bytes.push_back(static_cast<std::byte>(bits >> 2 & 0xff));
  }
  return bytes;
}

}  // namespace ringpost::tls
