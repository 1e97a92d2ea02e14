// What is known of domains and TLS over restarts: sealed, whole or not at all.
#include "shard/transport_keeper.hh"

#include <gtest/gtest.h>

#include <optional>

#include "../drive.hh"
#include "ringpost/sim/disk.hh"

namespace ringpost::shard {
namespace {

constexpr const char* kDomain = "a-domain-of-somebody.example";
const StoreId kStore = {.bytes = {std::byte{1}}};

const Key256& metadata_key() {
  static const Key256 key{std::array<std::byte, 32>{std::byte{7}}};
  return key;
}

class Keeper : public ::testing::Test {
 protected:
  Keeper() : world_(1) {
    world_.disk().make_directory("/spool");
    world_.disk().watch(as_bytes(kDomain));
  }
  ~Keeper() override { EXPECT_EQ(world_.disk().watched_hits(), 0u) << "a domain's name reached the disk"; }
  /// A start of the process on the same disk.
  void start(const Key256& key = metadata_key()) {
    ring_ = &world_.make_ring("mta");
    memory_ = std::make_unique<TransportMemory>();
    keeper_.emplace(*ring_, log_, *memory_, "/spool", kStore, key.view());
    sim::drive(*ring_, keeper_->read());
    keeper_->start();
  }
  void end() {
    sim::drive(*ring_, keeper_->stop());
    keeper_.reset();
    world_.retire(*ring_);
  }
  std::chrono::sys_seconds now() { return std::chrono::floor<std::chrono::seconds>(ring_->wall_now()); }
  void learn() {
    auto policy = transport::parse_policy("version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 86400\n");
    memory_->policies.put(kDomain, {std::move(*policy), "1", now()}, now());
    memory_->sessions.add({.domain = kDomain, .policy = {.domain = kDomain}}, now());
  }
  runtime::Task<void> look(SealedFile::Content content) {
    SealedFile file{*ring_, "/spool", content, kStore, metadata_key().view()};
    Result<std::vector<std::byte>> read = co_await file.read();
    written_ = read.has_value();
  }

  sim::World world_;
  sim::SimRing* ring_ = nullptr;
  Log log_{LogLevel::error};
  std::unique_ptr<TransportMemory> memory_;
  std::optional<TransportKeeper> keeper_;
  bool written_ = false;
};

TEST_F(Keeper, brings_everything_over_a_restart) {
  start();
  EXPECT_EQ(memory_->policies.size(), 0u);
  learn();
  end();
  start();
  EXPECT_TRUE(memory_->policies.find(kDomain, now()));
  EXPECT_EQ(memory_->sessions.size(), 1u);
  end();
}

TEST_F(Keeper, writes_policies_within_seconds_and_sessions_within_a_minute) {
  start();
  learn();
  world_.run_for(std::chrono::seconds{6});
  sim::drive(*ring_, look(SealedFile::Content::mta_sts));
  EXPECT_TRUE(written_);
  sim::drive(*ring_, look(SealedFile::Content::tls_reports));
  EXPECT_FALSE(written_);
  world_.run_for(std::chrono::minutes{1});
  sim::drive(*ring_, look(SealedFile::Content::tls_reports));
  EXPECT_TRUE(written_);
  end();
}

TEST_F(Keeper, another_key_opens_nothing_and_begins_anew) {
  start();
  learn();
  end();
  start(Key256{std::array<std::byte, 32>{std::byte{8}}});
  EXPECT_EQ(memory_->policies.size(), 0u);
  EXPECT_EQ(memory_->sessions.size(), 0u);
  end();
}

}  // namespace
}  // namespace ringpost::shard
