// Views of bytes and the conversions between bytes, characters and integers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "ringpost/base/assert.hh"

namespace ringpost {

/// Read-only bytes somebody else owns. Never outlives its owner; copy it across an await.
using Bytes = std::span<const std::byte>;
/// Writable bytes somebody else owns.
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Copies `source` to the start of `target`, which must be large enough.
inline void copy_bytes(MutableBytes target, Bytes source) {
  RP_ASSERT(source.size() <= target.size());
  if (!source.empty()) std::memcpy(target.data(), source.data(), source.size());
}

/// Little-endian integers, the byte order of every Ringpost format.
template <typename Integer>
inline Integer load_le(const std::byte* from) {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename Integer>
inline void store_le(std::byte* to, Integer value) {
  std::memcpy(to, &value, sizeof value);
}

static_assert(std::endian::native == std::endian::little, "formats are little-endian and stored natively");

}  // namespace ringpost
