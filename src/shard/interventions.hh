// What operators do to messages that wait: hold, release, retry, bounce, remove, redirect. Each is durable, with the event that says
// who wanted it, before the operator reads that it is done.
#pragma once

#include "ringpost/control/backend.hh"
#include "shard/mail_source.hh"
#include "shard/selection.hh"

namespace ringpost::shard {

/// Lifetime: no call in flight when it dies.
class Interventions {
 public:
  Interventions(const SourceParts& parts, MailSource& source, deliver::Deliverer& deliverer, const StoreId& store)
      : parts_(parts), source_(source), deliverer_(deliverer), store_(store) {}
  Interventions(const Interventions&) = delete;

  /// `route_holds`: see Seen. A message that is being delivered is left alone; one that only waits in a line is taken out of it.
  runtime::Task<control::Effected> carry_out(MessageId id, const control::Order& order, bool route_holds);

 private:
  struct Case;  // a message that is ours for the moment
  runtime::Task<queue::Message*> find(MessageId id);
  runtime::Task<Result<>> open(Case& matter);
  runtime::Task<control::Effected> decide(Case& matter);
  runtime::Task<control::Effected> hold(Case& matter);
  runtime::Task<control::Effected> release(Case& matter);
  runtime::Task<control::Effected> retry(Case& matter);
  runtime::Task<control::Effected> give_up(Case& matter, std::vector<std::uint32_t> recipients);
  runtime::Task<control::Effected> redirect(Case& matter, std::vector<std::uint32_t> recipients);
  event::Event event_of(const Case& matter, event::Kind kind) const;
  std::vector<std::uint32_t> make_due(Case& matter);
  void count_failed(std::size_t recipients);

  SourceParts parts_;
  MailSource& source_;
  deliver::Deliverer& deliverer_;
  StoreId store_;
};

}  // namespace ringpost::shard
