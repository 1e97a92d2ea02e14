#include "shard/recovered.hh"

#include <algorithm>
#include <utility>

namespace ringpost::shard {

namespace {

/// Taken in together: some megabytes for each of two pieces, and one sync.
constexpr std::size_t kFactsAtOnce = 16'384, kStatusesAtOnce = 4 * kFactsAtOnce;
constexpr Duration kIndexPause = std::chrono::seconds(1);

}  // namespace

void Recovered::on_message(const spool::RecoveredMessage& message) {
  const spool::Scheduling& scheduling = message.scheduling;
  take({.is_outcome = false,
        .entry = {.id = message.id,
                  .place = message.place,
                  .revision = scheduling.revision,
                  .size = scheduling.size,
                  .arrived = scheduling.arrived,
                  .due = scheduling.due,
                  .held = scheduling.held,
                  .waited = scheduling.waited,
                  .terms = scheduling.terms,
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
  if (recovered.has_texts) fact.entry.words = recovered.place;
  for (const spool::Outcome::Recipient& recipient : outcome.recipients) fact.changes.emplace_back(recipient.index, recipient.status);
  take(std::move(fact));
}

void Recovered::take(index::LogFact fact) {
  statuses_ += fact.entry.recipients.size() + fact.changes.size();
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

bool Recovered::is_full() const { return stopping_ || facts_.size() >= kFactsAtOnce || statuses_ >= kStatusesAtOnce; }

runtime::Task<Result<>> Recovered::relieve() {
  Result<> before = co_await settle();
  if (!before) co_return before;
  std::swap(facts_, merging_);
  statuses_ = 0;
  scope_.spawn(merge());
  co_return Result<>{};
}

runtime::Task<Result<>> Recovered::settle() {
  co_await scope_.join();
  const bool failed_before = merged_ && !merging_.empty();
  if (failed_before) co_await merge();
  if (stopping_) co_return std::unexpected(Error{Errc::cancelled});
  co_return std::exchange(merged_, Result<>{});
}

runtime::Task<void> Recovered::merge() {
  while (!stopping_) {
    merged_ = co_await index_.merge(merging_);
    if (merged_) {
      merging_.clear();
      co_return;
    }
    if (merged_.error().code != Errc::no_space && merged_.error().code != Errc::no_memory) co_return;
    co_await ring_.sleep_for(kIndexPause);
  }
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
