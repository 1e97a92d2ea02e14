// A partition's log for somebody who judges it: every generation is read whole, and nothing is ever changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/spool/recovery.hh"

namespace ringpost::spool {

struct InspectionOptions {
  std::string directory;  ///< the partition's
  StoreId store;
  PartitionId partition;
  bool direct = true;  ///< O_DIRECT where the filesystem has it, so that the disk is read and not the page cache
};

/// One use of a segment, as its header and its groups tell.
struct GenerationFound {
  std::uint64_t number = 0;
  std::uint64_t previous = 0;  ///< generation that it overwrote; 0: none
  std::uint32_t segment = 0;   ///< number in the file's name
  std::uint64_t bytes = 0;     ///< of the file
  crypto::Salt salt{};
  IncarnationId incarnation;
  std::uint64_t last_group = 0;  ///< last good group, once the generation has been read; 0: none
};

/// What vouches for a record besides its own tag.
enum class Proof : std::uint8_t {
  group,   ///< it lies in a good group
  itself,  ///< its group is damaged
  tail,    ///< its group is damaged and the last one: what was never acknowledged ends like that, and what the disk lost
};

/// Is told what an inspection finds: generations ascending, in each in the order of the segment. Views last for the call.
class InspectionVisitor {
 public:
  virtual ~InspectionVisitor() = default;
  virtual void on_group(const GenerationFound& generation, const crypto::GroupHeader& header, std::uint64_t offset) = 0;
  /// `plaintext`: the last section, opened; empty for a CHUNK.
  virtual void on_record(const crypto::RecordView& record, const Position& place, Bytes plaintext, Proof proof) = 0;
  /// A CHUNK in a damaged group: its MESSAGE, if one lists it, tells whether it is good.
  virtual void on_unproven_chunk(const crypto::RecordView& record, const Position& place) = 0;
  virtual void on_damage(const Damage& damage) = 0;
  /// Something was durable there and nobody can tell what. Generation 0: it cannot be told where.
  virtual void on_unknown(std::uint64_t generation, std::uint64_t offset) = 0;
  /// An old generation that was gone already has come back, from a backup say: what it says is of another time.
  virtual void on_stale(const GenerationFound& generation) = 0;
  /// A generation ends in groups that are not whole.
  virtual void on_torn_tail(const GenerationFound& generation, std::uint64_t offset, std::uint64_t bytes) = 0;
  /// Behind the last group of a segment that never held anything else lies something.
  virtual void on_unused_bytes(const GenerationFound& generation, std::uint64_t offset) = 0;
};

/// Memory that records are read through; what lies close by comes along with one read.
class RecordWindow {
 public:
  RecordWindow();
  RecordWindow(RecordWindow&&) noexcept;
  ~RecordWindow();

 private:
  friend class Inspection;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

/// Reads one partition, which its owner must not be writing to.
///
/// Use:      find(), read_all(), then read() as often as wanted; close() before it dies.
/// Errors:   of the filesystem. What is wrong with the log itself is no error: the visitor is told.
class Inspection {
 public:
  Inspection(runtime::Ring& ring, InspectionOptions options, Bytes metadata_key32);
  Inspection(const Inspection&) = delete;
  ~Inspection();

  /// Looks at every file, and reads what each generation begins with.
  runtime::Task<Result<>> find(InspectionVisitor& visitor);
  runtime::Task<Result<>> read_all(InspectionVisitor& visitor);
  /// One record, parsed; its sections are for the caller to open. Lifetime: until the next read through `window`.
  /// Errors: not_found: no such generation; corrupt; io.
  runtime::Task<Result<crypto::RecordView>> read(RecordKind kind, MessageId message, Position place, RecordWindow& window);
  /// Opens the last section of what was read at `place`. Errors: not_found, corrupt.
  Result<> open_last(const crypto::RecordView& record, const Position& place, std::vector<std::byte>& plaintext) const;
  /// What the frame of a record that does not authenticate calls itself.
  runtime::Task<Result<std::uint8_t>> kind_at(Position place, RecordWindow& window);
  runtime::Task<void> close();

  const InspectionOptions& options() const { return options_; }
  const std::map<std::uint64_t, GenerationFound>& generations() const { return generations_; }
  bool has_generation(std::uint64_t number) const { return generations_.contains(number); }
  /// Generations that should be there and are not.
  const std::set<std::uint64_t>& missing() const { return missing_; }
  /// Number of the last good group of all.
  std::uint64_t last_group() const { return last_group_; }
  /// Highest sequence of each incarnation's events that auditd is known to have.
  const std::map<IncarnationId, std::uint64_t>& audit_marks() const { return audit_marks_; }
  const RecoveryReport& report() const { return report_; }

 private:
  class Scan;
  runtime::Task<Result<>> look_at(std::string name, std::uint32_t number, InspectionVisitor& visitor);
  runtime::Task<Result<>> scan(GenerationFound& generation, bool opening, InspectionVisitor& visitor);
  runtime::Task<Result<Bytes>> read_bytes(Position place, RecordWindow& window);
  runtime::Task<Result<Fd>> open(const GenerationFound& generation);
  runtime::Task<Result<Fd>> open_file(std::string name);
  runtime::Task<Result<>> fetch(Fd fd, MutableBytes into, std::uint64_t offset, std::size_t needed, std::size_t& filled);
  void report_missing(InspectionVisitor& visitor);
  void report(const Damage& damage, InspectionVisitor& visitor);
  std::string path(std::uint32_t segment) const;
  crypto::GenerationKeys keys(const GenerationFound& generation) const;
  bool take_opening(RecordKind kind, std::uint64_t generation, Bytes plaintext);

  runtime::Ring& ring_;
  InspectionOptions options_;
  Key256 metadata_key_;
  std::map<std::uint64_t, GenerationFound> generations_;
  std::set<std::uint64_t> overwritten_;  // generations that later ones name as such
  std::set<std::uint64_t> missing_;
  std::map<std::uint64_t, std::set<std::uint64_t>> abandoned_;  // generation -> groups
  std::map<IncarnationId, std::uint64_t> audit_marks_;
  std::uint64_t checkpoint_generation_ = 0;
  std::map<std::uint64_t, GenerationMark> marks_;  // of the newest CHECKPOINT
  std::map<std::uint64_t, Fd> open_;
  RecordWindow window_;
  std::uint64_t last_group_ = 0;
  RecoveryReport report_;
};

}  // namespace ringpost::spool
