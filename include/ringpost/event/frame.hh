// What ringpostd and auditd say to each other on their SOCK_SEQPACKET socket: batches of events one way, acknowledgements
// the other. Format: docs/formats/audit-event.md.
#pragma once

#include <cstdint>

#include "ringpost/event/codec.hh"

namespace ringpost::event {

inline constexpr std::uint8_t kFrameVersion = 1;
inline constexpr std::size_t kBatchHeaderBytes = 32;
/// One packet; also the receiver's buffer size.
inline constexpr std::size_t kBatchBytesMax = 64 * 1024;
inline constexpr std::size_t kBatchEventsMax = 512;
inline constexpr std::size_t kAckBytes = 32;

/// Builds one batch in a caller's buffer of at least kBatchHeaderBytes + 2 + kEventBytesMax (usually kBatchBytesMax).
class BatchWriter {
 public:
  BatchWriter(MutableBytes buffer, const IncarnationId& incarnation, std::uint64_t first_sequence);

  /// Adds one encoded event: of this batch's incarnation, and the next sequence. False: full, nothing was added.
  bool add(Bytes encoded);
  std::uint16_t count() const { return count_; }
  /// The packet; at least one event must have been added. Lifetime: the buffer's.
  Bytes finish();

 private:
  MutableBytes buffer_;
  std::size_t size_ = kBatchHeaderBytes;
  std::uint16_t count_ = 0;
};

/// A received batch, checked whole: every event decodes, is of the batch's incarnation and follows the one before.
/// Lifetime: views the packet.
class Batch {
 public:
  /// Errors: corrupt, detail a Malformed.
  static Result<Batch> decode(Bytes packet);

  const IncarnationId& incarnation() const { return incarnation_; }
  std::uint64_t first_sequence() const { return first_sequence_; }
  std::uint64_t last_sequence() const { return first_sequence_ + count_ - 1; }
  std::uint16_t count() const { return count_; }

  /// Calls `visit(const Event&, Bytes encoded)` for each event in order.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::size_t at = 0;
    for (std::uint16_t i = 0; i < count_; ++i) {
      std::size_t size = load_le<std::uint16_t>(events_.data() + at);
      Bytes encoded = events_.subspan(at + 2, size);
      visit(*event::decode(encoded), encoded);
      at += 2 + size;
    }
  }

 private:
  IncarnationId incarnation_;
  std::uint64_t first_sequence_ = 0;
  std::uint16_t count_ = 0;
  Bytes events_;
};

/// "I have everything of this incarnation up to this sequence, synced."
struct Ack {
  IncarnationId incarnation;
  std::uint64_t durable_sequence = 0;  ///< 0: nothing yet
  friend bool operator==(const Ack&, const Ack&) = default;
};
std::array<std::byte, kAckBytes> encode(const Ack& ack);
/// Errors: corrupt, detail a Malformed.
Result<Ack> decode_ack(Bytes packet);

}  // namespace ringpost::event
