// The queue as operators see it: one JSON object for a message.
#pragma once

#include "ringpost/config/settings.hh"
#include "ringpost/control/backend.hh"
#include "ringpost/queue/queue.hh"
#include "shard/mail_source.hh"
#include "shard/partition.hh"

namespace ringpost::shard {

class QueueView final : public control::QueueView {
 public:
  QueueView(queue::Queue& queue, std::vector<std::unique_ptr<Partition>>& partitions, MailSource& source,
            const config::Settings& settings)
      : queue_(queue), partitions_(partitions), source_(source) {
    reconfigure(settings);
  }
  /// A route that holds makes every message that waits one that is held.
  void reconfigure(const config::Settings& settings) { route_holds_ = settings.route.fallback.is_hold() && settings.route.domains.empty(); }

  runtime::Task<std::vector<MessageId>> page(MessageId after) override;
  /// Addresses are read from the log; when its key cannot be had now they are null.
  runtime::Task<std::string> describe(MessageId id) override;

 private:
  runtime::Task<std::unique_ptr<queue::Message>> look_up(MessageId id);

  queue::Queue& queue_;
  std::vector<std::unique_ptr<Partition>>& partitions_;
  MailSource& source_;
  bool route_holds_ = false;
};

}  // namespace ringpost::shard
