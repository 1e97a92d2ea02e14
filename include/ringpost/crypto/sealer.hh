// Segment headers and commit groups: what makes a record's place and its neighbours tamper-evident, and the only maker of
// SealedBytes. Format: docs/formats/segment.md.
#pragma once

#include <array>
#include <cstdint>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/sealed.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/record.hh"

namespace ringpost::crypto {

/// Unit of everything in a segment: headers and groups start at its multiples.
inline constexpr std::size_t kBlockBytes = 4096;

using Salt = std::array<std::byte, 16>;

/// Block 0 of a segment: whose it is and which use of the file this is.
///
///     0   "RPSEGMNT" | version u16 = 1 | zero u16 | block bytes u32 = 4096
///     16  store id | partition id | incarnation id of the writer, 16 bytes each
///     64  generation u64 | salt, 16 bytes | segment bytes u64 | previous generation of this file u64 (0: none)
///     104 zeros to 128 | MAC, 32 bytes | zeros to 4096       MAC: bytes 0..127 and 160..4095 under the generation's MAC key
struct SegmentHeader {
  static constexpr std::size_t kMacOffset = 128;

  StoreId store;
  PartitionId partition;
  IncarnationId incarnation;
  std::uint64_t generation = 0;  ///< from 1, never twice in a partition
  Salt salt{};                   ///< random
  std::uint64_t segment_bytes = 0;
  std::uint64_t previous = 0;  ///< the generation whose records this use of the file overwrites

  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

/// The keys of one use of one segment: HKDF of the store's metadata key, salted with the generation's salt, over store,
/// partition and generation. Labels "ringpost generation" (MAC) and "ringpost metadata" (AEAD).
struct GenerationKeys {
  Key256 mac;
  AeadKey metadata;

  GenerationKeys(Bytes metadata_key32, const StoreId& store, const PartitionId& partition, std::uint64_t generation,
                 const Salt& salt);
};

/// Parses without checking the MAC, which needs the keys derived from what is parsed. Errors: corrupt.
Result<SegmentHeader> parse_segment_header(Bytes block);
/// True when the block's MAC is right.
bool verify_segment_header(Bytes block, const GenerationKeys& keys);

/// The first bytes of a commit group; its records follow, then zeros to the next block.
///
///     0   "RPGROUP1" | version u16 = 1 | header bytes u16 = 144 | records u32
///     16  generation u64 | group number u64 | written u64 (nanoseconds since 1970, UTC) | bytes of the records u32 | zero u32
///     48  zeros, 16 bytes | MAC of the group before, 32 bytes
///     96  XXH3-128 of the records (low half first) | MAC, 32 bytes
///
/// MAC: HMAC-SHA-256, under the generation's MAC key, of bytes 0..111 and of each record's first 48 and last 16 bytes.
struct GroupHeader {
  static constexpr std::size_t kBytes = 144;
  static constexpr std::size_t kMacOffset = 112;

  std::uint32_t records = 0;
  std::uint64_t generation = 0;
  std::uint64_t number = 0;  ///< within the partition, increasing over generations
  std::int64_t written_ns = 0;
  std::uint32_t records_bytes = 0;
  Digest256 previous_mac{};
  std::array<std::byte, 16> checksum{};
  Digest256 mac{};

  /// Bytes on disk, padding included.
  std::size_t group_bytes() const;
  friend bool operator==(const GroupHeader&, const GroupHeader&) = default;
};

/// Parses a group's first bytes (at least GroupHeader::kBytes of them); nothing is authenticated. Errors: corrupt.
Result<GroupHeader> parse_group_header(Bytes at);

/// What is wrong with a group. Everything but `padding` means that the group was not written as it stands there.
enum class GroupFault : std::uint8_t {
  none,
  padding,   ///< records and header are right; the zeros behind them are not
  checksum,  ///< frames and tags are right, but some record's inside changed
  mac,       ///< header, frames or tags are not right
};
/// Checks a whole group: `group` is exactly group_bytes() long and `header` was parsed from it.
GroupFault verify_group(Bytes group, const GroupHeader& header, const GenerationKeys& keys);

/// Calls `visit(Bytes record, std::uint32_t offset)` for each record whose frame parses, `offset` counted from the group's
/// start, and returns how many there were; stops at the first that does not parse.
template <typename Visit>
std::uint32_t for_each_record(Bytes group, const GroupHeader& header, Visit&& visit) {
  const Bytes records = group.first(GroupHeader::kBytes + header.records_bytes);
  std::size_t offset = GroupHeader::kBytes;
  std::uint32_t count = 0;
  while (count < header.records && offset < records.size()) {
    const Result<RecordFrame> frame = RecordFrame::decode(records.subspan(offset));
    if (!frame) break;
    visit(records.subspan(offset, frame->length), static_cast<std::uint32_t>(offset));
    offset += frame->length;
    ++count;
  }
  return count;
}

/// Collects sealed records in a caller's buffer and closes them into a group. The only maker of SealedBytes.
class Sealer {
 public:
  Sealer() = default;
  /// `buffer`: a multiple of kBlockBytes.
  explicit Sealer(MutableBytes buffer) : buffer_(buffer) {}

  bool empty() const { return records_ == 0; }
  std::uint32_t records() const { return records_; }
  /// Where the next record will start, counted from the group's start.
  std::size_t size() const { return size_; }
  /// Bytes left for records.
  std::size_t room() const { return buffer_.size() - size_; }
  /// Where the next record goes; seal it there, then add it.
  MutableBytes slot(std::size_t bytes) const;
  void add(const SealedRecord& record);
  /// Forgets all records but the first `records`, which ended at `size`.
  void rewind(std::uint32_t records, std::size_t size);

  /// Closes the group: header, checksum, MAC, zeros to the next block. `header` brings generation, number, time and the
  /// previous MAC and receives the rest.
  SealedBytes finish(GroupHeader& header, const GenerationKeys& keys);

  /// A whole group as it was read, to be written back where it lies. Errors: corrupt: verify_group() finds any fault.
  static Result<SealedBytes> again(Bytes group, const GroupHeader& header, const GenerationKeys& keys);
  /// Writes block 0 into `block` (kBlockBytes).
  static SealedBytes segment_header(const SegmentHeader& header, const GenerationKeys& keys, MutableBytes block);
  /// `size` zeros, block-aligned in memory, at most kZerosMax; they live for ever.
  static constexpr std::size_t kZerosMax = 256 * 1024;
  static SealedBytes zeros(std::size_t size);
  /// For small files of their own (key stores): `out` = `framing`, which is authenticated too, then ciphertext and tag.
  static SealedBytes seal(const AeadKey& key, const Nonce& nonce, Bytes framing, Bytes plaintext, MutableBytes out);

 private:
  MutableBytes buffer_;
  std::size_t size_ = GroupHeader::kBytes;
  std::uint32_t records_ = 0;
};

}  // namespace ringpost::crypto
