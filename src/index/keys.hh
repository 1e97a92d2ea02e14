// The keys of rows: all that an index shows in clear. Integers are big-endian here, so that bytes sort as the numbers do.
#pragma once

#include <bit>
#include <optional>

#include "ringpost/index/state.hh"
#include "ringpost/index/store.hh"

namespace ringpost::index {

inline constexpr std::array kHeadKey{std::byte{'h'}, std::byte{'e'}, std::byte{'a'}, std::byte{'d'}};

inline void store_be(std::byte* to, std::uint64_t value) { store_le(to, std::byteswap(value)); }
inline std::uint64_t load_be(const std::byte* from) { return std::byteswap(load_le<std::uint64_t>(from)); }

/// Where a scheduled entry stands.
inline DueCursor due_cursor(const Entry& entry) { return {due_bucket(entry.due), entry.id}; }

inline RowKey number_key(std::uint64_t number) {
  std::array<std::byte, 8> key;
  store_be(key.data(), number);
  return RowKey{key};
}

/// Bucket, 8 bytes | message id.
inline RowKey due_key(const DueCursor& due) {
  std::array<std::byte, 24> key;
  store_be(key.data(), due.bucket);
  copy_bytes(MutableBytes{key}.subspan(8), due.id.bytes);
  return RowKey{key};
}
/// In front of all keys of the bucket.
inline RowKey due_bucket_key(DueBucket bucket) { return number_key(bucket); }
inline std::optional<DueCursor> parse_due_key(Bytes key) {
  DueCursor due;
  if (key.size() != 8 + due.id.bytes.size()) return std::nullopt;
  due.bucket = load_be(key.data());
  copy_bytes(due.id.bytes, key.subspan(8));
  return due;
}

inline RowKey generation_key(std::uint64_t generation) { return number_key(generation); }
inline std::optional<std::uint64_t> parse_generation_key(Bytes key) {
  if (key.size() != 8) return std::nullopt;
  return load_be(key.data());
}

}  // namespace ringpost::index
