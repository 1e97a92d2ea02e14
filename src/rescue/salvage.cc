#include "ringpost/rescue/salvage.hh"

#include <algorithm>

#include "examiner.hh"
#include "index_view.hh"
#include "survey.hh"

namespace ringpost::rescue {

using runtime::Task;

std::string_view name_of(Doubt doubt) { return doubt == Doubt::outcome_unknown ? "outcome_unknown" : "unacknowledged"; }

std::string_view explain(Doubt doubt) {
  return doubt == Doubt::outcome_unknown
             ? "held: what became of it may be lost, it may have been delivered"
             : "held: it lay in the torn end of the log, its sender may not have been told that it is kept";
}

namespace {

/// A new log has nothing to tell.
class Nothing final : public spool::RecoveryVisitor {
  void on_message(const spool::RecoveredMessage&) override {}
  void on_outcome(const spool::RecoveredOutcome&) override {}
  void on_audit(const IncarnationId&, std::uint64_t, Bytes) override {}
  void on_audit_acknowledged(const spool::AuditMark&) override {}
  void on_damage(const spool::Damage&) override {}
};

/// Chunks of one message, read where the inspection finds them.
class ReadChunks final : public spool::Log::ChunkSource {
 public:
  ReadChunks(spool::Inspection& inspection, spool::RecordWindow& window, const MessageId& message,
             std::span<const spool::Position> places)
      : inspection_(inspection), window_(window), message_(message), places_(places) {}
  Task<Result<crypto::RecordView>> chunk(std::size_t index) override {
    return inspection_.read(spool::RecordKind::chunk, message_, places_[index], window_);
  }

 private:
  spool::Inspection& inspection_;
  spool::RecordWindow& window_;
  MessageId message_;
  std::span<const spool::Position> places_;
};

class Salvage final : public Verdicts {
 public:
  using Done = std::expected<void, SalvageError>;

  Salvage(runtime::Ring& ring, SalvagePlan plan, Bytes metadata_key, SalvageReporter& reporter, SalvageTotals& totals)
      : ring_(ring),
        plan_(std::move(plan)),
        metadata_key_(metadata_key),
        inspection_(ring, plan_.log, metadata_key),
        survey_(inspection_, reporter, {.events = true, .tail = true}),
        reporter_(reporter),
        totals_(totals) {}

  Task<Done> run() {
    Done done = co_await look();
    if (done) done = co_await open_target();
    if (done) {
      done = co_await copy();
      co_await target_->stop();
    }
    co_await inspection_.close();
    co_return done;
  }

 private:
  static std::unexpected<SalvageError> source(Error error) { return std::unexpected(SalvageError{false, error}); }
  static std::unexpected<SalvageError> target(Error error) { return std::unexpected(SalvageError{true, error}); }

  Task<Done> look() {
    index_ = co_await read_index(ring_, std::move(plan_.index), plan_.log, metadata_key_, reporter_);
    Result<> found = co_await inspection_.find(survey_);
    if (!found) co_return source(found.error());
    Result<> read = co_await inspection_.read_all(survey_);
    if (!read) co_return source(read.error());
    spool::RecordWindow window;
    for (const auto& [id, place] : survey_.unknown_records()) {
      Result<std::uint8_t> kind = co_await inspection_.kind_at(place, window);
      const bool is_message = kind && *kind == static_cast<std::uint8_t>(spool::RecordKind::message);
      if (!is_message) survey_.was_no_message(id, place);
    }
    survey_.conclude();
    if (inspection_.last_group() < index_.mark.group) {
      reporter_.found({.kind = FindingKind::log_behind_index, .partition = plan_.log.partition});
      // Outcomes of any message may have been in what is gone.
      survey_.on_unknown(~std::uint64_t{0}, 0);
    }
    co_return Done{};
  }

  Task<Done> open_target() {
    Nothing nothing;
    auto opened = co_await spool::Log::open(ring_, plan_.target, metadata_key_, nothing);
    if (!opened) co_return target(opened.error());
    target_ = std::move(*opened);
    Result<> started = co_await target_->start();
    if (started) co_return Done{};
    co_await target_->stop();
    co_return target(started.error());
  }

  Task<Done> copy() {
    Result<> events = co_await copy_events();
    if (!events) co_return target(events.error());
    std::vector<Candidate> newest;
    for (const auto& [id, known] : survey_.ledger().messages()) {
      if (state_of(id, known).is_over())
        ++totals_.over;
      else
        newest.push_back({id, known.place, &known, true});
    }
    std::ranges::sort(newest, {}, &Candidate::place);
    Examiner examiner(inspection_, *plan_.keys);
    Result<> examined = co_await examiner.run(newest, *this);
    if (examined) {  // an older copy of the same ciphertext may have been spared
      const std::vector<Candidate> older = std::exchange(again_, {});
      last_chance_ = true;
      examined = co_await examiner.run(older, *this);
    }
    if (!examined && target_failed_) co_return target(examined.error());
    if (!examined) co_return source(examined.error());
    tell_lost();
    if (last_.group == 0) co_return Done{};
    Result<> durable = co_await target_->durable(last_);
    if (!durable) co_return target(durable.error());
    co_return Done{};
  }

