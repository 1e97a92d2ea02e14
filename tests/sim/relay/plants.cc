#include "plants.hh"

#include <deque>

#include "ringpost/base/assert.hh"
#include "ringpost/crypto/record.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/queue/message.hh"
#include "ringpost/queue/schedule.hh"
#include "ringpost/spool/log.hh"
#include "ringpost/spool/records.hh"
#include "shard/backlog.hh"

namespace ringpost::sim::relay {

namespace {

// Below a ring.
constexpr std::string_view k250BeforeSync = "250-before-sync", kFailedSyncRetried = "failed-sync-retried",
                           kNonceReused = "nonce-reused", kChunkBeforeSync = "chunk-before-sync",
                           kAuditAckBeforeSync = "audit-ack-before-sync";
// In place of a function.
constexpr std::string_view kOutcomeLost = "outcome-lost";              // it is not in the group that is to make it durable
constexpr std::string_view kReportUnsettled = "report-unsettled";      // the report is durable, but not that nothing is owed any more
constexpr std::string_view kEventLost = "event-lost";                  // an event is only in memory when its fact is durable
constexpr std::string_view kAuditMarkTooFar = "audit-mark-too-far";    // events may go that auditd has not acknowledged
constexpr std::string_view kIndexMarkTooFar = "index-mark-too-far";    // a start skips what the index was not told yet
constexpr std::string_view kTakenUpTooEarly = "taken-up-too-early";    // old messages, before the whole log is known
constexpr std::string_view kCopyLosesOutcomes = "copy-loses-outcomes";  // a message copied to make space begins anew
constexpr std::string_view kExpiresByWallClock = kClockPlant;          // a start counts as age what the wall clock says

constexpr std::size_t kNonceBytes = sizeof(crypto::Nonce);
constexpr std::uint64_t kLostOneIn = 20, kEventsTooFar = 100;

/// What is planted, and where; null: nothing.
World* planted_in = nullptr;
std::string_view planted;
std::deque<std::vector<spool::RecipientStatus>> blank;  // that copies of messages were given

bool is_planted(std::string_view name) { return planted_in && planted == name; }
bool is_lost(std::string_view name) { return is_planted(name) && planted_in->prng().one_in(kLostOneIn); }

/// The whole sectors inside of the first CHUNK record of a group; nothing when there is none.
Extent sectors_of_chunk(Bytes written) {
  constexpr std::size_t kSector = 512;
  if (written.size() < crypto::GroupHeader::kBytes) return {};
  const auto header = crypto::parse_group_header(written);
  if (!header || header->group_bytes() > written.size()) return {};
  Extent found;
  crypto::for_each_record(written, *header, [&](Bytes bytes, std::uint32_t offset) {
    const auto record = crypto::RecordView::parse(bytes);
    const bool is_chunk = record && record->frame().kind == static_cast<std::uint8_t>(spool::RecordKind::chunk);
    if (!is_chunk || found.bytes > 0) return;
    const std::size_t begin = round_up(offset, kSector), end = (offset + bytes.size()) / kSector * kSector;
    if (begin < end) found = {begin, end - begin};
  });
  return found;
}

}  // namespace

std::vector<std::string_view> plant_names() {
  return {k250BeforeSync, kFailedSyncRetried, kNonceReused,     kChunkBeforeSync, kAuditAckBeforeSync, kOutcomeLost,       kReportUnsettled,
          kEventLost,     kAuditMarkTooFar,   kIndexMarkTooFar, kTakenUpTooEarly, kCopyLosesOutcomes,  kExpiresByWallClock};
}

Plant::Plant(World& world, std::string_view name) {
  deceit_.sync_later = name == k250BeforeSync;
  deceit_.failed_sync_again = name == kFailedSyncRetried;
  if (name == kNonceReused) deceit_.repeated_draw_bytes = kNonceBytes;
  if (name == kChunkBeforeSync) deceit_.late = &sectors_of_chunk;
  auditd_deceit_.sync_later = name == kAuditAckBeforeSync;
  planted_in = &world;
  planted = name;
}

Plant::~Plant() { planted_in = nullptr, blank.clear(); }

// With --wrap the linker gives two names to a function: __wrap_ to who calls it from another file, __real_ to what it is. Functions
// of a class take the object first.
#define PLANT_REAL(name) asm("__real_" name)
#define PLANT_WRAP(name) asm("__wrap_" name)

#define ADD_OUTCOME "_ZN8ringpost5spool4Room11add_outcomeERKNS0_12OutcomeDraftE"
spool::Position real_add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) PLANT_REAL(ADD_OUTCOME);
spool::Position add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) PLANT_WRAP(ADD_OUTCOME);
spool::Position add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) {
  const bool settles_debt = draft.detail_key == nullptr;  // nobody's answer is in it
  if (is_lost(kOutcomeLost) || (settles_debt && is_planted(kReportUnsettled))) return {};
  return real_add_outcome(room, draft);
}

