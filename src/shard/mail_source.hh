// The delivering half of a shard's mail: opens messages for an attempt and takes down what came of it, durably.
#pragma once

#include <memory>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/keys/client.hh"
#include "ringpost/queue/queue.hh"
#include "ringpost/queue/schedule.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/spool/log.hh"
#include "ringpost/shard/work_table.hh"
#include "ringpost/spool/message_reader.hh"
#include "shard/audit_trail.hh"
#include "shard/partition.hh"

namespace ringpost::shard {

/// What it works with. Everything outlives it.
struct SourceParts {
  runtime::Ring& ring;
  std::vector<std::unique_ptr<Partition>>& partitions;  ///< by queue::Message::partition; the first one is where events go
  keys::Client& keys;
  queue::Queue& queue;
  AuditTrail& trail;
  metrics::ShardMetrics& metrics;
  Log& log;
  const Key256& hash_key;
  WorkTable* work;  ///< may be null
  std::uint64_t seed;
};

class Reporter;

class MailSource final : public deliver::MailSource {
 public:
  MailSource(const SourceParts& parts, std::shared_ptr<const config::Settings> settings);

  /// Delivery is built on this; it must be known before the first record().
  void set_deliverer(deliver::Deliverer& deliverer) { deliverer_ = &deliverer; }
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }

  runtime::Task<Result<std::unique_ptr<deliver::Outgoing>>> open(queue::Message& message) override;
  void leave(queue::Message& message) override;
  void record(queue::Message& message, const deliver::Outgoing& outgoing, const deliver::Attempt& attempt, bool more) override;
  void postpone(queue::Message& message, Error error) override;
  void put_back(queue::Message& message, Instant due, event::Reason reason) override;
  bool is_overdue(const queue::Message& message) const override;
  bool has_room() const override { return parts_.trail.has_room(settings_->audit.buffer_bytes_max); }

  /// A message read from its log and opened; nothing of it is in clear anywhere else. For listings, too.
  runtime::Task<Result<std::unique_ptr<spool::MessageReader>>> read(const queue::Message& message);
  /// Reports are made by this; it must be known before the first record().
  void set_reporter(Reporter& reporter) { reporter_ = &reporter; }
  /// A report about `message` is durable, and so is what it settles: schedules it again or lets it go.
  void settled(queue::Message& message);
  /// What an operator changed of a message, whom the message is in delivery for: `changed` are its recipients that are different now.
  /// Durable on return; false: the server stops, and it is not.
  runtime::Task<bool> note(queue::Message& message, const std::vector<std::uint32_t>& changed, EventBatch events);
  /// Waits until every outcome of `message` so far is durable.
  runtime::Task<void> all_recorded(const queue::Message& message);
  /// Waits until everything recorded is durable.
  runtime::Task<void> stop();

 private:
  struct Change;  // an outcome on its way into the log
  runtime::Task<bool> write(std::unique_ptr<Change> change);
  runtime::Task<void> write_behind(std::unique_ptr<Change> change);
  event::Event event_of(const queue::Message& message, std::size_t index, const deliver::RecipientResult& result,
                        const deliver::Attempt& attempt, std::string_view address) const;
  queue::Verdict judge(const queue::Message& message);
  queue::Patience patience_with(const queue::Message& message) const;
  void warn(queue::Message& message, const deliver::Outgoing& outgoing, const deliver::Attempt& attempt);
  queue::State state_after(const queue::Message& message, const deliver::RecipientResult& result, const deliver::Outgoing& outgoing,
                           std::size_t index) const;
  void finish(queue::Message& message);
  void count(const queue::Message& message, deliver::RecipientResult::Verdict verdict);

  SourceParts parts_;
  std::shared_ptr<const config::Settings> settings_;
  deliver::Deliverer* deliverer_ = nullptr;
  Reporter* reporter_ = nullptr;
  Prng prng_;
  runtime::Scope scope_;
  runtime::Signal recorded_;  // an outcome is durable
  LogLimit trouble_log_;
};

}  // namespace ringpost::shard
