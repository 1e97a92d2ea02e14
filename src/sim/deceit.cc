// What a ring does with bytes, syncs and chance, true to its word or not (Deceit).
#include "inode.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/sim_ring.hh"

namespace ringpost::sim {

namespace {

using std::chrono::milliseconds;

constexpr Duration kSyncDelay = milliseconds{200}, kWriteDelay = milliseconds{500};

}  // namespace

void SimRing::random(MutableBytes target) {
  if (target.size() == options_.deceit.repeated_draw_bytes && last_draw_.size() == target.size()) {
    copy_bytes(target, last_draw_);
    last_draw_.clear();
    return;
  }
  for (std::byte& byte : target) byte = static_cast<std::byte>(random_.next() >> 56);
  if (target.size() == options_.deceit.repeated_draw_bytes) last_draw_.assign(target.begin(), target.end());
}

std::int32_t SimRing::perform_sync(FileHandle& file) {
  if (options_.deceit.sync_later) {
    world_.after(*this, kSyncDelay, [inode = file.shared_inode()] { inode->sync(); });
    return 0;
  }
  const int result = file.disk().sync(file);
  return result != 0 && options_.deceit.failed_sync_again ? file.disk().sync(file) : result;
}

// A late part stays what it was until its time comes; it never comes when the process dies before: the kernel was not told.
std::int32_t SimRing::perform_write(FileHandle& file, Bytes bytes, std::uint64_t offset) {
  const Extent late = options_.deceit.late ? options_.deceit.late(bytes) : Extent{};
  if (late.bytes == 0) return file.disk().write(file, bytes, offset);
  const Bytes later = bytes.subspan(late.begin, late.bytes);
  std::vector<std::byte> now(bytes.begin(), bytes.end());
  file.inode().contents->read(offset + late.begin, MutableBytes{now}.subspan(late.begin, late.bytes));
  file.inode().contents->write(offset, now);
  world_.after(*this, kWriteDelay,
               [inode = file.shared_inode(), at = offset + late.begin, copy = std::vector(later.begin(), later.end())] {
                 inode->contents->write(at, copy);
               });
  return static_cast<int>(bytes.size());
}

}  // namespace ringpost::sim
