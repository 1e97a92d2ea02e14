// Reading records back from their segments.
#include <fcntl.h>

#include "ringpost/spool/message_reader.hh"
#include "segments.hh"

namespace ringpost::spool {

using crypto::kBlockBytes;
using runtime::Task;

namespace {

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

}  // namespace

Task<Result<Bytes>> Log::read_at(Position position, MutableBytes memory) {
  const Segment* segment = segments_->find(position.generation);
  if (!segment) co_return failure(Errc::not_found);
  const std::uint64_t begin = position.offset & ~std::uint64_t{kBlockBytes - 1};
  const std::uint64_t end = round_up(std::uint64_t{position.offset} + position.length, kBlockBytes);
  if (position.offset < kBlockBytes || end > segment->bytes) co_return failure(Errc::corrupt);
  RP_ASSERT(end - begin <= memory.size());
  const std::string name = segments_->path(segment->number);
  Result<std::uint32_t> opened = co_await ring_.open(name.c_str(), segments_->open_flags(O_RDONLY));
  if (!opened) co_return std::unexpected(opened.error());
  const Fd fd{static_cast<int>(*opened)};
  Result<> result;
  const Result<runtime::FileInfo> info = ring_.file_info(fd);
  if (!info) result = std::unexpected(info.error());
  if (info && info->size < end) result = failure(Errc::corrupt);  // a file that was cut
  for (std::uint64_t at = begin; result && at < end;) {
    Result<std::uint32_t> read = co_await ring_.read(fd, memory.subspan(at - begin, end - at), at);
    const std::uint32_t whole = read ? *read & ~std::uint32_t{kBlockBytes - 1} : 0;
    if (whole == 0) result = std::unexpected(read ? Error{Errc::io} : read.error());  // less than a block says nothing about the rest
    at += whole;
  }
  Result<std::uint32_t> closed = co_await ring_.close(fd);
  static_cast<void>(closed);
  if (!result) co_return std::unexpected(result.error());
  co_return Bytes{memory}.subspan(position.offset - begin, position.length);
}

Task<Result<crypto::RecordView>> Log::read_record(RecordKind kind, MessageId message, Position position, MutableBytes memory) {
  Result<Bytes> bytes = co_await read_at(position, memory);
  if (!bytes) co_return std::unexpected(bytes.error());
  Result<crypto::RecordView> record = crypto::RecordView::parse(*bytes);
  if (!record) co_return std::unexpected(record.error());
  const crypto::RecordFrame& frame = record->frame();
  if (frame.kind != static_cast<std::uint8_t>(kind) || frame.version != kRecordVersion || frame.message != message)
    co_return failure(Errc::corrupt);
  co_return *record;
}

std::size_t Log::read_bytes_for(const Position& position) { return round_up(position.length, kBlockBytes) + 2 * kBlockBytes; }

Task<Result<crypto::RecordView>> Log::read_message(MessageId message, Position place, MutableBytes memory, Arrays& arrays,
                                                   Scheduling& scheduling) {
  Result<crypto::RecordView> record = co_await read_record(RecordKind::message, message, place, memory);
  if (!record) co_return std::unexpected(record.error());
  if (record->frame().wrapped == 0 || record->first().empty() || record->second().empty()) co_return failure(Errc::corrupt);
  const Segment* segment = segments_->find(place.generation);
  if (!segment) co_return failure(Errc::not_found);
  std::vector<std::byte> plaintext(record->last().size() - crypto::kTagBytes);
  if (!record->open_last(segments_->keys(segment->generation, segment->salt).metadata, plaintext))
    co_return failure(Errc::corrupt);
  Result<Scheduling> decoded = decode_scheduling(plaintext, arrays);
  if (!decoded) co_return std::unexpected(decoded.error());
  scheduling = *decoded;
  co_return *record;
}

struct MessageReader::Buffer : AlignedBuffer {
  using AlignedBuffer::AlignedBuffer;
};

MessageReader::MessageReader(Log& log, const MessageId& message, const Position& place)
    : log_(log), message_(message), place_(place) {
  log_.segments_->hold(place_);  // a copy forward may let the original go while it is read
  held_.push_back(place_);
}

MessageReader::~MessageReader() {
  for (const Position& position : held_) log_.segments_->let_go(position);
}

Task<Result<>> MessageReader::load() {
  record_ = std::make_unique<Buffer>(Log::read_bytes_for(place_));
  Result<crypto::RecordView> record = co_await log_.read_message(message_, place_, record_->bytes(), arrays_, scheduling_);
  if (!record) co_return std::unexpected(record.error());
  view_ = *record;
  chunks_.assign(scheduling_.chunks.begin(), scheduling_.chunks.end());
  for (const Position& chunk : chunks_) {
    log_.segments_->hold(chunk);
    held_.push_back(chunk);
  }
  co_return Result<>{};
}

std::vector<crypto::WrappedKey> MessageReader::wrapped_keys() const {
  std::vector<crypto::WrappedKey> keys;
  for (std::uint32_t i = 0; i < view_->frame().wrapped; ++i) keys.push_back(view_->wrapped_key(i));
  return keys;
}

Result<> MessageReader::unlock(Key256 message_key) {
  RP_ASSERT(view_);
  opener_.emplace(std::move(message_key), log_.options_.store, message_);
  const Bytes sealed = view_->first();
  envelope_bytes_.resize(sealed.size() - crypto::kTagBytes);
  if (!opener_->open_envelope(sealed, envelope_bytes_)) return failure(Errc::corrupt);
  Result<Envelope> envelope = decode_envelope(envelope_bytes_, arrays_);
  if (!envelope) return std::unexpected(envelope.error());
  if (envelope->recipients.size() != scheduling_.recipients.size()) return failure(Errc::corrupt);
  envelope_ = *envelope;
  return {};
}

Task<Result<std::map<std::uint32_t, std::string>>> MessageReader::words(Position place) {
  RP_ASSERT(opener_);
  if (!log_.has_generation(place.generation)) co_return failure(Errc::not_found);
  log_.segments_->hold(place);
  Buffer buffer(Log::read_bytes_for(place));
  Result<crypto::RecordView> record = co_await log_.read_record(RecordKind::outcome, message_, place, buffer.bytes());
  log_.segments_->let_go(place);
  if (!record) co_return std::unexpected(record.error());
  std::map<std::uint32_t, std::string> words;
  const Bytes sealed = record->first();
  if (sealed.empty()) co_return words;
  if (sealed.size() < crypto::kNonceBytes + crypto::kTagBytes) co_return failure(Errc::corrupt);
  std::vector<std::byte> plaintext(sealed.size() - crypto::kNonceBytes - crypto::kTagBytes);
  if (!crypto::open_detail(crypto::AeadKey(opener_->detail_key().view()), message_, sealed, plaintext)) co_return failure(Errc::corrupt);
  const Result<std::vector<ReplyText>> texts = decode_detail(plaintext);
  if (!texts) co_return std::unexpected(texts.error());
  for (const ReplyText& reply : *texts) words.emplace(reply.index, reply.text);
  co_return words;
}

Task<Result<Bytes>> MessageReader::next() {
  RP_ASSERT(opener_);
  if (piece_ > chunks_.size()) co_return Bytes{};
  Bytes sealed;
  if (piece_ < chunks_.size()) {
    const std::size_t needed = Log::read_bytes_for(chunks_[piece_]);
    if (!chunk_ || chunk_->bytes().size() < needed) chunk_ = std::make_unique<Buffer>(needed);
    Result<crypto::RecordView> chunk = co_await log_.read_record(RecordKind::chunk, message_, chunks_[piece_], chunk_->bytes());
    if (!chunk) co_return std::unexpected(chunk.error());
    sealed = chunk->last();
  } else {
    sealed = view_->second();
  }
  const bool final = piece_ == chunks_.size();
  const std::size_t size = sealed.size() - crypto::kTagBytes;
  if (size > crypto::kChunkBytesMax || (!final && size == 0)) co_return failure(Errc::corrupt);
  piece_bytes_.resize(size);
  if (!opener_->open_chunk(piece_, final, sealed, piece_bytes_)) co_return failure(Errc::corrupt);
  bytes_seen_ += size;
  if (final && bytes_seen_ != scheduling_.size) co_return failure(Errc::corrupt);
  ++piece_;
  co_return Bytes{piece_bytes_};
}

}  // namespace ringpost::spool
