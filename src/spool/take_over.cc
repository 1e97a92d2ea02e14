// Filling a new log with messages of another one.
#include "ringpost/spool/log.hh"
#include "segments.hh"

namespace ringpost::spool {

using runtime::Task;

Task<Result<Ticket>> Log::take_over(crypto::RecordView record, Scheduling scheduling, ChunkSource& chunks) {
  Chunks copies;
  for (std::size_t i = 0; i < scheduling.chunks.size(); ++i) {
    Result<crypto::RecordView> chunk = co_await chunks.chunk(i);
    if (!chunk) co_return std::unexpected(chunk.error());
    Result<Room> room = co_await reserve(chunk->frame().length, Use::mail);
    if (!room) co_return std::unexpected(room.error());
    room->add_copied_chunk(copies, *chunk);
    room->commit();
  }
  const std::vector<Position> places(copies.positions_.begin(), copies.positions_.end());
  scheduling.chunks = places;
  scheduling.copied_from = 0;
  Result<Room> room = co_await reserve(Room::bytes_of_copy(record, scheduling), Use::mail);
  if (!room) co_return std::unexpected(room.error());
  if (!places.empty() && has_failed(copies.first_group_, copies.last_group_)) co_return std::unexpected(Error{Errc::io});
  room->add_copied_message(record, scheduling);
  const Ticket ticket = room->commit();
  copies.positions_.clear();  // they are the message's own from here on
  if (!places.empty()) chunks_[record.frame().message] = extents_of(places);
  co_return ticket;
}

}  // namespace ringpost::spool
