// The index on LMDB in the temporary directory: committing, opening, finding, and what an entry's encoding costs.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "ringpost/base/prng.hh"
#include "ringpost/index/index.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace {

using namespace ringpost;
using namespace ringpost::index;
using runtime::Task;

const std::vector<std::byte> kKey(32, std::byte{1});

Entry random_entry(Prng& prng) {
  Entry entry;
  store_le(entry.id.bytes.data(), prng.next());
  store_le(entry.id.bytes.data() + 8, prng.next());
  entry.place = {.generation = 1 + prng.below(64), .offset = static_cast<std::uint32_t>(prng.below(1 << 26)), .length = 4408};
  entry.size = prng.below(1 << 20);
  entry.due = WallTime{std::chrono::seconds{1'800'000'000 + prng.below(86'400)}};
  entry.recipients.resize(1 + prng.below(4));
  return entry;
}

/// A ring, a directory, and an index in it.
class World {
 public:
  World() {
    auto made = runtime::UringRing::create({.entries = 64, .receive_buffers = 16});
    RP_ASSERT(made);
    ring_ = std::move(*made);
    RP_ASSERT(ring_->start());
    std::string name = std::filesystem::temp_directory_path() / "ringpost-index-bench-XXXXXX";
    RP_ASSERT(::mkdtemp(name.data()));
    directory_ = name;
    open();
  }
  ~World() {
    index.reset();
    std::filesystem::remove_all(directory_);
  }
  void open(bool prove = true) {
    index.reset();
    run(open_index(prove));
  }
  void commit(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) {
      index->insert(random_entry(prng_));
    }
    run(commit_index());
  }
  void run(Task<void> task) {
    runtime::Scope scope(*ring_);
    scope.spawn(std::move(task));
    while (scope.running() > 0) ring_->run_once(std::chrono::milliseconds(1));
  }

  std::unique_ptr<Index> index;

 private:
  Task<void> open_index(bool prove) {
    auto opened = co_await Index::open(*ring_, directory_ + "/index", StoreId{}, PartitionId{}, kKey);
    RP_ASSERT(opened);
    index = std::move(opened->index);
    if (!prove || opened->state != Opening::restored) co_return;
    auto proven = co_await index->prove();
    RP_ASSERT(proven && *proven);
  }
  Task<void> commit_index() {
    auto committed = co_await index->commit({1, ++group_});
    RP_ASSERT(committed && *committed);
  }

  std::unique_ptr<runtime::UringRing> ring_;
  std::string directory_;
  Prng prng_{1};
  std::uint64_t group_ = 0;
};

void encode_and_decode(benchmark::State& state) {
  Prng prng(1);
  const Entry entry = random_entry(prng);
  std::vector<std::byte> bytes;
  for (auto _ : state) {
    bytes.clear();
    append_encoded(entry, bytes);
    benchmark::DoNotOptimize(decode_entry(entry.id, bytes));
  }
}
BENCHMARK(encode_and_decode);

void change_in_the_overlay(benchmark::State& state) {
  Prng prng(1);
  Overlay overlay;
  for (int i = 0; i < 10'000; ++i) overlay.insert(random_entry(prng));
  for (auto _ : state) {  // a message that comes and is delivered at once
    const Entry entry = random_entry(prng);
    overlay.insert(entry);
    overlay.erase(entry.id);
  }
}
BENCHMARK(change_in_the_overlay);

void commit_changes(benchmark::State& state) {
  World world;
  const auto count = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) world.commit(count);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(commit_changes)->Arg(1)->Arg(100)->Arg(10'000)->UseRealTime()->Unit(benchmark::kMillisecond);

void open_with_all_rows_checked(benchmark::State& state) {
  World world;
  world.commit(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) world.open();
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(open_with_all_rows_checked)->Arg(100'000)->UseRealTime()->Unit(benchmark::kMillisecond);

Task<void> visit_all(Index& index, std::size_t expected) {
  std::size_t count = 0;
  for (MessageId after{};;) {
    auto page = co_await index.page(after, 512);
    RP_ASSERT(page);
    if (page->empty()) break;
    count += page->size();
    after = page->back().id;
  }
  RP_ASSERT(count == expected);
}

void visit_every_entry(benchmark::State& state) {
  World world;
  const auto count = static_cast<std::size_t>(state.range(0));
  world.commit(count);
  for (auto _ : state) world.run(visit_all(*world.index, count));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(visit_every_entry)->Arg(100'000)->UseRealTime()->Unit(benchmark::kMillisecond);

Task<void> load_due(Index& index) {
  auto page = co_await index.due_before(WallTime{std::chrono::seconds{1'800'003'600}}, 1000);
  RP_ASSERT(page && page->entries.size() == 1000);
}

void a_thousand_due_messages(benchmark::State& state) {
  World world;
  world.commit(100'000);
  for (auto _ : state) world.run(load_due(*world.index));
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(a_thousand_due_messages)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
