// The queue as operators see it: JSON of messages, sums over them, and where mail goes.
#pragma once

#include <functional>
#include <map>

#include "ringpost/config/settings.hh"
#include "ringpost/control/backend.hh"
#include "ringpost/queue/queue.hh"
#include "shard/interventions.hh"
#include "shard/mail_source.hh"
#include "shard/partition.hh"
#include "shard/selection.hh"

namespace ringpost::shard {

class QueueView final : public control::QueueView {
 public:
  QueueView(const SourceParts& parts, MailSource& source, deliver::Deliverer& deliverer, const StoreId& store,
            std::shared_ptr<const config::Settings> settings)
      : parts_(parts), source_(source), deliverer_(deliverer), interventions_(parts, source, deliverer, store) {
    reconfigure(std::move(settings));
  }
  /// Sums that are being made end where they are.
  void stop() { stopping_ = true; }
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }

  runtime::Task<control::Page> page(MessageId after, const control::QueueFilter& filter) override;
  /// Addresses are read from the log; when its key cannot be had now they are null.
  runtime::Task<std::string> describe(MessageId id, const control::QueueFilter& filter) override;
  runtime::Task<std::string> summarize(const control::QueueFilter& filter) override;
  runtime::Task<control::Effected> carry_out(MessageId id, const control::Order& order) override;
  std::string destinations() override;
  runtime::Task<control::Answer> explain(std::string address) override;

 private:
  /// A message wherever it is, opened if it can be. Its pointer is good until the next await.
  struct Found {
    const queue::Message* message = nullptr;  ///< null: it is gone
    std::unique_ptr<queue::Message> stored;   ///< when it is not in memory
    std::optional<Addresses> addresses;
    std::optional<deliver::SiteView> site;    ///< looked for when the filter asks for it
    std::map<std::uint32_t, std::string> words;  ///< by recipient: what next hops said last
  };
  runtime::Task<Found> find(MessageId id, const control::QueueFilter& filter);
  runtime::Task<void> look_again(Found& found, MessageId id);
  runtime::Task<std::optional<Addresses>> addresses_of(const queue::Message& message);
  runtime::Task<std::map<std::uint32_t, std::string>> words_of(const queue::Message& message);
  runtime::Task<std::unique_ptr<queue::Message>> look_up(MessageId id);
  runtime::Task<control::Page> visit(MessageId after, const control::QueueFilter& filter, std::function<void(const Seen&)> take);
  Seen seen(const Found& found) const;
  /// A route that holds makes every message that waits one that is held.
  bool route_holds() const { return settings_->route.fallback.is_hold() && settings_->route.domains.empty(); }

  SourceParts parts_;
  MailSource& source_;
  deliver::Deliverer& deliverer_;
  Interventions interventions_;
  std::shared_ptr<const config::Settings> settings_;
  bool stopping_ = false;
};

}  // namespace ringpost::shard
