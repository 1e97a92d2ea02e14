// Verifying and salvaging a partition on a simulated disk: every flipped bit, and what is left of the messages.
#include <algorithm>

#include "../spool/support.hh"
#include "ringpost/index/snapshot.hh"
#include "ringpost/rescue/salvage.hh"
#include "ringpost/rescue/verify.hh"

namespace ringpost::rescue {

using runtime::Task;
using spool::Machine;
using spool::Mail;

namespace {

/// Unwraps as keyd does.
class MachineKeys final : public KeySource {
 public:
  explicit MachineKeys(const Machine& machine) : machine_(machine) {}
  Task<Result<>> unwrap(std::span<const keys::UnwrapItem> items, std::span<keys::protocol::UnwrappedItem> keys) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      keys[i].status = keys::protocol::Status::unknown_key;
      if (items[i].wrapped.scope_key != spool::make_id<KeyId>(1)) continue;
      Result<Key256> key = crypto::unwrap_message_key(machine_.wrap_key(items[i].wrapped.incarnation), machine_.store,
                                                      items[i].message, items[i].wrapped);
      keys[i].status = key ? keys::protocol::Status::ok : keys::protocol::Status::not_authentic;
      if (key) keys[i].message_key = std::move(*key);
    }
    co_return Result<>{};
  }

 private:
  const Machine& machine_;
};

struct Findings final : SalvageReporter {
  std::vector<Finding> all;
  std::map<MessageId, FindingKind> lost_messages;
  std::map<MessageId, Doubt> held_messages;

  void found(const Finding& finding) override { all.push_back(finding); }
  void lost(const PartitionId&, const MessageId& message, FindingKind why) override { lost_messages[message] = why; }
  void held(const PartitionId&, const MessageId& message, Doubt why) override { held_messages[message] = why; }
  bool has(FindingKind kind) const {
    return std::ranges::any_of(all, [kind](const Finding& finding) { return finding.kind == kind; });
  }
  bool has_damage() const {
    return std::ranges::any_of(all, [](const Finding& finding) { return is_damage(finding.kind); });
  }
};

