// What the tests of the index share: a ring, a directory, made-up entries, and a plain map as the model.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>

#include "ringpost/base/prng.hh"
#include "ringpost/index/index.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"

#define CO_ASSERT(condition)                                   \
  do {                                                         \
    const bool co_assert_holds = static_cast<bool>(condition); \
    EXPECT_TRUE(co_assert_holds) << #condition;                \
    if (!co_assert_holds) co_return;                           \
  } while (false)

namespace ringpost::index {

using Model = std::map<MessageId, Entry>;

inline const std::vector<std::byte> kMetadataKey(32, std::byte{0x42});
inline const StoreId kStore{{std::byte{1}, std::byte{2}}};
inline const PartitionId kPartition{{std::byte{3}, std::byte{4}}};
/// All made-up times lie within a day after this.
inline constexpr WallTime kSomeDay{std::chrono::seconds{1'800'000'000}};

template <typename IdType>
IdType random_id(Prng& prng) {
  IdType id;
  store_le(id.bytes.data(), prng.next());
  store_le(id.bytes.data() + 8, prng.next());
  return id;
}

inline Entry random_entry(Prng& prng, const MessageId& id) {
  Entry entry{.id = id};
  entry.place = {1 + prng.below(9), static_cast<std::uint32_t>(8 * prng.below(1 << 20)),
                 static_cast<std::uint32_t>(8 * (1 + prng.below(8000)))};
  entry.revision = static_cast<std::uint32_t>(prng.below(5));
  entry.size = prng.below(1 << 26);
  entry.arrived = kSomeDay - std::chrono::nanoseconds(prng.below(1'000'000'000'000));
  entry.due = kSomeDay + std::chrono::nanoseconds(prng.below(86'400'000'000'000));
  entry.held = prng.one_in(5);
  entry.mail_class = static_cast<spool::MailClass>(1 + prng.below(4));
  if (prng.one_in(2)) entry.waited = {static_cast<std::uint32_t>(prng.below(1u << 31)), prng.one_in(2)};
  if (prng.one_in(4))
    entry.terms = {.by_s = static_cast<std::int32_t>(prng.below(1000)) - 500, .when_late = spool::WhenLate::notify, .trace = prng.one_in(2)};
  if (prng.one_in(3))
    entry.words = {1 + prng.below(1'000'000), static_cast<std::uint32_t>(8 * prng.below(1 << 20)), static_cast<std::uint32_t>(8 * (1 + prng.below(100)))};
  if (!prng.one_in(3))
    for (std::byte& byte : entry.destination) byte = static_cast<std::byte>(1 + prng.below(255));
  for (std::uint64_t generation = prng.one_in(4) ? prng.below(1000) : 0; generation > 0; generation -= 1 + prng.below(generation))
    entry.chunks.insert(entry.chunks.begin(), {generation, 1 + static_cast<std::uint32_t>(prng.below(16)), 1 + prng.below(1 << 20)});
  const std::uint64_t recipients = 1 + (prng.one_in(20) ? prng.below(300) : prng.below(3));
  for (std::uint64_t i = 0; i < recipients; ++i) {
    spool::RecipientStatus status;
    status.state = static_cast<spool::RecipientState>(prng.below(4));
    if (!prng.one_in(3)) {
      status.attempts = static_cast<std::uint8_t>(prng.below(256));
      status.reason = static_cast<event::Reason>(prng.below(event::kReasonCount));
      status.reply = {static_cast<std::uint16_t>(200 + prng.below(400)), static_cast<std::uint16_t>(prng.below(6)),
                      static_cast<std::uint16_t>(prng.below(1000)), static_cast<std::uint16_t>(prng.below(1000))};
      if (prng.one_in(2)) status.host = {IpAddress::from_ipv4(static_cast<std::uint32_t>(prng.below(1000))), static_cast<std::uint16_t>(1 + prng.below(99))};
    }
    entry.recipients.push_back(status);
  }
  return entry;
}
inline Entry random_entry(Prng& prng) { return random_entry(prng, random_id<MessageId>(prng)); }

class Collector {
 public:
  void on_entry(Entry&& entry) {
    const MessageId id = entry.id;
    if (!order.empty()) EXPECT_LT(order.back(), id);
    order.push_back(id);
    EXPECT_TRUE(entries.emplace(id, std::move(entry)).second) << "visited twice";
  }
  Model entries;
  std::vector<MessageId> order;
};

/// Every entry, page by page.
inline runtime::Task<Result<>> visit_all(Index& index, Collector& collector, std::size_t limit = 97) {
  for (MessageId after{};;) {
    Result<std::vector<Entry>> page = co_await index.page(after, limit);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) co_return Result<>{};
    after = page->back().id;
    for (Entry& entry : *page) collector.on_entry(std::move(entry));
  }
}

/// Index::open with the proof that its user has made beside other work.
inline runtime::Task<Result<Index::Opened>> proven(runtime::Task<Result<Index::Opened>> opening) {
  Result<Index::Opened> opened = co_await opening;
  if (!opened || opened->state != Opening::restored) co_return opened;
  Result<bool> good = co_await opened->index->prove();
  if (good && *good) co_return opened;
  Result<> made = co_await opened->index->reset();
  EXPECT_TRUE(made);
  opened->state = Opening::wrong;
  opened->mark = {};
  co_return opened;
}

class World {
 public:
  World() {
    auto made = runtime::UringRing::create({.entries = 64, .receive_buffers = 16});
    RP_ASSERT(made);
    ring_ = std::move(*made);
    RP_ASSERT(ring_->start());
  }
  runtime::UringRing& ring() { return *ring_; }
  void run(runtime::Task<void> task) {
    runtime::Scope scope(*ring_);
    scope.spawn(std::move(task));
    while (scope.running() > 0) ring_->run_once(std::chrono::milliseconds(1));
  }

 private:
  std::unique_ptr<runtime::UringRing> ring_;
};

class Directory {
 public:
  Directory() {
    std::string name = std::filesystem::temp_directory_path() / "ringpost-index-XXXXXX";
    RP_ASSERT(::mkdtemp(name.data()));
    path_ = name;
  }
  Directory(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string index() const { return path_ + "/index"; }
  std::string data() const { return index() + "/data.mdb"; }
  std::string mark() const { return index() + "/unproven"; }

 private:
  std::string path_;
};

}  // namespace ringpost::index
