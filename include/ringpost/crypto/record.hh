// The frame of every record in the log, and the only way to fill one. Format: docs/formats/records.md.
#pragma once

#include <cstdint>
#include <optional>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/crypto/message_key.hh"

namespace ringpost::crypto {

/// Every record starts with a frame: what it is, of which message, and how long its parts are.
///
///     0  kind u8 | version u8 | flags u16 | length u32       length: all of the record, a multiple of 8
///     8  message id, 16 bytes (zero where there is none)
///     24 sequence u64                                        within the generation, from 1, increasing
///     32 wrapped u32 | first u32 | second u32 | last u32     wrapped keys; bytes of each sealed section with its tag
///     48 wrapped keys | first | second | 0..7 zeros | last   the record ends with the tag of its last section
///
/// The last section is sealed under the generation's metadata key and authenticates the frame, the wrapped keys and the
/// tags of the other two. (A CHUNK's is sealed under the message key alone, so that it can be copied without one.)
struct RecordFrame {
  static constexpr std::size_t kBytes = 48;

  std::uint8_t kind = 0;
  std::uint8_t version = 0;
  std::uint16_t flags = 0;
  std::uint32_t length = 0;
  MessageId message;
  std::uint64_t sequence = 0;
  std::uint32_t wrapped = 0, first = 0, second = 0, last = 0;

  void encode(MutableBytes out) const;
  /// Strict: sizes must add up to `length`. Errors: corrupt. `at` may be longer than the record, not shorter than a frame.
  static Result<RecordFrame> decode(Bytes at);
  friend bool operator==(const RecordFrame&, const RecordFrame&) = default;
};

inline constexpr std::uint32_t kWrappedKeysMax = 17;  ///< sixteen owners and the sender's
inline constexpr std::size_t kRecordAlignment = 8;

/// Bytes of a record with these parts (plaintext sizes; nothing for an absent section).
std::size_t record_bytes(std::uint32_t wrapped, std::optional<std::size_t> first, std::optional<std::size_t> second,
                         std::size_t last);

/// A record as it stands in memory that somebody else owns.
class RecordView {
 public:
  /// Exactly one record, padding checked. Errors: corrupt.
  static Result<RecordView> parse(Bytes record);

  const RecordFrame& frame() const { return frame_; }
  Bytes bytes() const { return bytes_; }
  WrappedKey wrapped_key(std::uint32_t index) const;
  Bytes first() const { return bytes_.subspan(first_offset(), frame_.first); }
  Bytes second() const { return bytes_.subspan(first_offset() + frame_.first, frame_.second); }
  Bytes last() const { return bytes_.subspan(bytes_.size() - frame_.last); }

  /// Opens the last section under the generation's metadata key. `out` is 16 bytes shorter than last(). False: not authentic.
  [[nodiscard]] bool open_last(const AeadKey& metadata_key, MutableBytes out) const;

 private:
  std::size_t first_offset() const { return RecordFrame::kBytes + std::size_t{frame_.wrapped} * kWrappedKeyBytes; }
  RecordFrame frame_;
  Bytes bytes_;
};

/// A record that holds framing and ciphertext only. Made by RecordSealer; a group takes nothing else.
class SealedRecord {
 public:
  Bytes view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  friend class RecordSealer;
  explicit SealedRecord(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

/// Fills one record in place, in the order of its parts: wrapped keys, first, second, last.
/// What a section's plaintext is written over becomes ciphertext before finish() hands the record out.
class RecordSealer {
 public:
  /// `slot` is exactly as large as the record will be (record_bytes).
  RecordSealer(MutableBytes slot, std::uint8_t kind, std::uint8_t version, std::uint16_t flags, const MessageId& message,
               std::uint64_t sequence);
  RecordSealer(const RecordSealer&) = delete;

  void add_wrapped_key(const WrappedKey& key);
  /// Room for the plaintext of the first section, to be filled before seal_envelope.
  MutableBytes envelope_room(std::size_t plaintext_bytes);
  void seal_envelope(MessageSealer& sealer);
  /// First section: nonce, then `plaintext` sealed under a detail key. `random_nonce` is fresh.
  void seal_detail(const AeadKey& detail_key, const Nonce& random_nonce, Bytes plaintext);
  /// Second section: the last piece of the content; the encryption is the copy.
  void seal_final(MessageSealer& sealer, Bytes plaintext);
  /// First and second section as they stand in another record of the same message, with its wrapped keys.
  void copy_sections(const RecordView& source);

  /// Last section of a CHUNK: a piece of the content.
  SealedRecord finish_chunk(MessageSealer& sealer, Bytes plaintext);
  /// Last section of a CHUNK as it stands in another record.
  SealedRecord finish_copied_chunk(const RecordView& source);
  /// Room for the plaintext of the last section of any other record: all that is left, but for its tag and the padding.
  MutableBytes metadata_room(std::size_t plaintext_bytes);
  SealedRecord finish(const AeadKey& metadata_key);

 private:
  enum class Stage : std::uint8_t { wrapped, first_open, first, second, last_open, done };
  MutableBytes take(std::size_t bytes);
  void begin_last(std::size_t sealed_bytes);

  MutableBytes slot_;
  RecordFrame frame_;
  std::size_t size_ = RecordFrame::kBytes;
  Stage stage_ = Stage::wrapped;
};

/// Opens what seal_detail sealed. `out` is kNonceBytes + kTagBytes shorter than `section`. False: not authentic or too short.
[[nodiscard]] bool open_detail(const AeadKey& detail_key, const MessageId& message, Bytes section, MutableBytes out);

}  // namespace ringpost::crypto
