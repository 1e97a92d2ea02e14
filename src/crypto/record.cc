#include "ringpost/crypto/record.hh"

#include <algorithm>

#include "ringpost/base/units.hh"
#include "ringpost/crypto/nonce.hh"

namespace ringpost::crypto {

namespace {

/// What the last section of a record authenticates besides itself: frame, wrapped keys, the tags of the other sections.
struct LastIdentity {
  std::array<std::byte, RecordFrame::kBytes + kWrappedKeysMax * kWrappedKeyBytes + 2 * kTagBytes> bytes;
  std::size_t size = 0;

  LastIdentity(Bytes record, const RecordFrame& frame) {
    std::size_t offset = RecordFrame::kBytes + std::size_t{frame.wrapped} * kWrappedKeyBytes;
    add(record.first(offset));
    for (std::uint32_t section : {frame.first, frame.second}) {
      offset += section;
      if (section > 0) add(record.subspan(offset - kTagBytes, kTagBytes));
    }
  }
  void add(Bytes part) {
    copy_bytes(MutableBytes{bytes}.subspan(size), part);
    size += part.size();
  }
  Bytes view() const { return Bytes{bytes}.first(size); }
};

Result<RecordFrame> corrupt() { return std::unexpected(Error{Errc::corrupt}); }

/// A section is absent or holds at least its tag.
bool plausible(std::uint32_t section) { return section == 0 || section >= kTagBytes; }

}  // namespace

void RecordFrame::encode(MutableBytes out) const {
  out[0] = std::byte{kind};
  out[1] = std::byte{version};
  store_le(out.data() + 2, flags);
  store_le(out.data() + 4, length);
  copy_bytes(out.subspan(8), message.bytes);
  store_le(out.data() + 24, sequence);
  store_le(out.data() + 32, wrapped);
  store_le(out.data() + 36, first);
  store_le(out.data() + 40, second);
  store_le(out.data() + 44, last);
}

Result<RecordFrame> RecordFrame::decode(Bytes at) {
  if (at.size() < kBytes) return corrupt();
  RecordFrame frame;
  frame.kind = std::to_integer<std::uint8_t>(at[0]);
  frame.version = std::to_integer<std::uint8_t>(at[1]);
  frame.flags = load_le<std::uint16_t>(at.data() + 2);
  frame.length = load_le<std::uint32_t>(at.data() + 4);
  copy_bytes(frame.message.bytes, at.subspan(8, 16));
  frame.sequence = load_le<std::uint64_t>(at.data() + 24);
  frame.wrapped = load_le<std::uint32_t>(at.data() + 32);
  frame.first = load_le<std::uint32_t>(at.data() + 36);
  frame.second = load_le<std::uint32_t>(at.data() + 40);
  frame.last = load_le<std::uint32_t>(at.data() + 44);
  if (frame.wrapped > kWrappedKeysMax || !plausible(frame.first) || !plausible(frame.second) || frame.last < kTagBytes)
    return corrupt();
  const std::uint64_t parts = kBytes + std::uint64_t{frame.wrapped} * kWrappedKeyBytes + frame.first + frame.second + frame.last;
  if (round_up(parts, kRecordAlignment) != frame.length || frame.length > at.size()) return corrupt();
  return frame;
}

std::size_t record_bytes(std::uint32_t wrapped, std::optional<std::size_t> first, std::optional<std::size_t> second,
                         std::size_t last) {
  std::size_t size = RecordFrame::kBytes + std::size_t{wrapped} * kWrappedKeyBytes + last + kTagBytes;
  if (first) size += *first + kTagBytes;
  if (second) size += *second + kTagBytes;
  return round_up(size, kRecordAlignment);
}

Result<RecordView> RecordView::parse(Bytes record) {
  Result<RecordFrame> frame = RecordFrame::decode(record);
  if (!frame) return std::unexpected(frame.error());
  if (frame->length != record.size()) return std::unexpected(Error{Errc::corrupt});
  RecordView view;
  view.frame_ = *frame;
  view.bytes_ = record;
  const std::size_t padding = view.first_offset() + frame->first + frame->second;
  for (std::byte zero : record.subspan(padding, record.size() - frame->last - padding))
    if (zero != std::byte{}) return std::unexpected(Error{Errc::corrupt});
  return view;
}

WrappedKey RecordView::wrapped_key(std::uint32_t index) const {
  RP_ASSERT(index < frame_.wrapped);
  return WrappedKey::decode(bytes_.subspan(RecordFrame::kBytes + index * kWrappedKeyBytes, kWrappedKeyBytes));
}

bool RecordView::open_last(const AeadKey& metadata_key, MutableBytes out) const {
  const LastIdentity identity(bytes_, frame_);
  return metadata_key.open(metadata_nonce(frame_.sequence), identity.view(), last(), out);
}

RecordSealer::RecordSealer(MutableBytes slot, std::uint8_t kind, std::uint8_t version, std::uint16_t flags,
                           const MessageId& message, std::uint64_t sequence)
    : slot_(slot) {
  RP_ASSERT(slot.size() >= RecordFrame::kBytes && slot.size() % kRecordAlignment == 0);
  frame_ = {.kind = kind,
            .version = version,
            .flags = flags,
            .length = static_cast<std::uint32_t>(slot.size()),
            .message = message,
            .sequence = sequence};
}

MutableBytes RecordSealer::take(std::size_t bytes) {
  RP_ASSERT(bytes <= slot_.size() - size_);
  const MutableBytes part = slot_.subspan(size_, bytes);
  size_ += bytes;
  return part;
}

void RecordSealer::add_wrapped_key(const WrappedKey& key) {
  RP_ASSERT(stage_ == Stage::wrapped && frame_.wrapped < kWrappedKeysMax);
  ++frame_.wrapped;
  key.encode(take(kWrappedKeyBytes));
}

MutableBytes RecordSealer::envelope_room(std::size_t plaintext_bytes) {
  RP_ASSERT(stage_ == Stage::wrapped);
  stage_ = Stage::first_open;
  frame_.first = static_cast<std::uint32_t>(plaintext_bytes + kTagBytes);
  return take(frame_.first).first(plaintext_bytes);
}

void RecordSealer::seal_envelope(MessageSealer& sealer) {
  RP_ASSERT(stage_ == Stage::first_open && sealer.message() == frame_.message);
  stage_ = Stage::first;
  sealer.seal_envelope(slot_.subspan(size_ - frame_.first, frame_.first));
}

void RecordSealer::seal_detail(const AeadKey& detail_key, const Nonce& random_nonce, Bytes plaintext) {
  RP_ASSERT(stage_ == Stage::wrapped);
  stage_ = Stage::first;
  frame_.first = static_cast<std::uint32_t>(kNonceBytes + plaintext.size() + kTagBytes);
  const MutableBytes section = take(frame_.first);
  copy_bytes(section, random_nonce);
  detail_key.seal(random_nonce, frame_.message.bytes, plaintext, section.subspan(kNonceBytes));
}

void RecordSealer::seal_final(MessageSealer& sealer, Bytes plaintext) {
  RP_ASSERT((stage_ == Stage::wrapped || stage_ == Stage::first) && sealer.message() == frame_.message);
  stage_ = Stage::second;
  frame_.second = static_cast<std::uint32_t>(plaintext.size() + kTagBytes);
  sealer.seal_final(plaintext, take(frame_.second));
}

void RecordSealer::copy_sections(const RecordView& source) {
  RP_ASSERT(stage_ == Stage::wrapped && frame_.wrapped == 0 && source.frame().message == frame_.message);
  stage_ = Stage::second;
  frame_.wrapped = source.frame().wrapped;
  frame_.first = source.frame().first;
  frame_.second = source.frame().second;
  const std::size_t size = std::size_t{frame_.wrapped} * kWrappedKeyBytes + frame_.first + frame_.second;
  copy_bytes(take(size), source.bytes().subspan(RecordFrame::kBytes, size));
}

void RecordSealer::begin_last(std::size_t sealed_bytes) {
  RP_ASSERT(stage_ == Stage::wrapped || stage_ == Stage::first || stage_ == Stage::second);
  RP_ASSERT(sealed_bytes <= slot_.size() - size_ && slot_.size() - size_ - sealed_bytes < kRecordAlignment);
  stage_ = Stage::last_open;
  frame_.last = static_cast<std::uint32_t>(sealed_bytes);
  const MutableBytes padding = take(slot_.size() - size_ - sealed_bytes);
  std::fill(padding.begin(), padding.end(), std::byte{});
  frame_.encode(slot_);
}

SealedRecord RecordSealer::finish_chunk(MessageSealer& sealer, Bytes plaintext) {
  RP_ASSERT(sealer.message() == frame_.message);
  begin_last(plaintext.size() + kTagBytes);
  sealer.seal_chunk(plaintext, take(frame_.last));
  stage_ = Stage::done;
  return SealedRecord{slot_};
}

SealedRecord RecordSealer::finish_copied_chunk(const RecordView& source) {
  RP_ASSERT(source.frame().kind == frame_.kind && source.frame().message == frame_.message);
  begin_last(source.frame().last);
  copy_bytes(take(frame_.last), source.last());
  stage_ = Stage::done;
  return SealedRecord{slot_};
}

MutableBytes RecordSealer::metadata_room(std::size_t plaintext_bytes) {
  begin_last(plaintext_bytes + kTagBytes);
  return take(frame_.last).first(plaintext_bytes);
}

SealedRecord RecordSealer::finish(const AeadKey& metadata_key) {
  RP_ASSERT(stage_ == Stage::last_open && size_ == slot_.size());
  stage_ = Stage::done;
  const LastIdentity identity(slot_, frame_);
  const MutableBytes section = slot_.last(frame_.last);
  metadata_key.seal(metadata_nonce(frame_.sequence), identity.view(), section.first(section.size() - kTagBytes), section);
  return SealedRecord{slot_};
}

bool open_detail(const AeadKey& detail_key, const MessageId& message, Bytes section, MutableBytes out) {
  if (section.size() < kNonceBytes + kTagBytes) return false;
  Nonce nonce;
  copy_bytes(nonce, section.first(kNonceBytes));
  return detail_key.open(nonce, message.bytes, section.subspan(kNonceBytes), out);
}

}  // namespace ringpost::crypto