/// A log with small and large messages, some delivered, one to half, over a restart.
class Rescue : public testing::Test {
 protected:
  Rescue() : machine({.segment_bytes = 256_KiB, .group_bytes = 128_KiB}) {
    EXPECT_TRUE(machine.open());
    accept(1, 300);
    accept(2, 40'000);
    accept(3, 500, 2);
    EXPECT_TRUE(spool::outcome_of(machine, machine.deliver(spool::make_id<MessageId>(1), 1)));
    machine.restart();
    EXPECT_TRUE(spool::outcome_of(
        machine,
        machine.record(spool::make_id<MessageId>(3),
                       {{0, {.state = spool::RecipientState::delivered, .attempts = 1, .reply = {250, 2, 0, 0}}, "250 ok"}}, 1)));
    accept(4, 600);
    machine.stop();
    machine.boot();
  }

  void accept(std::uint64_t number, std::size_t bytes, std::size_t recipients = 1) {
    mails.push_back(spool::make_mail(number, bytes, recipients));
    EXPECT_TRUE(spool::outcome_of(machine, machine.accept(mails.back())));
  }
  spool::InspectionOptions log() const {
    return {.directory = machine.directory, .store = machine.store, .partition = machine.partition};
  }
  Findings verify(Totals* totals = nullptr) {
    struct Run {
      static Task<void> run(Rescue& test, Findings& findings, Totals& totals) {
        MachineKeys keys(test.machine);
        VerifyPlan plan{.log = test.log(), .keys = &keys};
        Result<> done =
            co_await verify_partition(*test.machine.ring, std::move(plan), test.machine.metadata_key, findings, totals);
        EXPECT_TRUE(done);
      }
    };
    Findings findings;
    Totals own;
    spool::drive(*machine.ring, Run::run(*this, findings, totals ? *totals : own));
    return findings;
  }
  /// Into a partition beside it, which the machine's log is from then on.
  Findings salvage(SalvageTotals& totals) {
    struct Run {
      static Task<void> run(Rescue& test, Findings& findings, SalvageTotals& totals) {
        MachineKeys keys(test.machine);
        SalvagePlan plan{.log = test.log(), .keys = &keys, .index = index::make_snapshot_store({})};
        plan.target = test.machine.log_options();
        plan.target.partition = spool::make_id<PartitionId>(77);
        plan.target.directory = "/spool/" + hex(plan.target.partition);
        auto done = co_await salvage_partition(*test.machine.ring, std::move(plan), test.machine.metadata_key, findings, totals);
        EXPECT_TRUE(done);
      }
    };
    machine.world.disk().make_directory("/spool/" + hex(spool::make_id<PartitionId>(77)));
    Findings findings;
    spool::drive(*machine.ring, Run::run(*this, findings, totals));
    return findings;
  }
  /// What a visitor of the salvaged log learns.
  spool::Ledger salvaged() {
    struct Visitor final : spool::InspectionVisitor {
      spool::Ledger ledger;
      spool::Arrays arrays;
      void on_group(const spool::GenerationFound&, const crypto::GroupHeader&, std::uint64_t) override {}
      void on_record(const crypto::RecordView& record, const spool::Position& place, Bytes plaintext, spool::Proof) override {
        if (record.frame().kind != static_cast<std::uint8_t>(spool::RecordKind::message)) return;
        ledger.on_message({record.frame().message, place, *spool::decode_scheduling(plaintext, arrays)});
      }
      void on_unproven_chunk(const crypto::RecordView&, const spool::Position&) override {}
      void on_damage(const spool::Damage& damage) override { ledger.on_damage(damage); }
      void on_unknown(std::uint64_t, std::uint64_t) override {}
      void on_stale(const spool::GenerationFound&) override {}
      void on_torn_tail(const spool::GenerationFound&, std::uint64_t, std::uint64_t) override {}
      void on_unused_bytes(const spool::GenerationFound&, std::uint64_t) override {}
    } visitor;
    struct Run {
      static Task<void> run(Rescue& test, Visitor& visitor) {
        spool::InspectionOptions options = test.log();
        options.partition = spool::make_id<PartitionId>(77);
        options.directory = "/spool/" + hex(options.partition);
        spool::Inspection inspection(*test.machine.ring, options, test.machine.metadata_key);
        EXPECT_TRUE(co_await inspection.find(visitor));
        EXPECT_TRUE(co_await inspection.read_all(visitor));
        co_await inspection.close();
      }
    };
    spool::drive(*machine.ring, Run::run(*this, visitor));
    return visitor.ledger;
  }
  std::vector<std::string> segments() {
    std::vector<std::string> paths;
    for (const auto& entry : *machine.ring->list_directory(machine.directory))
      if (entry.name.ends_with(".seg")) paths.push_back(machine.directory + '/' + entry.name);
    std::ranges::sort(paths);
    return paths;
  }
  /// Bytes up to the last that is not zero.
  std::size_t used(const std::string& path) {
    const std::vector<std::byte> content = *machine.world.disk().content(path);
    std::size_t end = content.size();
    while (end > 0 && content[end - 1] == std::byte{}) --end;
    return end;
  }

  Machine machine;
  std::vector<Mail> mails;
};

TEST_F(Rescue, a_sound_log_is_clean) {
  Totals totals;
  const Findings findings = verify(&totals);
  EXPECT_TRUE(findings.all.empty());
  EXPECT_EQ(totals.messages, 3u);
  EXPECT_EQ(totals.messages_over, 1u);
  EXPECT_EQ(totals.messages_opened, 4u);
}

TEST_F(Rescue, H7_any_flipped_bit_is_found) {
  // Every byte of headers and frames would take minutes: a stride that is odd meets each of them somewhere, and each bit.
  std::size_t flips = 0;
  for (const std::string& path : segments()) {
    const std::size_t end = used(path);
    for (std::size_t at = 0; at < end; at += at < 24'576 ? 17 : 211, ++flips) {
      machine.world.disk().flip_bit(path, at, static_cast<int>(flips % 8));
      const Findings findings = verify();
      // The newest group may have been cut short by a crash, as far as the log alone can tell.
      EXPECT_TRUE(findings.has_damage() || findings.has(FindingKind::torn_tail)) << path << " at " << at;
      machine.world.disk().flip_bit(path, at, static_cast<int>(flips % 8));
      if (HasFailure()) return;
    }
    machine.world.disk().flip_bit(path, end + 9'000, 3);
    EXPECT_FALSE(verify().all.empty()) << "behind the end it is told";
    machine.world.disk().flip_bit(path, end + 9'000, 3);
  }
  EXPECT_GT(flips, 500u);
  EXPECT_TRUE(verify().all.empty());
}

TEST_F(Rescue, H7_whatever_bit_flips_salvage_tells_of_every_message_and_holds_what_may_be_delivered_already) {
  const MessageId half = spool::make_id<MessageId>(3);
  std::size_t flips = 0;
  for (const std::string& path : segments()) {
    const std::size_t end = used(path);
    for (std::size_t at = 13; at < end; at += at < 16'384 ? 211 : 2'003, ++flips) {
      machine.world.disk().flip_bit(path, at, static_cast<int>(flips % 8));
      SalvageTotals totals;
      const Findings findings = salvage(totals);
      const spool::Ledger saved = salvaged();
      for (const Mail& mail : mails) {
        const auto found = saved.messages.find(mail.id);
        if (found == saved.messages.end() || found->second.finished()) continue;
        EXPECT_EQ(found->second.held, findings.held_messages.contains(mail.id));
        // Nobody who has it gets it again without a decision.
        const bool knows_delivered = found->second.recipients[0].state == spool::RecipientState::delivered;
        if (mail.id == half || mail.id == mails[0].id) EXPECT_TRUE(knows_delivered || found->second.held) << path << " at " << at;
      }
      EXPECT_EQ(saved.messages.size(), totals.saved);
      EXPECT_TRUE(saved.damages.empty()) << saved.describe();
      machine.world.disk().flip_bit(path, at, static_cast<int>(flips % 8));
      for (const auto& entry : *machine.ring->list_directory("/spool/" + hex(spool::make_id<PartitionId>(77))))
        machine.world.disk().remove("/spool/" + hex(spool::make_id<PartitionId>(77)) + '/' + entry.name);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(flips, 50u);
}

}  // namespace
}  // namespace ringpost::rescue
