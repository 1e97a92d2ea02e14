#include "examiner.hh"

#include <algorithm>

namespace ringpost::rescue {

using keys::protocol::kUnwrapItemsMax;
using keys::protocol::Status;
using runtime::Task;

namespace {

/// Records kept in memory until their keys are there.
constexpr std::size_t kBatchBytes = 8_MiB;
constexpr Duration kOverBudgetPause = std::chrono::seconds{5};

}  // namespace

Task<Result<>> KeydKeys::unwrap(std::span<const keys::UnwrapItem> items, std::span<keys::protocol::UnwrappedItem> keys) {
  for (;;) {
    Result<> unwrapped = co_await client_.unwrap(items, keys);
    if (unwrapped || unwrapped.error().code != Errc::limit) co_return unwrapped;
    co_await ring_.sleep_for(kOverBudgetPause);
  }
}

Task<Result<>> Examiner::run(const std::vector<Candidate>& candidates, Verdicts& verdicts) {
  std::vector<Loaded> batch;
  std::size_t bytes = 0, items = 0;
  for (const Candidate& candidate : candidates) {
    Loaded loaded{.candidate = &candidate};
    co_await load(loaded);
    if (items + loaded.items > kUnwrapItemsMax || bytes > kBatchBytes) {
      Result<> judged = co_await judge(batch, verdicts);
      if (!judged) co_return judged;
      batch.clear();
      bytes = items = 0;
    }
    loaded.first_item = static_cast<std::uint32_t>(items);
    items += loaded.items;
    bytes += loaded.record.size();
    batch.push_back(std::move(loaded));
  }
  Result<> judged = co_await judge(batch, verdicts);
  co_return judged;
}

Task<void> Examiner::load(Loaded& loaded) {
  const Candidate& candidate = *loaded.candidate;
  Result<crypto::RecordView> record =
      co_await inspection_.read(spool::RecordKind::message, candidate.id, candidate.place, records_);
  loaded.fault = FindingKind::record;
  if (!record || !inspection_.open_last(*record, candidate.place, plaintext_)) co_return;
  const Result<spool::Scheduling> scheduling = spool::decode_scheduling(plaintext_, loaded.arrays);
  if (!scheduling || record->frame().wrapped == 0 || record->first().empty() || record->second().empty()) co_return;
  loaded.fault.reset();
  loaded.scheduling = *scheduling;
  loaded.record.assign(record->bytes().begin(), record->bytes().end());
  loaded.items = record->frame().wrapped;
}

Task<Result<>> Examiner::unlock(std::vector<Loaded>& batch) {
  std::vector<keys::UnwrapItem> items;
  for (const Loaded& loaded : batch) {
    if (loaded.fault) continue;
    const Result<crypto::RecordView> record = crypto::RecordView::parse(loaded.record);
    for (std::uint32_t i = 0; i < loaded.items; ++i) items.push_back({record->wrapped_key(i), loaded.candidate->id});
  }
  if (items.empty()) co_return Result<>{};
  std::vector<keys::protocol::UnwrappedItem> keys(items.size());
  Result<> unwrapped = co_await keys_.unwrap(items, keys);
  if (!unwrapped) co_return unwrapped;
  for (Loaded& loaded : batch) {
    if (loaded.fault) continue;
    bool missing = false;
    for (std::uint32_t i = loaded.first_item; i < loaded.first_item + loaded.items; ++i) {
      missing = missing || keys[i].status == Status::unknown_key;
      if (keys[i].status == Status::ok && !loaded.key) loaded.key = std::move(keys[i].message_key);
    }
    if (!loaded.key) loaded.fault = missing ? FindingKind::key_missing : FindingKind::key_damaged;
  }
  co_return Result<>{};
}

Task<Result<>> Examiner::judge(std::vector<Loaded>& batch, Verdicts& verdicts) {
  Result<> unlocked = co_await unlock(batch);
  if (!unlocked) co_return unlocked;
  for (Loaded& loaded : batch) {
    if (!loaded.fault) loaded.fault = co_await open(loaded, verdicts);
    Result<> taken = co_await verdicts.judged(*loaded.candidate, loaded.fault, loaded.record, loaded.scheduling);
    if (!taken) co_return taken;
  }
  co_return Result<>{};
}

Task<std::optional<FindingKind>> Examiner::open(Loaded& loaded, Verdicts& verdicts) {
  const Result<crypto::RecordView> record = crypto::RecordView::parse(loaded.record);
  const crypto::MessageOpener opener(std::move(*loaded.key), inspection_.options().store, loaded.candidate->id);
  co_await open_words(loaded, opener, verdicts);
  plaintext_.resize(record->first().size() - crypto::kTagBytes);
  if (!opener.open_envelope(record->first(), plaintext_)) co_return FindingKind::envelope;
  const Result<spool::Envelope> envelope = spool::decode_envelope(plaintext_, arrays_);
  const bool fits = envelope && envelope->recipients.size() == loaded.scheduling.recipients.size();
  wipe(plaintext_);
  if (!fits) co_return FindingKind::envelope;
  const std::optional<FindingKind> fault = co_await open_pieces(loaded, *record, opener);
  wipe(plaintext_);
  co_return fault;
}

Task<std::optional<FindingKind>> Examiner::open_pieces(Loaded& loaded, const crypto::RecordView& record,
                                                       const crypto::MessageOpener& opener) {
  std::uint64_t size = 0;
  std::uint32_t index = 0;
  for (const spool::Position& place : loaded.scheduling.chunks) {
    // Nothing keeps the pieces of a message that is over, nor those of an older copy.
    const bool kept = loaded.candidate->is_newest && !loaded.candidate->known->is_over();
    if (!kept && !inspection_.has_generation(place.generation)) co_return std::nullopt;
    Result<crypto::RecordView> chunk = co_await inspection_.read(spool::RecordKind::chunk, loaded.candidate->id, place, pieces_);
    if (!chunk && !kept) co_return std::nullopt;  // overwritten under the same number it cannot be, but its file may end before
    if (!chunk) co_return FindingKind::chunk;
    const Bytes sealed = chunk->last();
    plaintext_.resize(sealed.size() - crypto::kTagBytes);
    const bool fits = !plaintext_.empty() && plaintext_.size() <= crypto::kChunkBytesMax;
    if (!fits || !opener.open_chunk(index, false, sealed, plaintext_)) co_return FindingKind::content;
    size += plaintext_.size();
    ++index;
  }
  plaintext_.resize(record.second().size() - crypto::kTagBytes);
  if (plaintext_.size() > crypto::kChunkBytesMax || !opener.open_chunk(index, true, record.second(), plaintext_))
    co_return FindingKind::content;
  size += plaintext_.size();
  if (size != loaded.scheduling.size) co_return FindingKind::content;
  co_return std::nullopt;
}

Task<void> Examiner::open_words(Loaded& loaded, const crypto::MessageOpener& opener, Verdicts& verdicts) {
  if (!loaded.candidate->is_newest) co_return;
  const Key256 key = opener.detail_key();
  const crypto::AeadKey aead(key.view());
  for (const spool::Position& place : loaded.candidate->known->outcomes) {
    Result<crypto::RecordView> outcome =
        co_await inspection_.read(spool::RecordKind::outcome, loaded.candidate->id, place, words_);
    bool good = false;
    if (outcome && outcome->first().size() >= crypto::kNonceBytes + crypto::kTagBytes) {
      plaintext_.resize(outcome->first().size() - crypto::kNonceBytes - crypto::kTagBytes);
      good = crypto::open_detail(aead, loaded.candidate->id, outcome->first(), plaintext_) &&
             spool::decode_detail(plaintext_).has_value();
      wipe(plaintext_);
    }
    if (!good) verdicts.words_damaged(*loaded.candidate, place);
  }
}

}  // namespace ringpost::rescue
