#include "shard/recovered.hh"

#include <algorithm>

namespace ringpost::shard {

namespace {

/// Taken in together: about a megabyte, some milliseconds of the index's time.
constexpr std::size_t kFactsAtOnce = 4096;
constexpr Duration kIndexPause = std::chrono::seconds(1);

}  // namespace

void Recovered::on_message(const spool::RecoveredMessage& message) {
  const spool::Scheduling& scheduling = message.scheduling;
  facts_.push_back({.is_outcome = false,
                    .entry = {.id = message.id,
                              .place = message.place,
                              .revision = scheduling.revision,
                              .size = scheduling.size,
                              .arrived = scheduling.arrived,
                              .due = scheduling.due,
                              .held = scheduling.held,
                              .waited = scheduling.waited,
                              .mail_class = scheduling.mail_class,
                              .destination = scheduling.destination,
                              .chunks = spool::extents_of(scheduling.chunks),
                              .recipients = {scheduling.recipients.begin(), scheduling.recipients.end()}},
                    .changes = {}});
}

void Recovered::on_outcome(const spool::RecoveredOutcome& recovered) {
  const spool::Outcome& outcome = recovered.outcome;
  index::LogFact fact{.is_outcome = true, .entry = {}, .changes = {}};
  fact.entry.id = recovered.message;
  fact.entry.revision = outcome.revision;
  fact.entry.due = outcome.due;
  fact.entry.held = outcome.held;
  fact.entry.waited = outcome.waited;
  for (const spool::Outcome::Recipient& recipient : outcome.recipients) fact.changes.emplace_back(recipient.index, recipient.status);
  facts_.push_back(std::move(fact));
}

void Recovered::on_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) {
  const auto mark = acknowledged_.find(incarnation);
  if (mark != acknowledged_.end() && sequence <= mark->second) return;
  events_[incarnation].emplace(sequence, std::vector<std::byte>{encoded.begin(), encoded.end()});
}

void Recovered::on_audit_acknowledged(const spool::AuditMark& mark) {
  std::uint64_t& highest = acknowledged_[mark.incarnation];
  highest = std::max(highest, mark.sequence);
}

void Recovered::on_damage(const spool::Damage& damage) {
  if (damage.kind == spool::DamageKind::segment_missing) missing_.insert(damage.generation);
  log_.error("the spool is damaged", {{"kind", static_cast<unsigned>(damage.kind)},
                                      {"segment", damage.segment},
                                      {"generation", damage.generation},
                                      {"offset", damage.offset},
                                      {"bytes", damage.bytes}});
}

bool Recovered::is_full() const { return stopping_ || facts_.size() >= kFactsAtOnce; }

runtime::Task<Result<>> Recovered::relieve() {
  for (;;) {
    if (stopping_) co_return std::unexpected(Error{Errc::cancelled});
    Result<> merged = co_await index_.merge(facts_);
    if (merged) break;
    if (merged.error().code != Errc::no_space && merged.error().code != Errc::no_memory) co_return merged;
    co_await ring_.sleep_for(kIndexPause);
  }
  facts_.clear();
  co_return Result<>{};
}

void Recovered::hand_over(outbox::Outbox& outbox) {
  for (const auto& [incarnation, events] : events_) {
    const auto mark = acknowledged_.find(incarnation);
    for (const auto& [sequence, encoded] : events)
      if (mark == acknowledged_.end() || sequence > mark->second) outbox.add(incarnation, sequence, encoded);
  }
  events_.clear();
}

}  // namespace ringpost::shard
