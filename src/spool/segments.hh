// The segment files of one partition: which generation lies in which, what in it is alive, and what is ready for use.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ringpost/crypto/sealer.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::spool {

/// One file.
struct Segment {
  enum class State : std::uint8_t {
    raw,      ///< no header yet, or not zero-filled to its end: to be removed
    spare,    ///< header durable, no group in it
    active,   ///< groups are appended
    closed,   ///< complete
    foreign,  ///< not ours or unreadable: left alone
  };

  std::uint32_t number = 0;  ///< in the file's name
  State state = State::raw;
  bool tainted = false;  ///< a write or sync failed in it: never written again
  bool in_work = false;  ///< being prepared or removed
  bool named = false;    ///< the newest durable CHECKPOINT expects it to be there
  bool old = false;      ///< was there at open, with records: until all is known, any of them may be alive
  bool to_replay = false;  ///< its records were not handed over yet
  bool unread = false;   ///< recovery did not look into it: whatever is not known of it must be assumed
  std::uint64_t bytes = 0;
  std::uint64_t generation = 0;
  crypto::Salt salt{};
  std::uint64_t previous = 0;    ///< generation the header names as overwritten
  std::uint64_t last_group = 0;  ///< last durable group; 0: none
  std::uint64_t live_records = 0, live_bytes = 0;
  std::vector<AuditMark> audits;         ///< highest sequence of each incarnation in it
  std::vector<std::uint64_t> needed_by;  ///< older generations that must be gone before this one may go
  Fd fd;                                 ///< open for writing while spare or active
};

/// Aligned memory for O_DIRECT outside of the registered buffers.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t bytes);
  AlignedBuffer(const AlignedBuffer&) = delete;
  ~AlignedBuffer();
  MutableBytes bytes() const { return bytes_; }

 private:
  MutableBytes bytes_;
};

class Segments {
 public:
  /// `changed` is notified when a spare became ready, or space ran out or came back.
  Segments(runtime::Ring& ring, const LogOptions& options, Bytes metadata_key32, runtime::Signal& changed);
  Segments(const Segments&) = delete;

  // ---- names
  std::string path(std::uint32_t number) const;
  /// The number in "00000007.seg"; nothing for any other name.
  static std::optional<std::uint32_t> number_in(std::string_view name);
  crypto::GenerationKeys keys(std::uint64_t generation, const crypto::Salt& salt) const;
  int open_flags(int access) const;

  // ---- the set
  Segment& add(std::uint32_t number, std::uint64_t bytes);
  void set_generation(Segment& segment, std::uint64_t generation, const crypto::Salt& salt, std::uint64_t previous);
  /// Null when that generation is gone.
  Segment* find(std::uint64_t generation) const;
  const std::vector<std::unique_ptr<Segment>>& all() const { return all_; }
  /// The next to be used, or an older one.
  std::uint64_t next_generation() const { return spares_.empty() ? highest_generation_ : spares_.front()->generation; }
  /// A file's header cannot be read now: any generation that is not found may be its.
  void note_unreadable() { some_unreadable_ = true; }
  /// Leaves generations out that something unreadable may have.
  void skip_generations(std::uint64_t count) { highest_generation_ += count; }

  // ---- liveness
  void hold(const Position& position) { hold(Extent{position.generation, 1, position.length}); }
  void let_go(const Position& position) { let_go(Extent{position.generation, 1, position.length}); }
  void hold(const Extent& extent);
  void let_go(const Extent& extent);
  /// `generation` must not be overwritten while `older` exists.
  void need(std::uint64_t generation, std::uint64_t older);
  /// True when an audit event of that incarnation lies, or may lie, in any segment.
  bool has_audit_of(const IncarnationId& incarnation) const;
  void note_audit(std::uint64_t generation, const IncarnationId& incarnation, std::uint64_t sequence);
  /// auditd has more than before.
  void acknowledged(const std::vector<AuditMark>& marks);
  /// Nothing in it is alive and nothing needs it.
  bool is_dead(const Segment& segment) const;
  /// Like is_dead, were `but` gone.
  bool is_dead_without(const Segment& segment, std::uint64_t but) const;
  bool audits_acknowledged(const Segment& segment) const;
  /// An older generation that still exists must go first.
  bool is_needed(const Segment& segment, std::uint64_t but = 0) const;
  /// The oldest generation that has events which auditd may not have; 0: none.
  std::uint64_t oldest_unacknowledged() const;

  /// Everything that is alive is held: old segments may be dead from now on.
  void know_all();
  bool all_known() const { return all_known_; }

  /// This is now the newest durable CHECKPOINT.
  void checkpointed(const Checkpoint& checkpoint);

  // ---- use
  /// The next spare, in order of generations; null when none is ready. It becomes active.
  Segment* take_spare();
  std::size_t spares() const { return spares_.size(); }
  /// No more groups go into it. `failed`: it is never written again.
  /// Returns its descriptor, for the caller to close.
  Fd close(Segment& segment, bool failed);
  /// New mail must wait for space.
  bool low() const { return low_; }
  std::uint64_t writable_bytes() const;
  /// Segments that the disk has room for beside the reserve.
  std::uint64_t growable_segments() const { return growable_beside(options_.disk_reserve_bytes); }

  // ---- background
  /// Removes leftovers of a crash and makes one spare. Errors: no_space, io, ...
  runtime::Task<Result<>> start();
  /// Keeps spares ready until stop().
  runtime::Task<void> keep_spares();
  void stop();
  /// Closes what is open.
  runtime::Task<void> close_files();

  Space space() const;
  std::uint64_t live_bytes() const { return live_bytes_; }
  std::uint64_t live_segments() const { return live_segments_; }

 private:
  std::uint64_t growable_beside(std::uint64_t kept) const;
  runtime::Task<Result<>> prepare();
  runtime::Task<Result<>> create();
  runtime::Task<Result<>> fill(Fd fd, std::uint64_t bytes);
  runtime::Task<Result<>> write_header(Segment& segment, Fd fd);
  runtime::Task<Result<>> recycle(Segment& segment);
  runtime::Task<Result<>> remove(Segment& segment);
  runtime::Task<Result<>> sync_directory(std::string path);
  runtime::Task<void> remove_useless();
  void forget(Segment& segment);
  void look_again();
  void refresh_disk();

  runtime::Ring& ring_;
  const LogOptions& options_;
  Key256 metadata_key_;
  std::vector<std::unique_ptr<Segment>> all_;
  std::unordered_map<std::uint64_t, Segment*> by_generation_;
  std::deque<Segment*> spares_;
  std::vector<AuditMark> audit_marks_;
  std::uint64_t highest_generation_ = 0;
  std::uint32_t highest_number_ = 0;
  std::uint64_t disk_free_ = 0;
  AlignedBuffer header_;
  runtime::Signal& changed_;
  runtime::Signal work_;
  std::uint64_t live_bytes_ = 0, live_segments_ = 0;
  bool some_unreadable_ = false, all_known_ = false;
  bool names_synced_ = false, low_ = false, took_reserve_ = false, stopping_ = false, stale_ = false;
};

}  // namespace ringpost::spool