  Task<Result<>> copy_events() {
    for (const WaitingEvent& event : survey_.events()) {
      Result<spool::Room> room = co_await target_->reserve(spool::bytes_of_audit(event.encoded.size()), spool::Use::mail);
      if (!room) co_return std::unexpected(room.error());
      room->add_audit(event.incarnation, event.sequence, event.encoded);
      last_ = room->commit();
      ++totals_.events;
    }
    co_return Result<>{};
  }

  Task<Result<>> judged(const Candidate& candidate, std::optional<FindingKind> fault, Bytes record,
                        const spool::Scheduling& scheduling) override {
    if (saved_.contains(candidate.id)) co_return Result<>{};
    if (fault) {
      faults_.try_emplace(candidate.id, *fault);
      if (candidate.is_newest && !last_chance_)
        for (const spool::Position& place : candidate.known->copies)
          if (place != candidate.place) again_.push_back({candidate.id, place, candidate.known, true});
      co_return Result<>{};
    }
    Result<> saved = co_await save(candidate, record, scheduling);
    if (!saved) {
      target_failed_ = true;
      co_return saved;
    }
    saved_.insert(candidate.id);
    faults_.erase(candidate.id);
    co_return Result<>{};
  }
  void words_damaged(const Candidate& candidate, const spool::Position& outcome) override {
    reporter_.found({.kind = FindingKind::reply_text,
                     .partition = plan_.log.partition,
                     .generation = outcome.generation,
                     .offset = outcome.offset,
                     .bytes = outcome.length,
                     .message = candidate.id});
  }

  /// What is known of it: the log's word, or the index's where that has seen more.
  const Known& state_of(const MessageId& id, const Known& logged) const {
    const Known* indexed = index_.entries.find(id);
    const bool knows_more =
        indexed && indexed->revision > logged.revision && indexed->recipients.size() == logged.recipients.size();
    return knows_more ? *indexed : logged;
  }

  Task<Result<>> save(const Candidate& candidate, Bytes record, const spool::Scheduling& stored) {
    const Known& logged = *candidate.known;
    const Known& state = state_of(candidate.id, logged);
    std::optional<Doubt> doubt;
    if (survey_.may_have_lost_outcome(candidate.id, logged)) doubt = Doubt::outcome_unknown;
    if (survey_.is_from_tail(candidate.id)) doubt = Doubt::unacknowledged;
    std::vector<spool::RecipientStatus> recipients = state.recipients;
    if (doubt)
      for (spool::RecipientStatus& recipient : recipients)
        if (recipient.state == spool::RecipientState::waiting) recipient.reason = event::Reason::damaged;
    const spool::Scheduling scheduling{.arrived = state.arrived,
                                       .due = state.due,
                                       .size = stored.size,
                                       .revision = state.revision,
                                       .mail_class = stored.mail_class,
                                       .held = state.held || doubt.has_value(),
                                       .terms = stored.terms,
                                       .destination = stored.destination,
                                       .recipients = recipients,
                                       .chunks = stored.chunks};
    const Result<crypto::RecordView> view = crypto::RecordView::parse(record);
    ReadChunks chunks(inspection_, chunk_window_, candidate.id, stored.chunks);
    Result<spool::Ticket> taken = co_await target_->take_over(*view, scheduling, chunks);
    if (!taken) co_return std::unexpected(taken.error());
    last_ = *taken;
    ++totals_.saved;
    if (doubt) {
      ++totals_.held;
      reporter_.held(plan_.log.partition, candidate.id, *doubt);
    }
    co_return Result<>{};
  }

  void tell_lost() {
    std::map<MessageId, FindingKind> lost = survey_.lost();
    lost.insert(faults_.begin(), faults_.end());
    for (const auto& [id, indexed] : index_.entries.messages()) {
      const std::uint64_t generation = indexed.place.generation;
      const bool was_there = inspection_.has_generation(generation) || inspection_.missing().contains(generation) ||
                             inspection_.report().segments_unknown > 0;
      if (!indexed.is_over() && was_there && !survey_.ledger().find(id)) lost.try_emplace(id, FindingKind::index_lost);
    }
    for (const auto& [id, why] : lost) {
      ++totals_.lost;
      reporter_.lost(plan_.log.partition, id, why);
    }
  }

  runtime::Ring& ring_;
  SalvagePlan plan_;
  Bytes metadata_key_;
  spool::Inspection inspection_;
  Survey survey_;
  SalvageReporter& reporter_;
  SalvageTotals& totals_;
  IndexView index_;
  std::unique_ptr<spool::Log> target_;
  spool::RecordWindow chunk_window_;
  std::vector<Candidate> again_;
  std::map<MessageId, FindingKind> faults_;
  std::set<MessageId> saved_;
  spool::Ticket last_;
  bool last_chance_ = false, target_failed_ = false;
};

}  // namespace

Task<std::expected<void, SalvageError>> salvage_partition(runtime::Ring& ring, SalvagePlan plan, Bytes metadata_key,
                                                          SalvageReporter& reporter, SalvageTotals& totals) {
  Salvage salvage(ring, std::move(plan), metadata_key, reporter, totals);
  std::expected<void, SalvageError> done = co_await salvage.run();
  co_return done;
}

}  // namespace ringpost::rescue
