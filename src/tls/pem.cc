#include "tls/pem.hh"

#include <string>

#include "ringpost/base/base64.hh"

namespace ringpost::tls {

namespace {

constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";

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
  std::string digits;
  digits.reserve(body.size());
  for (char c : body)
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') digits.push_back(c);
  std::vector<std::byte> bytes(base64_bytes_max(digits.size()));
  const std::optional<std::size_t> size = decode_base64(digits, bytes);
  if (!size) return std::nullopt;
  bytes.resize(*size);
  return bytes;
}

}  // namespace ringpost::tls
