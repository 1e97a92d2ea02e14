// The order in which messages came, as their ids say it.
#pragma once

#include <cstdint>

#include "ringpost/base/id.hh"

namespace ringpost::shard {

inline constexpr std::size_t kOrderBytes = 6;

/// The first bytes of an id grow with the log, so that messages that came together lie together in the index, and a commit of many
/// new ones touches few pages. They say no more than the place in the log does; the others are random.
inline void put_order(MessageId& id, std::uint64_t group) {
  for (std::size_t i = 0; i < kOrderBytes; ++i) id.bytes[i] = static_cast<std::byte>(group >> (40 - 8 * i));
}

/// The group that put_order() was told.
inline std::uint64_t order_of(const MessageId& id) {
  std::uint64_t group = 0;
  for (std::size_t i = 0; i < kOrderBytes; ++i) group = group << 8 | std::to_integer<std::uint64_t>(id.bytes[i]);
  return group;
}

}  // namespace ringpost::shard
