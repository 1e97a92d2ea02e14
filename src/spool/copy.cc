// Cleaning: moving what is alive out of generations that are mostly dead.
#include <algorithm>

#include <fcntl.h>

#include "ringpost/spool/log.hh"
#include "scan.hh"
#include "segment_file.hh"
#include "segments.hh"

namespace ringpost::spool {

using runtime::Task;

namespace {

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

/// Cleaning begins when fewer segments than this are free.
constexpr std::uint64_t kFreeSegmentsWanted = 4;

/// Whose records a segment holds.
class Owners final : public ScanSink {
 public:
  void group(const crypto::GroupHeader&, std::uint64_t) override {}
  void record(const crypto::RecordView& record, std::uint64_t, Bytes) override {
    const auto kind = static_cast<RecordKind>(record.frame().kind);
    if (kind == RecordKind::message || kind == RecordKind::chunk) ids.push_back(record.frame().message);
  }
  void damage(DamageKind, std::uint64_t, std::uint64_t, const std::optional<MessageId>&) override {}
  std::vector<MessageId> ids;
};

}  // namespace

std::uint64_t Log::cleaning_candidate() const {
  if (!started_) return 0;
  std::uint64_t free = segments_->spares() + segments_->growable_segments();
  for (const auto& segment : segments_->all()) free += segments_->is_dead(*segment) && !segment->tainted;
  if (free >= kFreeSegmentsWanted) return 0;
  // Benefit: the space that becomes free. Cost: what must be copied. A segment that is empty itself may wait for an older one.
  std::uint64_t best = 0;
  double best_ratio = 1.0;
  for (const auto& candidate : segments_->all()) {
    if (candidate->state != Segment::State::closed || candidate->live_records == 0) continue;
    std::uint64_t benefit = 0;
    for (const auto& other : segments_->all()) {
      if (other == candidate) {
        if (!segments_->is_needed(*other) && segments_->audits_acknowledged(*other)) benefit += other->bytes;
      } else if (!segments_->is_dead(*other) && segments_->is_dead_without(*other, candidate->generation)) {
        benefit += other->bytes;
      }
    }
    const double ratio = static_cast<double>(benefit) / static_cast<double>(candidate->live_bytes + crypto::kBlockBytes);
    if (ratio > best_ratio) {
      best_ratio = ratio;
      best = candidate->generation;
    }
  }
  return best;
}

Task<Result<std::vector<MessageId>>> Log::messages_in(std::uint64_t generation) {
  const Segment* segment = segments_->find(generation);
  if (!segment || segment->state != Segment::State::closed) co_return failure(Errc::not_found);
  const crypto::GenerationKeys keys = segments_->keys(generation, segment->salt);
  const std::set<std::uint64_t> none_abandoned;
  Owners owners;
  SegmentScan scan(keys, generation, segment->bytes, none_abandoned, SegmentScan::Extent::whole, owners);
  const AlignedBuffer window(kWindowBytes);
  int pauses = 0;
  SegmentFile file(ring_, window.bytes(), segment->bytes, pauses);
  Result<> opened = co_await file.open(segments_->path(segment->number), segments_->open_flags(O_RDONLY));
  if (!opened) co_return std::unexpected(opened.error());
  while (const auto want = scan.want()) {
    if (const auto bytes = file.at(want->offset, want->size)) {
      scan.feed(*bytes);
      continue;
    }
    Result<> fetched = co_await file.fetch(want->offset, want->size);
    if (!fetched) scan.feed_unreadable();
  }
  co_await file.close();
  std::ranges::sort(owners.ids);
  const auto repeated = std::ranges::unique(owners.ids);
  owners.ids.erase(repeated.begin(), repeated.end());
  co_return std::move(owners.ids);
}

bool Log::has_chunks_in(const MessageId& message, std::uint64_t generation) const {
  const std::span<const Extent> chunks = chunks_of(message);
  return std::ranges::find(chunks, generation, &Extent::generation) != chunks.end();
}

Task<Result<Position>> Log::copy_forward(MessageId message, Position place, std::uint64_t generation, Scheduling scheduling) {
  const AlignedBuffer memory(read_bytes_for(place));
  Arrays arrays;
  Scheduling written;
  Result<crypto::RecordView> record = co_await read_message(message, place, memory.bytes(), arrays, written);
  if (!record) co_return std::unexpected(record.error());
  if (scheduling.recipients.size() != written.recipients.size()) co_return failure(Errc::invalid);

  // The pieces that lie in the generation, and the list of where all of them will lie.
  const std::vector<Position> before(written.chunks.begin(), written.chunks.end());
  std::vector<Position> after = before;
  Chunks copies;
  for (Position& chunk : after) {
    if (chunk.generation != generation) continue;
    const AlignedBuffer chunk_memory(read_bytes_for(chunk));
    Result<crypto::RecordView> source = co_await read_record(RecordKind::chunk, message, chunk, chunk_memory.bytes());
    if (!source) co_return std::unexpected(source.error());
    Result<Room> room = co_await reserve(source->frame().length, Use::upkeep);
    if (!room) co_return std::unexpected(room.error());
    chunk = room->add_copied_chunk(copies, *source);
    room->commit();
  }

  scheduling.chunks = after;
  scheduling.copied_from = place.generation;
  Result<Room> room = co_await reserve(Room::bytes_of_copy(*record, scheduling), Use::upkeep);
  if (!room) co_return std::unexpected(room.error());
  if (!copies.positions_.empty() && has_failed(copies.first_group_, copies.last_group_)) co_return failure(Errc::io);
  const Position copy = room->add_copied_message(*record, scheduling);
  const Ticket ticket = room->commit();
  Result<> done = co_await durable(ticket);
  if (!done) {
    segments_->let_go(copy);
    co_return std::unexpected(done.error());
  }
  // From here on the copies are the message's own, and the originals are garbage.
  copies.positions_.clear();
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i] != after[i]) segments_->let_go(before[i]);
  if (!after.empty()) chunks_[message] = extents_of(after);
  segments_->let_go(place);
  co_return copy;
}

}  // namespace ringpost::spool
