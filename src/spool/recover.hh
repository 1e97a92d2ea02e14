// What a start makes of a partition's files: first, quickly, where the log ends; then, while the log is used, what is in it.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "ringpost/spool/log.hh"
#include "scan.hh"
#include "segment_file.hh"
#include "segments.hh"

namespace ringpost::spool {

/// Lifetime: its log's, until replay() is over.
class Recovery : public ScanSink {
 public:
  explicit Recovery(Log& log);

  /// Finds the segments, reads how each generation begins, and to their ends those whose end no CHECKPOINT vouches for: mostly the
  /// newest one. Then records can be appended.
  runtime::Task<Result<>> open();
  /// Hands over what the generations say that were there then and are not known, oldest first.
  runtime::Task<Result<>> replay(RecoveryVisitor& visitor);
  /// Everything is to be replayed, also what was known, and what has been already.
  runtime::Task<Result<>> forget_start();

 private:
  /// What a scan is for.
  enum class Phase : std::uint8_t {
    openings,  ///< ABANDON and CHECKPOINT records, which stand in first groups only
    ends,      ///< numbers of the last groups
    replay,    ///< everything
  };
  struct LastGroup {
    Segment* segment = nullptr;
    std::uint64_t offset = 0;
    crypto::GroupHeader header;
  };

  // ---- ScanSink
  void group(const crypto::GroupHeader& header, std::uint64_t offset) override;
  void record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) override;
  void damage(DamageKind kind, std::uint64_t offset, std::uint64_t bytes, const std::optional<MessageId>& message) override;

  runtime::Task<Result<>> find_segments();
  runtime::Task<Result<>> look_at(const std::string& name, std::uint32_t number);
  runtime::Task<Result<>> read_openings();
  runtime::Task<Result<>> read_ends();
  runtime::Task<Result<>> scan(Segment& segment);
  runtime::Task<Result<>> feed(SegmentScan& scan, SegmentFile& file);
  static bool is_unused(const SegmentScan& scan);
  void note_end(Segment& segment, const SegmentScan& scan);
  void note_read(Segment& segment, const SegmentScan& scan, const SegmentFile& file);
  runtime::Task<Result<>> keep_unvouched();
  runtime::Task<Result<>> keep(const LastGroup& last);
  void tell_acknowledged();
  void report_missing();
  std::vector<Segment*> generations() const;
  bool take_opening(const crypto::RecordView& record, const Position& place, Bytes plaintext);
  bool take(const crypto::RecordView& record, const Position& place, Bytes plaintext);
  void report(const Damage& damage);
  void report(DamageKind kind, std::uint32_t number) { report({.kind = kind, .segment = number}); }
  void hold_back(const Damage& damage);

  Log& log_;
  RecoveryVisitor* visitor_ = nullptr;  // of replay()
  AlignedBuffer window_;
  Arrays arrays_;
  Phase phase_ = Phase::openings;
  Segment* segment_ = nullptr;          // being scanned
  LastGroup last_;                      // the last good group so far
  std::vector<LastGroup> unvouched_;    // of each generation, when nothing says that it was synced
  std::vector<Damage> early_damages_;   // met before there was somebody to tell
  std::size_t headers_seen_ = 0, headers_good_ = 0;
  std::map<std::uint64_t, std::set<std::uint64_t>> abandoned_;  // generation -> groups
  std::map<IncarnationId, std::uint64_t> audit_marks_;
  std::uint64_t checkpoint_generation_ = 0;
  std::map<std::uint64_t, GenerationMark> marks_;  // of the newest CHECKPOINT
  bool numbers_unknown_ = false;
  int pauses_;
};

}  // namespace ringpost::spool
