#include "ringpost/event/frame.hh"

#include <algorithm>
#include <utility>

namespace ringpost::event {
namespace {

constexpr std::uint32_t kBatchMagic = 0x42415052;  // "RPAB"
constexpr std::uint32_t kAckMagic = 0x4b415052;    // "RPAK"

// Both headers: magic u32, version u8, zero u8, count u16 (0 in an acknowledgement), incarnation, sequence u64.
constexpr std::size_t kVersionAt = 4, kZeroAt = 5, kCountAt = 6, kIncarnationAt = 8, kSequenceAt = 24;
static_assert(kSequenceAt + 8 == kBatchHeaderBytes && kSequenceAt + 8 == kAckBytes);

std::unexpected<Error> malformed(Malformed why) { return std::unexpected{Error{Errc::corrupt, std::to_underlying(why)}}; }

void put_header(std::byte* out, std::uint32_t magic, std::uint16_t count, const IncarnationId& incarnation,
                std::uint64_t sequence) {
  store_le(out, magic);
  store_le(out + kVersionAt, kFrameVersion);
  store_le(out + kZeroAt, std::uint8_t{0});
  store_le(out + kCountAt, count);
  std::memcpy(out + kIncarnationAt, incarnation.bytes.data(), incarnation.bytes.size());
  store_le(out + kSequenceAt, sequence);
}

struct Header {
  std::uint16_t count;
  IncarnationId incarnation;
  std::uint64_t sequence;
};

Result<Header> get_header(Bytes packet, std::uint32_t magic) {
  if (packet.size() < kBatchHeaderBytes) return malformed(Malformed::truncated);
  const std::byte* at = packet.data();
  if (load_le<std::uint32_t>(at) != magic) return malformed(Malformed::magic);
  if (load_le<std::uint8_t>(at + kVersionAt) != kFrameVersion) return malformed(Malformed::version);
  if (load_le<std::uint8_t>(at + kZeroAt) != 0) return malformed(Malformed::value);
  Header header{
      .count = load_le<std::uint16_t>(at + kCountAt), .incarnation = {}, .sequence = load_le<std::uint64_t>(at + kSequenceAt)};
  copy_bytes(header.incarnation.bytes, packet.subspan(kIncarnationAt, header.incarnation.bytes.size()));
  if (header.incarnation.is_zero()) return malformed(Malformed::value);
  return header;
}

}  // namespace

BatchWriter::BatchWriter(MutableBytes buffer, const IncarnationId& incarnation, std::uint64_t first_sequence) : buffer_(buffer) {
  RP_ASSERT(buffer.size() >= kBatchHeaderBytes + 2 + kEventBytesMax);
  put_header(buffer_.data(), kBatchMagic, 0, incarnation, first_sequence);
}

bool BatchWriter::add(Bytes encoded) {
  RP_ASSERT(encoded.size() <= kEventBytesMax);
  std::size_t room = std::min(buffer_.size(), kBatchBytesMax) - size_;
  if (count_ == kBatchEventsMax || room < 2 + encoded.size()) return false;
  store_le(buffer_.data() + size_, static_cast<std::uint16_t>(encoded.size()));
  copy_bytes(buffer_.subspan(size_ + 2), encoded);
  size_ += 2 + encoded.size();
  ++count_;
  return true;
}

Bytes BatchWriter::finish() {
  RP_ASSERT(count_ > 0);
  store_le(buffer_.data() + kCountAt, count_);
  return buffer_.first(size_);
}

Result<Batch> Batch::decode(Bytes packet) {
  Result<Header> header = get_header(packet, kBatchMagic);
  if (!header) return std::unexpected{header.error()};
  if (packet.size() > kBatchBytesMax || header->count == 0 || header->count > kBatchEventsMax) return malformed(Malformed::count);
  // No sequence may wrap around: the high-water mark would step back.
  if (header->sequence == 0 || header->sequence > UINT64_MAX - kBatchEventsMax) return malformed(Malformed::value);

  Batch batch;
  batch.incarnation_ = header->incarnation;
  batch.first_sequence_ = header->sequence;
  batch.count_ = header->count;
  batch.events_ = packet.subspan(kBatchHeaderBytes);
  Bytes rest = batch.events_;
  for (std::uint16_t i = 0; i < batch.count_; ++i) {
    if (rest.size() < 2) return malformed(Malformed::truncated);
    std::size_t size = load_le<std::uint16_t>(rest.data());
    rest = rest.subspan(2);
    if (rest.size() < size) return malformed(Malformed::truncated);
    Result<Event> event = event::decode(rest.first(size));
    if (!event) return std::unexpected{event.error()};
    if (event->stamp.incarnation != batch.incarnation_ || event->stamp.sequence != batch.first_sequence_ + i)
      return malformed(Malformed::count);
    rest = rest.subspan(size);
  }
  if (!rest.empty()) return malformed(Malformed::trailing);
  return batch;
}

std::array<std::byte, kAckBytes> encode(const Ack& ack) {
  std::array<std::byte, kAckBytes> packet;
  put_header(packet.data(), kAckMagic, 0, ack.incarnation, ack.durable_sequence);
  return packet;
}

Result<Ack> decode_ack(Bytes packet) {
  Result<Header> header = get_header(packet, kAckMagic);
  if (!header) return std::unexpected{header.error()};
  if (header->count != 0) return malformed(Malformed::value);
  if (packet.size() != kAckBytes) return malformed(Malformed::trailing);
  return Ack{header->incarnation, header->sequence};
}

}  // namespace ringpost::event
