#include "uring_world.hh"

#include <cstdlib>
#include <filesystem>

namespace ringpost::runtime::contract {

std::unique_ptr<UringRing> started_ring(const UringOptions& options) {
  Missing missing;
  auto ring = UringRing::create(options, &missing);
  if (!ring) ADD_FAILURE() << missing.text();
  RP_ASSERT(ring);
  auto started = (*ring)->start();
  RP_ASSERT(started);
  return std::move(*ring);
}

namespace {
Task<void> run_and_stop(UringRing& ring, Task<void> task) {
  co_await task;
  ring.stop();
}
}  // namespace

void run_task(UringRing& ring, Task<void> task) {
  Scope scope(ring);
  scope.spawn(run_and_stop(ring, std::move(task)));
  ring.run();
}

UringWorld::UringWorld(const ContractOptions& options, bool submit_at_once) {
  for (auto& ring : rings_) {
    ring = started_ring({.entries = options.entries,
                         .completions = options.completions,
                         .receive_buffers = options.receive_buffers,
                         .receive_buffer_bytes = options.receive_buffer_bytes,
                         .submit_at_once = submit_at_once});
  }
}

UringWorld::~UringWorld() {
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

void UringWorld::drive(Task<void> task) {
  Scope scope(*rings_[0]);
  scope.spawn(std::move(task));
  while (scope.running() > 0) {
    rings_[0]->run_once(std::chrono::milliseconds(1));
    rings_[1]->run_once(Duration::zero());
  }
}

std::string UringWorld::directory() {
  if (directory_.empty()) {
    std::string name = std::filesystem::temp_directory_path() / "ringpost-ring-XXXXXX";
    RP_ASSERT(::mkdtemp(name.data()));
    directory_ = name;
  }
  return directory_;
}

std::uint64_t UringWorld::in_flight() {
  std::uint64_t count = 0;
  for (auto& ring : rings_) count += ring->stats().operations_in - ring->stats().completions_out;
  return count;
}

}  // namespace ringpost::runtime::contract
