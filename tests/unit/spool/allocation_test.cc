// After warm-up a small message goes into the log without one allocation.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/spool/log.hh"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  std::abort();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace ringpost::spool {
namespace {

using runtime::Task;

struct Nothing : RecoveryVisitor {
  void on_message(const RecoveredMessage&) override {}
  void on_outcome(const RecoveredOutcome&) override {}
  void on_audit(const IncarnationId&, std::uint64_t, Bytes) override {}
  void on_audit_acknowledged(const AuditMark&) override {}
  void on_damage(const Damage&) override {}
};

constexpr int kCount = 100;

struct Tally {
  int durable = 0;
  std::uint64_t allocated = 0;
};

Task<void> send(runtime::Ring& ring, Log& log, Tally& tally, std::span<const std::byte> body) {
  const RecipientStatus status;
  const Envelope::Recipient recipient{"bert@example.net", "", 0};
  const crypto::WrappedKey wrapped{};
  for (int i = 0; i < 2 * kCount; ++i) {
    if (i == kCount) tally.allocated = allocations.load();
    Key256 key;
    ring.random(key.mutable_view());
    MessageId id;
    ring.random(id.bytes);
    crypto::MessageSealer sealer(std::move(key), StoreId{}, id);
    MessageDraft draft;
    draft.sealer = &sealer;
    draft.keys = {&wrapped, 1};
    draft.scheduling.size = body.size();
    draft.scheduling.recipients = {&status, 1};
    draft.envelope.recipients = {&recipient, 1};
    draft.last_piece = body;
    Result<Room> room = co_await log.reserve(bytes_of(draft) + bytes_of_audit(100), Use::mail);
    if (!room) co_return;
    room->add_audit({}, static_cast<std::uint64_t>(i), body.first(100));
    const Result<Position> place = room->add_message(draft);
    const Ticket ticket = room->commit();
    Result<> done = co_await log.durable(ticket);
    log.release(id, *place);
    tally.durable += done.has_value();
  }
  tally.allocated = allocations.load() - tally.allocated;
}

Task<void> run(runtime::Ring& ring, LogOptions options, Tally& tally) {
  Nothing nothing;
  auto opened = co_await Log::open(ring, std::move(options), std::vector<std::byte>(32), nothing);
  EXPECT_TRUE(opened);
  if (!opened) co_return;
  Log& log = **opened;
  Result<> started = co_await log.start();
  EXPECT_TRUE(started);
  // Until the second spare is made: background work may allocate.
  while (log.space().segments_spare < 2) co_await ring.sleep_for(std::chrono::milliseconds{5});
  const std::vector<std::byte> body(4000, std::byte{'x'});
  co_await send(ring, log, tally, body);
  co_await log.stop();
}

TEST(HotPath, a_small_message_allocates_nothing) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "under AddressSanitizer coroutine frames come from the heap";
#endif
  std::string folder = (std::filesystem::temp_directory_path() / "ringpost-hot.XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  auto ring = runtime::UringRing::create({});
  if (!ring) GTEST_SKIP() << "no io_uring here";
  LogOptions options;
  options.directory = folder;
  options.direct = false;  // whatever the filesystem is
  options.segment_bytes = 8_MiB;
  for (MutableBytes& buffer : options.buffers) buffer = *(*ring)->make_io_buffer(256_KiB);
  ASSERT_TRUE((*ring)->start());
  Tally tally;
  {
    runtime::Scope scope(**ring);
    scope.spawn(run(**ring, options, tally));
    while (scope.running() > 0) (*ring)->run_once(std::chrono::milliseconds{20});
  }
  EXPECT_EQ(tally.durable, 2 * kCount);
  EXPECT_EQ(tally.allocated, 0u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ringpost::spool
