// Records as they are put into the group that is filling.
#include <algorithm>

#include "ringpost/spool/log.hh"
#include "segments.hh"

namespace ringpost::spool {

namespace {

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

constexpr std::uint8_t number(RecordKind kind) { return static_cast<std::uint8_t>(kind); }

Scheduling with_chunks(const MessageDraft& draft) {
  Scheduling scheduling = draft.scheduling;
  scheduling.chunks = draft.chunks ? draft.chunks->positions() : std::span<const Position>{};
  return scheduling;
}

bool fits_format(const MessageDraft& draft) {
  const auto text_fits = [](std::string_view text, std::size_t bytes_max) { return text.size() <= bytes_max; };
  const Envelope& envelope = draft.envelope;
  if (draft.keys.empty() || draft.keys.size() > crypto::kWrappedKeysMax) return false;
  if (envelope.recipients.empty() || envelope.recipients.size() > kRecipientsMax) return false;
  if (!text_fits(envelope.helo, kHeloBytesMax) || !text_fits(envelope.reverse_path, kAddressBytesMax)) return false;
  if (!text_fits(envelope.parameters, kParametersBytesMax)) return false;
  return std::ranges::all_of(envelope.recipients, [&](const Envelope::Recipient& recipient) {
    return !recipient.address.empty() && text_fits(recipient.address, kAddressBytesMax) &&
           text_fits(recipient.parameters, kParametersBytesMax) && recipient.owner < draft.keys.size();
  });
}

}  // namespace

// ---- Chunks

Chunks::Chunks(Chunks&& other) noexcept
    : log_(std::exchange(other.log_, nullptr)),
      positions_(std::move(other.positions_)),
      first_group_(other.first_group_),
      last_group_(other.last_group_) {
  other.positions_.clear();
}

Chunks& Chunks::operator=(Chunks&& other) noexcept {
  if (this == &other) return *this;
  clear();
  log_ = std::exchange(other.log_, nullptr);
  positions_ = std::move(other.positions_);
  other.positions_.clear();
  first_group_ = other.first_group_;
  last_group_ = other.last_group_;
  return *this;
}

void Chunks::clear() {
  for (const Position& position : positions_) log_->segments_->let_go(position);
  positions_.clear();
  log_ = nullptr;
}

// ---- sizes

std::size_t bytes_of(const MessageDraft& draft) {
  return crypto::record_bytes(static_cast<std::uint32_t>(draft.keys.size()), encoded_bytes(draft.envelope),
                              draft.last_piece.size(), encoded_bytes(with_chunks(draft)));
}

std::size_t bytes_of(const OutcomeDraft& draft) {
  const std::size_t detail = draft.detail_key ? encoded_detail_bytes(draft.outcome) : 0;
  const auto first = detail > 0 ? std::optional{crypto::kNonceBytes + detail} : std::nullopt;
  return crypto::record_bytes(0, first, {}, encoded_bytes(draft.outcome));
}

std::size_t bytes_of_chunk(std::size_t plaintext_bytes) { return crypto::record_bytes(0, {}, {}, plaintext_bytes); }
std::size_t bytes_of_audit(std::size_t encoded_bytes) {
  return crypto::record_bytes(0, {}, {}, kAuditPrefixBytes + encoded_bytes);
}

// ---- Room

Room::Room(Log& log) : log_(&log), records_before_(log.filling_->sealer.records()), size_before_(log.filling_->sealer.size()) {
  RP_ASSERT(!log.room_open_);
  log.room_open_ = true;
}

Room::Room(Room&& other) noexcept
    : log_(std::exchange(other.log_, nullptr)),
      records_before_(other.records_before_),
      size_before_(other.size_before_),
      must_commit_(other.must_commit_) {}

Room::~Room() {
  if (!log_) return;
  RP_ASSERT(!must_commit_);  // a message or chunk counts as alive from the moment it was added
  log_->room_open_ = false;
  log_->filling_->sealer.rewind(records_before_, size_before_);
}

Ticket Room::commit() {
  Log& log = *std::exchange(log_, nullptr);
  log.room_open_ = false;
  log.filled();
  return {log.filling_->number};
}

Ticket Room::ticket() const { return {log_->filling_->number}; }

MutableBytes Room::slot(std::size_t bytes) {
  RP_ASSERT(log_);
  return log_->filling_->sealer.slot(bytes);
}

Position Room::added(const crypto::SealedRecord& record) {
  Log::Group& group = *log_->filling_;
  const Position position{group.segment->generation, static_cast<std::uint32_t>(group.offset + group.sealer.size()),
                          static_cast<std::uint32_t>(record.size())};
  group.sealer.add(record);
  return position;
}

Result<Position> Room::add_message(const MessageDraft& draft) {
  RP_ASSERT(draft.scheduling.recipients.size() == draft.envelope.recipients.size());
  if (!fits_format(draft)) return failure(Errc::limit);
  if (draft.chunks && !draft.chunks->positions_.empty() &&
      log_->has_failed(draft.chunks->first_group_, draft.chunks->last_group_))
    return failure(Errc::io);
  const MessageId& id = draft.sealer->message();
  const Scheduling scheduling = with_chunks(draft);
  RP_ASSERT(scheduling.chunks.size() == draft.sealer->chunks());
  crypto::RecordSealer record(slot(bytes_of(draft)), number(RecordKind::message), kRecordVersion, 0, id, ++log_->sequence_);
  for (const crypto::WrappedKey& key : draft.keys) record.add_wrapped_key(key);
  encode(draft.envelope, record.envelope_room(encoded_bytes(draft.envelope)));
  record.seal_envelope(*draft.sealer);
  record.seal_final(*draft.sealer, draft.last_piece);
  encode(scheduling, record.metadata_room(encoded_bytes(scheduling)));
  const Position place = added(record.finish(log_->keys_->metadata));
  log_->segments_->hold(place);
  if (draft.chunks && !draft.chunks->positions_.empty()) {
    log_->chunks_[id] = extents_of(draft.chunks->positions_);
    draft.chunks->positions_.clear();
  }
  must_commit_ = true;
  return place;
}

Result<Position> Room::add_chunk(Chunks& chunks, crypto::MessageSealer& sealer, Bytes plaintext) {
  if (chunks.positions_.size() >= kChunksMax) return failure(Errc::limit);
  if (!chunks.positions_.empty() && log_->has_failed(chunks.first_group_, chunks.last_group_)) return failure(Errc::io);
  crypto::RecordSealer record(slot(bytes_of_chunk(plaintext.size())), number(RecordKind::chunk), kRecordVersion, 0,
                              sealer.message(), ++log_->sequence_);
  return keep_chunk(chunks, added(record.finish_chunk(sealer, plaintext)));
}

Position Room::add_copied_chunk(Chunks& chunks, const crypto::RecordView& source) {
  crypto::RecordSealer record(slot(source.frame().length), number(RecordKind::chunk), source.frame().version,
                              source.frame().flags, source.frame().message, ++log_->sequence_);
  return keep_chunk(chunks, added(record.finish_copied_chunk(source)));
}

Position Room::keep_chunk(Chunks& chunks, Position position) {
  if (chunks.positions_.empty()) {
    chunks.log_ = log_;
    chunks.first_group_ = log_->filling_->number;
  }
  chunks.last_group_ = log_->filling_->number;
  chunks.positions_.push_back(position);
  log_->segments_->hold(position);
  must_commit_ = true;
  return position;
}

Position Room::add_copied_message(const crypto::RecordView& source, const Scheduling& scheduling) {
  const std::size_t plaintext = encoded_bytes(scheduling);
  crypto::RecordSealer record(slot(bytes_of_copy(source, scheduling)), number(RecordKind::message), source.frame().version,
                              source.frame().flags, source.frame().message, ++log_->sequence_);
  record.copy_sections(source);
  encode(scheduling, record.metadata_room(plaintext));
  const Position place = added(record.finish(log_->keys_->metadata));
  log_->segments_->hold(place);
  log_->segments_->need(place.generation, scheduling.copied_from);
  must_commit_ = true;
  return place;
}

std::size_t Room::bytes_of_copy(const crypto::RecordView& source, const Scheduling& scheduling) {
  return crypto::record_bytes(source.frame().wrapped, source.first().size() - crypto::kTagBytes,
                              source.second().size() - crypto::kTagBytes, encoded_bytes(scheduling));
}

Position Room::add_outcome(const OutcomeDraft& draft) {
  const std::size_t plaintext = encoded_bytes(draft.outcome);
  crypto::RecordSealer record(slot(bytes_of(draft)), number(RecordKind::outcome), kRecordVersion, 0, draft.message,
                              ++log_->sequence_);
  const std::size_t detail = draft.detail_key ? encoded_detail_bytes(draft.outcome) : 0;
  if (detail > 0) {
    crypto::Nonce nonce;
    log_->ring_.random(nonce);
    std::vector<std::byte> texts(detail);
    encode_detail(draft.outcome, texts);
    record.seal_detail(crypto::AeadKey(draft.detail_key->view()), nonce, texts);
    wipe(texts);
  }
  encode(draft.outcome, record.metadata_room(plaintext));
  const Position place = added(record.finish(log_->keys_->metadata));
  log_->segments_->need(place.generation, draft.outcome.message_generation);
  return place;
}

void Room::add_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) {
  const std::size_t plaintext = kAuditPrefixBytes + encoded.size();
  crypto::RecordSealer record(slot(bytes_of_audit(encoded.size())), number(RecordKind::audit), kRecordVersion, 0, MessageId{},
                              ++log_->sequence_);
  const MutableBytes room = record.metadata_room(plaintext);
  copy_bytes(room, incarnation.bytes);
  store_le(room.data() + 16, sequence);
  copy_bytes(room.subspan(kAuditPrefixBytes), encoded);
  const Position place = added(record.finish(log_->keys_->metadata));
  log_->segments_->note_audit(place.generation, incarnation, sequence);
}

}  // namespace ringpost::spool
