#include "plants.hh"

#include "ringpost/base/assert.hh"
#include "ringpost/crypto/record.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/spool/log.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::sim::relay {

namespace {

constexpr std::string_view k250BeforeSync = "250-before-sync", kFailedSyncRetried = "failed-sync-retried",
                           kNonceReused = "nonce-reused", kOutcomeLost = "outcome-lost", kChunkBeforeSync = "chunk-before-sync";

constexpr std::size_t kNonceBytes = sizeof(crypto::Nonce);
constexpr std::uint64_t kOutcomesLostOneIn = 20;

/// Where outcomes are lost now; null: nowhere.
World* losing_outcomes = nullptr;

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
  return {k250BeforeSync, kFailedSyncRetried, kNonceReused, kOutcomeLost, kChunkBeforeSync};
}

Plant::Plant(World& world, std::string_view name) {
  deceit_.sync_later = name == k250BeforeSync;
  deceit_.failed_sync_again = name == kFailedSyncRetried;
  if (name == kNonceReused) deceit_.repeated_draw_bytes = kNonceBytes;
  if (name == kChunkBeforeSync) deceit_.late = &sectors_of_chunk;
  if (name == kOutcomeLost) losing_outcomes = &world;
}

Plant::~Plant() { losing_outcomes = nullptr; }

// With --wrap the linker gives these two names to spool::Room::add_outcome: the second to who calls it, the first to what it is.
spool::Position add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) asm(
    "__real__ZN8ringpost5spool4Room11add_outcomeERKNS0_12OutcomeDraftE");
spool::Position perhaps_add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) asm(
    "__wrap__ZN8ringpost5spool4Room11add_outcomeERKNS0_12OutcomeDraftE");

spool::Position perhaps_add_outcome(spool::Room* room, const spool::OutcomeDraft& draft) {
  if (losing_outcomes && losing_outcomes->prng().one_in(kOutcomesLostOneIn)) return {};
  return add_outcome(room, draft);
}

}  // namespace ringpost::sim::relay
