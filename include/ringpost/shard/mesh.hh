// What the shards of one process say to each other: descriptors of operators' connections, permits and tokens of rates. Never mail, never keys.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ringpost/control/backend.hh"
#include "ringpost/runtime/mailbox.hh"

namespace ringpost::shard {

/// All of them are notes. Those about permits carry sums since a line began, so that one that is lost is made up for by the next.
struct MeshMessage {
  enum class Kind : std::uint8_t {
    control,         ///< descriptor, text: go on with this operator's connection
    permits_wanted,  ///< destination, line, wanted, limit, total returned: to the destination's home shard
    permits_granted, ///< destination, line, total granted, contended: from the home shard
    tokens_wanted,   ///< destination, line, total wanted, granted, limit and per (the rate): to the destination's home shard
    tokens_granted,  ///< destination, line, total granted: from the home shard
  };
  Kind kind{};
  bool contended = false;
  std::uint16_t text_bytes = 0;
  std::uint32_t wanted = 0;
  std::uint32_t limit = 0;   ///< what all shards together may hold
  std::uint64_t line = 0;    ///< counts the wanting shard's accounts of permits: sums of one mean nothing in another
  std::int32_t descriptor = -1;
  std::uint64_t destination = 0;
  std::uint64_t total = 0;
  std::uint64_t granted = 0;  ///< so far, as who wants tokens knows it
  Duration per{};
  std::array<char, control::kRequestBytesMax> text;
};

using Mesh = runtime::MailboxExchange<MeshMessage>;
using MeshBox = runtime::Mailbox<MeshMessage>;

}  // namespace ringpost::shard
