// Reads one generation, group by group: the part of recovery that looks at hostile bytes. Sans-I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "ringpost/crypto/sealer.hh"
#include "ringpost/spool/recovery.hh"

namespace ringpost::spool {

/// Is told what a scan finds, in the order it lies in the segment.
class ScanSink {
 public:
  virtual ~ScanSink() = default;
  /// A good group; its records follow.
  virtual void group(const crypto::GroupHeader& header, std::uint64_t offset) = 0;
  /// A record that is authentic but for what its message key seals. `plaintext`: its last section, opened; empty for a CHUNK.
  virtual void record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) = 0;
  virtual void damage(DamageKind kind, std::uint64_t offset, std::uint64_t bytes, const std::optional<MessageId>& message) = 0;

  // ---- for those who look closer; a start needs none of it
  /// A CHUNK in a damaged group: only its MESSAGE, if one lists it, can tell whether it is good.
  virtual void unproven_chunk(const crypto::RecordView&, std::uint64_t) {}
  /// Part of a damaged group has been looked at, record by record. `explained`: every byte of it is a record (good or reported)
  /// or zero; else nobody can tell what else it held.
  virtual void remains(std::uint64_t, std::uint64_t, bool) {}
  /// A record of the torn tail that is authentic by itself (Extent::with_tail): it may have been acknowledged only if the disk
  /// has lost data since.
  virtual void tail_record(const crypto::RecordView&, std::uint64_t, Bytes) {}
};

/// Asks for pieces of the segment and judges them.
///
/// A group that is not good is a torn tail (never acknowledged: dropped) when no good group of the generation lies behind it,
/// and damage otherwise: then those of its records that authenticate by themselves are used.
class SegmentScan {
 public:
  struct Want {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  enum class Extent : std::uint8_t { whole, first_group, with_tail };

  /// `keys` and `abandoned` (group numbers of this generation) outlive the scan. `bytes`: what the file holds.
  SegmentScan(const crypto::GenerationKeys& keys, std::uint64_t generation, std::uint64_t bytes,
              const std::set<std::uint64_t>& abandoned, Extent extent, ScanSink& sink);

  /// The bytes to feed next; nothing when the scan is complete.
  std::optional<Want> want() const;
  /// Exactly the bytes of want(). Any bytes are fine.
  void feed(Bytes bytes);
  /// The device fails to read the bytes of want().
  void feed_unreadable();

  /// Number of the last good group; 0: none.
  std::uint64_t last_group() const { return last_group_; }
  const crypto::Digest256& last_mac() const { return last_mac_; }
  /// Highest number any good or abandoned group has.
  std::uint64_t highest_group() const { return highest_group_; }
  std::uint64_t groups() const { return groups_; }
  std::uint64_t groups_damaged() const { return groups_damaged_; }
  std::uint64_t groups_abandoned() const { return groups_abandoned_; }
  bool tail_torn() const { return tail_torn_; }
  /// Where the good groups ended; 0: at the segment's end.
  std::uint64_t end_offset() const { return end_offset_; }
  /// Bytes of the torn tail as far as its groups' headers tell; a group without one counts as a block.
  std::uint64_t tail_torn_bytes() const { return tail_torn_bytes_; }
  /// The end may hold groups that cannot be read now.
  bool tail_unreadable() const { return tail_unreadable_; }

 private:
  enum class State : std::uint8_t { head, body, salvage, done };
  struct Suspect {  // a group that looks like one of ours but is not good
    std::uint64_t offset;
    std::optional<crypto::GroupHeader> header;  // nothing: it is damaged itself
  };
  /// What vouches for a record besides itself.
  enum class Trust : std::uint8_t { group, nothing, nothing_in_tail };
  static constexpr std::size_t kSuspectsMax = 64;

  bool searching() const { return bad_from_ != 0; }
  std::optional<crypto::GroupHeader> plausible(Bytes head) const;
  bool resembles_ours(Bytes head) const;
  bool is_repeated(Bytes head) const;
  void leave_salvage();
  void next_block();
  void end_of_segment();
  void take_group(Bytes group);
  void next_suspect();
  std::uint64_t suspect_end() const;
  bool is_abandoned(const Suspect& suspect) const;
  void deliver_group(Bytes group);
  void deliver_suspect(Bytes remains);
  void deliver_record(const crypto::RecordView& record, std::uint64_t offset, Trust trust);

  const crypto::GenerationKeys& keys_;
  const std::uint64_t generation_, bytes_;
  const std::set<std::uint64_t>& abandoned_;
  const Extent extent_;
  ScanSink& sink_;

  State state_ = State::head;
  std::uint64_t at_ = crypto::kBlockBytes;  // the block looked at
  crypto::GroupHeader header_;              // of the group at `at_`, in state body
  std::uint64_t bad_from_ = 0;              // where the good groups ended; 0: they have not
  bool bad_unreadable_ = false;
  bool remnant_ = false;       // ... in something that was ours
  bool chain_broken_ = false;  // the next group's predecessor was damaged
  std::vector<Suspect> suspects_;
  std::size_t salvaged_ = 0;
  bool in_tail_ = false;  // the suspects salvaged are those of the tail
  std::uint64_t end_offset_ = 0;

  std::uint64_t last_group_ = 0, highest_group_ = 0;
  crypto::Digest256 last_mac_{};
  std::uint64_t groups_ = 0, groups_damaged_ = 0, groups_abandoned_ = 0;
  bool tail_torn_ = false, tail_unreadable_ = false;
  std::uint64_t tail_torn_bytes_ = 0;
  std::vector<std::byte> plaintext_;
};

}  // namespace ringpost::spool
