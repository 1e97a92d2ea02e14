#include "tls/der.hh"

#include <cstdint>

namespace ringpost::tls {

namespace {

constexpr std::byte kSequence{0x30}, kBitString{0x03}, kExplicitVersion{0xa0};

struct Element {
  std::byte tag;
  Bytes whole;     ///< with tag and length
  Bytes contents;
};

/// The element at the front of `in`, which loses it. Only tags of one octet, and definite lengths.
std::optional<Element> take(Bytes& in) {
  if (in.size() < 2 || (in[0] & std::byte{0x1f}) == std::byte{0x1f}) return std::nullopt;
  std::size_t header = 2, length = std::to_integer<std::size_t>(in[1]);
  if (length >= 0x80) {
    const std::size_t octets = length & 0x7f;
    if (octets == 0 || octets > 4 || in.size() < 2 + octets) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < octets; ++i) length = length << 8 | std::to_integer<std::size_t>(in[2 + i]);
    header += octets;
  }
  if (in.size() - header < length) return std::nullopt;
  const Element element{in[0], in.first(header + length), in.subspan(header, length)};
  in = in.subspan(header + length);
  return element;
}

}  // namespace

bool is_sequence(Bytes der) {
  const auto element = take(der);
  return element && element->tag == kSequence && der.empty();
}

bool is_certificate(Bytes der) {
  const auto outer = take(der);
  if (!outer || outer->tag != kSequence || !der.empty()) return false;
  Bytes in = outer->contents;
  const auto body = take(in), algorithm = take(in), signature = take(in);
  if (!body || !algorithm || !signature || !in.empty()) return false;
  if (body->tag != kSequence || algorithm->tag != kSequence || signature->tag != kBitString) return false;
  for (Bytes parts = algorithm->contents; !parts.empty();)
    if (!take(parts)) return false;
  return signature->contents.size() > 1 && signature->contents[0] == std::byte{0};
}

std::optional<Bytes> public_key_info(Bytes certificate) {
  const auto outer = take(certificate);
  if (!outer || outer->tag != kSequence || !certificate.empty()) return std::nullopt;
  Bytes in = outer->contents;
  const auto body = take(in);
  if (!body || body->tag != kSequence) return std::nullopt;
  in = body->contents;
  auto element = take(in);
  if (element && element->tag == kExplicitVersion) element = take(in);
  // serial number, signature, issuer, validity, subject
  for (int passed = 0; passed < 5 && element; ++passed) element = take(in);
  if (!element || element->tag != kSequence) return std::nullopt;
  return element->whole;
}

}  // namespace ringpost::tls
