#include "ringpost/rescue/verify.hh"

#include <algorithm>

#include "examiner.hh"
#include "index_view.hh"
#include "survey.hh"

namespace ringpost::rescue {

using runtime::Task;

namespace {

/// Reports what the examiner says.
class ReportedVerdicts final : public Verdicts {
 public:
  ReportedVerdicts(const spool::Inspection& inspection, Reporter& reporter, Totals& totals)
      : inspection_(inspection), reporter_(reporter), totals_(totals) {}

  Task<Result<>> judged(const Candidate& candidate, std::optional<FindingKind> fault, Bytes, const spool::Scheduling&) override {
    ++totals_.messages_opened;
    if (fault) report(*fault, candidate, candidate.place);
    co_return Result<>{};
  }
  void words_damaged(const Candidate& candidate, const spool::Position& outcome) override {
    report(FindingKind::reply_text, candidate, outcome);
  }

 private:
  void report(FindingKind kind, const Candidate& candidate, const spool::Position& place) {
    const auto generation = inspection_.generations().find(place.generation);
    reporter_.found({.kind = kind,
                     .partition = inspection_.options().partition,
                     .segment = generation == inspection_.generations().end() ? 0 : generation->second.segment,
                     .generation = place.generation,
                     .offset = place.offset,
                     .bytes = place.length,
                     .message = candidate.id});
  }

  const spool::Inspection& inspection_;
  Reporter& reporter_;
  Totals& totals_;
};

/// One partition, step by step.
class Verification {
 public:
  Verification(runtime::Ring& ring, VerifyPlan plan, Bytes metadata_key, Reporter& reporter, Totals& totals)
      : ring_(ring),
        plan_(std::move(plan)),
        metadata_key_(metadata_key),
        inspection_(ring, plan_.log, metadata_key),
        reporter_(reporter),
        totals_(totals) {}

  Task<Result<>> run() {
    Result<> done = co_await look();
    co_await inspection_.close();
    totals_.bytes_read += inspection_.report().bytes_read;
    co_return done;
  }

 private:
  Task<Result<>> look() {
    ++totals_.partitions;
    IndexView index;
    if (plan_.index) index = co_await read_index(ring_, std::move(plan_.index), plan_.log, metadata_key_, reporter_);
    mark_ = index.mark;
    totals_.index_entries += index.entries.messages().size();
    Survey survey(inspection_, reporter_, {.late = mark_.generation});
    survey.late() = std::move(index.entries);
    Result<> found = co_await inspection_.find(survey);
    if (!found) co_return found;
    Result<> read = co_await inspection_.read_all(survey);
    if (!read) co_return read;
    survey.conclude();
    totals_.segments += inspection_.report().segments;
    totals_.groups += inspection_.report().groups;
    totals_.records += survey.records();
    for (const auto& [id, known] : survey.ledger().messages()) ++(known.is_over() ? totals_.messages_over : totals_.messages);
    if (plan_.keys) {
      Result<> opened = co_await open_messages(survey);
      if (!opened) co_return opened;
    }
    if (mark_.generation != 0) compare_index(survey);
    co_return Result<>{};
  }

  Task<Result<>> open_messages(const Survey& survey) {
    std::vector<Candidate> candidates;
    for (const auto& [id, known] : survey.ledger().messages())
      for (const spool::Position& place : known.copies) candidates.push_back({id, place, &known, place == known.place});
    std::ranges::sort(candidates, {}, &Candidate::place);
    ReportedVerdicts verdicts(inspection_, reporter_, totals_);
    Examiner examiner(inspection_, *plan_.keys);
    Result<> done = co_await examiner.run(candidates, verdicts);
    co_return done;
  }

  /// A start that begins with the index must come to what one comes to that reads all of the log.
  void compare_index(Survey& survey) {
    if (inspection_.last_group() < mark_.group) report(FindingKind::log_behind_index);
    const Ledger& log = survey.ledger();
    const Ledger& start = survey.late();
    for (const auto& [id, known] : log.messages()) {
      if (known.is_over()) continue;
      const Known* indexed = start.find(id);
      if (!indexed || indexed->is_over())
        report(FindingKind::index_misses, known.place, id);
      else if (!agree(known, *indexed))
        report(FindingKind::index_differs, known.place, id);
    }
    for (const auto& [id, indexed] : start.messages()) {
      if (indexed.is_over()) continue;
      const Known* known = log.find(id);
      // An index may be older than the log: a generation that is gone was used again when all in it was over.
      if (!known && (inspection_.has_generation(indexed.place.generation) || is_missing(indexed.place.generation)))
        report(FindingKind::index_lost, indexed.place, id);
      if (known && known->is_over() && inspection_.has_generation(indexed.place.generation))
        report(FindingKind::index_differs, indexed.place, id);
    }
  }
  static bool agree(const Known& a, const Known& b) {
    // When the next attempt is due, and whether an operator or damage holds it, a start may have settled anew.
    const auto same = [](const spool::RecipientStatus& x, const spool::RecipientStatus& y) {
      return x.state == y.state && x.attempts == y.attempts;
    };
    return a.place == b.place && a.revision == b.revision && a.size == b.size && a.arrived == b.arrived &&
           std::ranges::equal(a.recipients, b.recipients, same);
  }
  /// It may lie in a file whose header cannot be read.
  bool is_missing(std::uint64_t generation) const {
    return inspection_.missing().contains(generation) || inspection_.report().segments_unknown > 0;
  }

  void report(FindingKind kind, const spool::Position& place = {}, std::optional<MessageId> message = {}) {
    const auto generation = inspection_.generations().find(place.generation);
    reporter_.found({.kind = kind,
                     .partition = plan_.log.partition,
                     .segment = generation == inspection_.generations().end() ? 0 : generation->second.segment,
                     .generation = place.generation,
                     .offset = place.offset,
                     .bytes = place.length,
                     .message = message});
  }

  runtime::Ring& ring_;
  VerifyPlan plan_;
  Bytes metadata_key_;
  spool::Inspection inspection_;
  Reporter& reporter_;
  Totals& totals_;
  index::LogMark mark_;
};

}  // namespace

Task<Result<>> verify_partition(runtime::Ring& ring, VerifyPlan plan, Bytes metadata_key, Reporter& reporter, Totals& totals) {
  Verification verification(ring, std::move(plan), metadata_key, reporter, totals);
  Result<> done = co_await verification.run();
  co_return done;
}

}  // namespace ringpost::rescue
