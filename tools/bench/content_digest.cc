#include "bench/content_digest.hh"

#include <algorithm>
#include <charconv>
#include <new>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ringpost::bench {

namespace {

constexpr std::string_view kReceivedField = "Received", kEmptyLine = "\r\n\r\n";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// The value behind "name:" when `line` starts such a field (blanks before the colon as RFC 5322 section 4.5 has them).
std::optional<std::string_view> field_value(std::string_view line, std::string_view name) {
  if (line.size() <= name.size()) return std::nullopt;
  if (!std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) { return lower(a) == lower(b); }))
    return std::nullopt;
  line.remove_prefix(name.size());
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  if (line.empty() || line.front() != ':') return std::nullopt;
  line.remove_prefix(1);
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  return line;
}

/// Bytes of the header at the start of `text`, its empty line included; `from` bytes are known to hold no end.
std::optional<std::size_t> header_size(std::string_view text, std::size_t from) {
  if (text.starts_with("\r\n")) return 2;
  std::size_t end = text.find(kEmptyLine, from);
  if (end == text.npos) return std::nullopt;
  return end + kEmptyLine.size();
}

XXH3_state_t& state_of(std::byte* storage) { return *std::launder(reinterpret_cast<XXH3_state_t*>(storage)); }

}  // namespace

bool is_token(std::string_view text) {
  if (text.empty() || text.size() > kTokenBytesMax) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

std::string ContentHash::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::uint64_t half : {high, low})
    for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kDigits[(half >> shift) & 15]);
  return text;
}

std::optional<ContentHash> ContentHash::from_hex(std::string_view hex) {
  if (hex.size() != kHexChars) return std::nullopt;
  auto half = [&](std::size_t at, std::uint64_t& value) {
    const char* end = hex.data() + at + 16;
    auto [stopped, error] = std::from_chars(hex.data() + at, end, value, 16);
    return error == std::errc{} && stopped == end && hex[at] != '-';
  };
  ContentHash hash;
  if (!half(0, hash.high) || !half(16, hash.low)) return std::nullopt;
  return hash;
}

void ContentDigest::begin() {
  static_assert(sizeof(XXH3_state_t) == kStateBytes && alignof(XXH3_state_t) <= kStateAlignment);
  XXH3_128bits_reset(::new (state_) XXH3_state_t);
  in_body_ = false;
  header_.clear();
  token_ = "-";
  size_ = received_bytes_ = 0;
  received_fields_ = 0;
}

void ContentDigest::feed(Bytes piece) {
  std::string_view text = as_text(piece);
  if (in_body_) return hash(text);
  if (header_.empty()) {  // nearly always the whole header is in the first piece: no copy
    if (auto size = header_size(text.substr(0, kHeaderBytesMax), 0)) {
      end_header(text.substr(0, *size));
      return hash(text.substr(*size));
    }
  }
  // The end may lie across the seam of two pieces.
  std::size_t known = header_.size() < kEmptyLine.size() ? 0 : header_.size() - (kEmptyLine.size() - 1);
  std::size_t before = header_.size();
  std::size_t room = kHeaderBytesMax - before;
  header_.append(text.substr(0, room));
  auto size = header_size(header_, known);
  if (!size && header_.size() < kHeaderBytesMax) return;
  if (size) header_.resize(*size);
  end_header(header_);
  hash(text.substr(header_.size() - before));
}

ContentFacts ContentDigest::finish() {
  if (!in_body_) end_header(header_);
  XXH128_hash_t hash = XXH3_128bits_digest(&state_of(state_));
  return {.token = token_,
          .size = size_,
          .received_bytes = received_bytes_,
          .received_fields = received_fields_,
          .hash = {hash.high64, hash.low64}};
}

// Hashes the header without its topmost Received field, and takes the token from it.
void ContentDigest::end_header(std::string_view header) {
  in_body_ = true;
  bool in_received = false, has_token = false;
  std::size_t received_from = header.size(), received_to = header.size();
  for (std::size_t at = 0; at < header.size();) {
    std::size_t end = header.find("\r\n", at);
    std::size_t next = end == header.npos ? header.size() : end + 2;
    std::string_view line = header.substr(at, (end == header.npos ? header.size() : end) - at);
    bool continues = !line.empty() && is_blank(line.front());
    if (in_received && !continues) {
      in_received = false;
      received_to = at;
    }
    if (!continues && field_value(line, kReceivedField)) {
      if (received_fields_++ == 0) {
        in_received = true;
        received_from = at;
      }
    } else if (auto value = continues || has_token ? std::nullopt : field_value(line, kTokenField); value && is_token(*value)) {
      has_token = true;
      token_ = *value;
    }
    at = next;
  }
  received_bytes_ = received_to - received_from;
  hash(header.substr(0, received_from));
  hash(header.substr(received_to));
}

void ContentDigest::hash(std::string_view bytes) {
  if (bytes.empty()) return;
  XXH3_128bits_update(&state_of(state_), bytes.data(), bytes.size());
  size_ += bytes.size();
}

}  // namespace ringpost::bench
