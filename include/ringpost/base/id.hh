// Random 128-bit ids: store, partition, incarnation, message, key. Formats, associated data and names use these.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost {

/// 16 random bytes. `Tag` keeps one kind of id from being passed for another.
template <typename Tag>
struct Id {
  std::array<std::byte, 16> bytes{};

  friend bool operator==(const Id&, const Id&) = default;
  friend auto operator<=>(const Id&, const Id&) = default;
  bool is_zero() const { return *this == Id{}; }

  /// The first eight bytes as an integer: uniformly distributed, so good enough to hash with.
  std::uint64_t prefix() const { return load_le<std::uint64_t>(bytes.data()); }
};

using StoreId = Id<struct StoreIdTag>;
using PartitionId = Id<struct PartitionIdTag>;
/// One start of one process.
using IncarnationId = Id<struct IncarnationIdTag>;
using MessageId = Id<struct MessageIdTag>;
/// One version of one key in keyd's tree.
using KeyId = Id<struct KeyIdTag>;

/// Two lower-case hexadecimal digits for each byte.
void append_hex(std::string& out, Bytes bytes);
std::string hex(Bytes bytes);
template <typename Tag>
std::string hex(const Id<Tag>& id) { return hex(Bytes{id.bytes}); }

/// Reads exactly `target.size()` bytes of hexadecimal (either case); false when `text` is anything else.
bool unhex(std::string_view text, MutableBytes target);
template <typename IdType>
std::optional<IdType> id_from_hex(std::string_view text) {
  IdType id;
  if (!unhex(text, id.bytes)) return std::nullopt;
  return id;
}

}  // namespace ringpost

template <typename Tag>
struct std::hash<ringpost::Id<Tag>> {
  std::size_t operator()(const ringpost::Id<Tag>& id) const noexcept { return id.prefix(); }
};