#define ADD_AUDIT "_ZN8ringpost5spool4Room9add_auditERKNS_2IdINS_16IncarnationIdTagEEEmSt4spanIKSt4byteLm18446744073709551615EE"
void real_add_audit(spool::Room* room, const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) PLANT_REAL(ADD_AUDIT);
void add_audit(spool::Room* room, const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) PLANT_WRAP(ADD_AUDIT);
void add_audit(spool::Room* room, const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) {
  if (!is_lost(kEventLost)) real_add_audit(room, incarnation, sequence, encoded);
}

#define CHANGED "_ZN8ringpost5shard7Backlog7changedERNS_5queue7MessageE"
void real_changed(shard::Backlog* backlog, queue::Message& message) PLANT_REAL(CHANGED);
void changed(shard::Backlog* backlog, queue::Message& message) PLANT_WRAP(CHANGED);
void changed(shard::Backlog* backlog, queue::Message& message) {
  real_changed(backlog, message);
  if (is_planted(kIndexMarkTooFar)) message.changed_in = ~std::uint64_t{0};  // holds no mark back
}

#define AUDIT_ACKNOWLEDGED "_ZN8ringpost5spool3Log18audit_acknowledgedERKNS0_9AuditMarkE"
void real_audit_acknowledged(spool::Log* log, const spool::AuditMark& mark) PLANT_REAL(AUDIT_ACKNOWLEDGED);
void audit_acknowledged(spool::Log* log, const spool::AuditMark& mark) PLANT_WRAP(AUDIT_ACKNOWLEDGED);
void audit_acknowledged(spool::Log* log, const spool::AuditMark& mark) {
  real_audit_acknowledged(log, {mark.incarnation, mark.sequence + (is_planted(kAuditMarkTooFar) ? kEventsTooFar : 0)});
}

#define TAKE_UP "_ZN8ringpost5shard7Backlog7take_upEv"
runtime::Task<void> real_take_up(shard::Backlog* backlog) PLANT_REAL(TAKE_UP);
runtime::Task<void> take_up(shard::Backlog* backlog) PLANT_WRAP(TAKE_UP);
runtime::Task<void> take_up(shard::Backlog* backlog) {
  if (is_planted(kTakenUpTooEarly)) backlog->complete([] {});
  return real_take_up(backlog);
}

#define COPY_FORWARD "_ZN8ringpost5spool3Log12copy_forwardENS_2IdINS_12MessageIdTagEEENS0_8PositionEmNS0_10SchedulingE"
using Copied = runtime::Task<Result<spool::Position>>;
Copied real_copy_forward(spool::Log* log, MessageId message, spool::Position place, std::uint64_t generation,
                         spool::Scheduling scheduling) PLANT_REAL(COPY_FORWARD);
Copied copy_forward(spool::Log* log, MessageId message, spool::Position place, std::uint64_t generation,
                    spool::Scheduling scheduling) PLANT_WRAP(COPY_FORWARD);
Copied copy_forward(spool::Log* log, MessageId message, spool::Position place, std::uint64_t generation, spool::Scheduling scheduling) {
  if (is_planted(kCopyLosesOutcomes)) scheduling.recipients = blank.emplace_back(scheduling.recipients.size());
  return real_copy_forward(log, message, place, generation, scheduling);
}

#define AGE_AFTER_START "_ZN8ringpost5queue15age_after_startENSt6chrono8durationIlSt5ratioILl1ELl1000000000EEEES5_S5_"
Duration real_age_after_start(Duration age_when_due, Duration until_due, Duration longest_wait) PLANT_REAL(AGE_AFTER_START);
Duration age_after_start(Duration age_when_due, Duration until_due, Duration longest_wait) PLANT_WRAP(AGE_AFTER_START);
Duration age_after_start(Duration age_when_due, Duration until_due, Duration longest_wait) {
  if (is_planted(kExpiresByWallClock)) return age_when_due - until_due;
  return real_age_after_start(age_when_due, until_due, longest_wait);
}

}  // namespace ringpost::sim::relay
