// One partition's log: appends in groups, durable before anybody is told; space, recovery and reading back.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/spool/records.hh"
#include "ringpost/spool/recovery.hh"

namespace ringpost::spool {

class Log;
class Recovery;
class Segments;
struct Segment;

/// A group of the log, to wait for.
struct Ticket {
  std::uint64_t group = 0;
};

/// Whom space is for: new mail stops before outcomes, audit events and copies do.
enum class Use : std::uint8_t { mail, upkeep };

/// The CHUNK records of a message that is still coming in; they stay on disk while this lives or their message does.
/// Lifetime: within its log's. Reusable after clear().
class Chunks {
 public:
  Chunks() = default;
  Chunks(Chunks&& other) noexcept;
  Chunks& operator=(Chunks&& other) noexcept;
  ~Chunks() { clear(); }

  std::span<const Position> positions() const { return positions_; }
  /// Gives them up: garbage from now on.
  void clear();

 private:
  friend class Log;
  friend class Room;
  Log* log_ = nullptr;
  std::vector<Position> positions_;
  std::uint64_t first_group_ = 0, last_group_ = 0;
};

/// A message as it goes into the log. Views belong to the caller and are used during the call only.
struct MessageDraft {
  crypto::MessageSealer* sealer = nullptr;   ///< has sealed `chunks`; seals envelope and last piece
  std::span<const crypto::WrappedKey> keys;  ///< its key for each owner, 1..crypto::kWrappedKeysMax
  Scheduling scheduling;                     ///< `chunks` in it is ignored
  Envelope envelope;
  Bytes last_piece;          ///< 0..crypto::kChunkBytesMax bytes of plaintext
  Chunks* chunks = nullptr;  ///< the pieces before it; null: there are none
};

/// An outcome as it goes into the log.
struct OutcomeDraft {
  MessageId message;
  Outcome outcome;
  const Key256* detail_key = nullptr;  ///< of MessageSealer or MessageOpener; null: texts are not kept
};

// Bytes to reserve for one record.
std::size_t bytes_of(const MessageDraft& draft);
std::size_t bytes_of(const OutcomeDraft& draft);
std::size_t bytes_of_chunk(std::size_t plaintext_bytes);
std::size_t bytes_of_audit(std::size_t encoded_bytes);

/// Reserved room in the group that is filling. Everything put in becomes durable together or not at all.
///
/// Lifetime: between Log::reserve and commit() its holder must not suspend (asserted). Dropped without commit(): nothing of it
///           is written; only before a message or chunk was added (asserted).
class Room {
 public:
  Room(Room&& other) noexcept;
  Room& operator=(Room&&) = delete;
  ~Room();

  /// Errors: io: the group of one of its chunks failed; limit: more recipients or keys than the format holds.
  Result<Position> add_message(const MessageDraft& draft);
  /// The next piece of a large message, 1..crypto::kChunkBytesMax bytes. Errors: io: a group of an earlier piece failed; limit.
  Result<Position> add_chunk(Chunks& chunks, crypto::MessageSealer& sealer, Bytes plaintext);
  Position add_outcome(const OutcomeDraft& draft);
  /// `sequence`: of the incarnation, increasing.
  void add_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded);

  /// Lets it go out with its group.
  Ticket commit();
  /// What commit() will return.
  Ticket ticket() const;

 private:
  friend class Log;
  explicit Room(Log& log);
  MutableBytes slot(std::size_t bytes);
  Position added(const crypto::SealedRecord& record);
  Position keep_chunk(Chunks& chunks, Position position);
  Position add_copied_chunk(Chunks& chunks, const crypto::RecordView& source);
  Position add_copied_message(const crypto::RecordView& source, const Scheduling& scheduling);
  static std::size_t bytes_of_copy(const crypto::RecordView& source, const Scheduling& scheduling);

  Log* log_;
  std::uint32_t records_before_;
  std::size_t size_before_;
  bool must_commit_ = false;
};

/// How far somebody who writes down what the log says has got (the index).
struct LogStart {
  /// Everything in older generations is known, and their events acknowledged: they need not be read. 0: nothing is known.
  std::uint64_t generation = 0;
  /// A group that was durable then. A log that does not reach it is not the one that was written down.
  std::uint64_t group = 0;
  friend bool operator==(const LogStart&, const LogStart&) = default;
};

/// Locks a partition for this process. Errors: busy: another process has it; those of the filesystem.
/// Lifetime: the caller closes it, or gives it to Log::open.
runtime::Task<Result<Fd>> lock_partition(runtime::Ring& ring, std::string directory);

struct LogOptions {
  std::string directory;  ///< the partition's, absolute, which exists (store.hh)
  StoreId store;
  PartitionId partition;
  IncarnationId incarnation;
  bool append = true;                         ///< false: read only; start() does not create, recycle or write anything
  bool direct = true;                         ///< O_DIRECT, required of the filesystem
  std::uint64_t segment_bytes = 64_MiB;       ///< of new segments: a multiple of 4096, more than a group; see segment_bytes_for
  std::uint64_t disk_reserve_bytes = 64_MiB;  ///< of the filesystem's free space: for outcomes and cleaning when nothing else is left
  std::uint32_t spares = 2;                   ///< segments kept ready
  /// Two buffers of Ring::make_io_buffer, of one size: a multiple of 4096, 64 KiB to kGroupBytesMax. Not for read only.
  MutableBytes buffers[2];
  metrics::ShardMetrics* metrics = nullptr;  ///< may be null
  Fd lock;                                   ///< of lock_partition(), taken over even on failure; none: open() locks
  LogStart start;                            ///< what is known of the log; default: nothing, so all of it is read
};

/// No group is larger, header and padding included.
inline constexpr std::size_t kGroupBytesMax = 1_MiB;
/// clamp(disk / (partitions x 64), 4..64 MiB), a multiple of 4096.
std::uint64_t segment_bytes_for(std::uint64_t disk_bytes, std::size_t partitions);

/// Space of a partition.
struct Space {
  std::uint64_t segments = 0;        ///< files
  std::uint64_t segments_spare = 0;  ///< ready for use
  std::uint64_t segments_dead = 0;   ///< to be recycled
  std::uint64_t live_records = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t writable_bytes = 0;  ///< what could still be appended
  bool low = false;                  ///< new mail is refused
};

/// The log of one partition.
///
/// Lifetime: open(); start() and, before or beside everything else, replay(), retain() for each live message, recovered(); await
///           stop() before it dies.
/// Order:    groups become durable one after the other, in the order of their tickets.
/// Failure:  a write or sync that fails closes its segment for good and fails the group in flight and the one that was
///           filling. The next segment begins with ABANDON, written at once; who waits for the failed group is told when that is
///           durable (or could not be had for 30 s, or in eight segments), so that nothing answered 451 comes back.
class Log {
 public:
  /// Locks the partition and learns where its log ends. Then start() may begin, and replay() tell what is in it.
  /// Errors: busy: another process has it. io, no_descriptors, ..: the partition cannot be read now. unsupported: the
  ///         filesystem has no O_DIRECT. corrupt: the partition belongs to another store or the key is wrong. not_found: the log
  ///         is not the one LogOptions::start tells of: open it again without.
  static runtime::Task<Result<std::unique_ptr<Log>>> open(runtime::Ring& ring, LogOptions options, Bytes metadata_key32);
  /// The same with the replay, for who needs nothing before it.
  static runtime::Task<Result<std::unique_ptr<Log>>> open(runtime::Ring& ring, LogOptions options, Bytes metadata_key32,
                                                          RecoveryVisitor& visitor);
  Log(const Log&) = delete;
  ~Log();

  const LogOptions& options() const { return options_; }
  const RecoveryReport& report() const { return report_; }

  // ---- after open
  /// Reads the generations that were there at open, from LogOptions::start on, checks every group and hands the records to
  /// `visitor`. Until recovered(); may run beside everything else. Errors: of the visitor; io: files that cannot be opened. Begun
  /// again after one, it goes on with the generation in which it ended.
  runtime::Task<Result<>> replay(RecoveryVisitor& visitor);
  /// The next replay() begins with the oldest generation: what LogOptions::start says was no good.
  runtime::Task<Result<>> forget_start();
  /// Records of messages that are alive, in generations that were there at open: before recovered().
  void retain(const Extent& extent);
  /// All that is alive is known: what is dead may be used again.
  void recovered();
  /// Was there at open: what is alive in it is known to the log only from retain() and recovered().
  bool is_old(std::uint64_t generation) const;

  /// The message that lies at `place` is alive: neither its record nor its chunks may be overwritten. Before start() or
  /// recovered().
  void retain(const MessageId& message, const Position& place, std::vector<Extent> chunks);
  /// Prepares the first segment and begins background work. Errors: no_space: nothing can be appended yet (it goes on trying).
  runtime::Task<Result<>> start();
  /// Writes what was committed, then ends background work. Idempotent. Nothing may be reserved any more.
  runtime::Task<void> stop();

  // ---- appending
  /// May a message of `bytes` come in? `keep_writable`: so much is to be left for later. Errors: no_space.
  Result<> admit(std::uint64_t bytes, std::uint64_t keep_writable = 0) const;
  /// The largest sum of records that one reserve() can get.
  std::size_t record_bytes_max() const;
  /// Waits for room in a group. `bytes`: sum of bytes_of...() of what will be added, each a multiple of 8.
  /// Errors: no_space (mail only while upkeep still gets room), limit, cancelled: stop() began, unsupported: read only.
  runtime::Task<Result<Room>> reserve(std::size_t bytes, Use use);

  /// Awaits the moment when a group has all its bytes and its sync. Errors: io, no_space: nothing of that group counts.
  class [[nodiscard]] Durable {
   public:
    Durable(Log& log, Ticket ticket) : log_(log), ticket_(ticket) {}
    Durable(const Durable&) = delete;
    bool await_ready();
    void await_suspend(std::coroutine_handle<> frame);
    Result<> await_resume() const { return result_; }

   private:
    friend class Log;
    Log& log_;
    Ticket ticket_;
    Durable* next_ = nullptr;
    std::coroutine_handle<> frame_;
    Result<> result_;
  };
  Durable durable(Ticket ticket) { return Durable{*this, ticket}; }
  /// The same without waiting: a group in flight is neither. What failed takes every later group with it that was begun.
  bool is_durable(Ticket ticket) const { return ticket.group <= durable_number_ && !has_failed(ticket); }
  bool has_failed(Ticket ticket) const { return has_failed(ticket.group, ticket.group); }

  // ---- what an index needs to know
  /// No record to come lies in an older generation.
  std::uint64_t filling_generation() const;
  /// A start that knows all records appended so far need not read older generations than this: the one that is filling, or the
  /// oldest with events that auditd may not have, or the oldest that could not be read whole.
  std::uint64_t replay_generation() const;
  /// Highest number given to a group so far; grows from start to start.
  std::uint64_t newest_group() const { return last_number_; }
  /// Last group that is durable; 0: none.
  std::uint64_t durable_group() const { return durable_number_; }
  /// Appended in this incarnation.
  std::uint64_t bytes_appended() const { return bytes_appended_; }
  bool has_generation(std::uint64_t generation) const;
  /// Where the chunks of a live message lie, by generation.
  std::span<const Extent> chunks_of(const MessageId& message) const;

  // ---- liveness
  /// Nothing is left to do for the message at `place`, and that is durable; or its group failed. Each place once.
  void release(const MessageId& message, const Position& place);
  /// Where the chunks of a message lie, which is alive and in memory again; they are held already.
  void remember_chunks(const MessageId& message, std::vector<Extent> chunks);
  /// The message leaves memory; what it has here stays held.
  void forget_chunks(const MessageId& message) { chunks_.erase(message); }
  /// auditd has everything of this incarnation up to this sequence.
  void audit_acknowledged(const AuditMark& mark);
  std::vector<AuditMark> audit_marks() const { return audit_marks_; }

  // ---- cleaning
  /// The generation that is cheapest to empty while free segments are few: copy the messages that lie in it, and those whose
  /// chunks do. 0: there is no need.
  std::uint64_t cleaning_candidate() const;
  /// Ids of the messages whose record, or a chunk, lies in that generation, alive or not; ids ascending. Reads all of it.
  /// Errors: not_found, io.
  runtime::Task<Result<std::vector<MessageId>>> messages_in(std::uint64_t generation);
  /// True when a chunk of `message` lies in `generation`.
  bool has_chunks_in(const MessageId& message, std::uint64_t generation) const;
  /// Copies a message, ciphertext verbatim, to the end of the log: its record, and its chunks that lie in `generation`.
  /// `scheduling` is what is known now and includes every outcome appended so far; its `chunks` is ignored.
  /// Returns the new place, durable; the old one has been released. Its extents are in chunks_of().
  /// Lifetime: the message must not be released, copied or changed meanwhile; reading it is fine.
  /// Errors: corrupt, io, no_space, limit.
  runtime::Task<Result<Position>> copy_forward(MessageId message, Position place, std::uint64_t generation,
                                               Scheduling scheduling);

  // ---- filling a new log from another one
  /// Gives the CHUNK records of a message, which another log of the same store holds.
  class ChunkSource {
   public:
    virtual ~ChunkSource() = default;
    /// Lifetime of the view: until the next call.
    virtual runtime::Task<Result<crypto::RecordView>> chunk(std::size_t index) = 0;
  };
  /// Appends a message of another log of the same store, ciphertext verbatim: its record, and its chunks, as many as
  /// `scheduling.chunks` lists (whose places are those in the other log). It is alive from now on. Not durable yet: await the ticket.
  /// Lifetime: `record` stays where it is until completion. Errors: as copy_forward, and what `chunks` says.
  runtime::Task<Result<Ticket>> take_over(crypto::RecordView record, Scheduling scheduling, ChunkSource& chunks);

  Space space() const;

 private:
  friend class Chunks;
  friend class Room;
  friend class MessageReader;

  struct Waiters {
    Durable *first = nullptr, *last = nullptr;
    void add(Durable& waiter);
    void take(Waiters& others);
  };
  struct Group {
    MutableBytes buffer;
    crypto::Sealer sealer;
    Segment* segment = nullptr;  // where it will go; null: not begun
    std::uint64_t offset = 0;
    std::uint64_t number = 0;
    Waiters waiters;
  };
  enum class Fit : std::uint8_t { yes, wait, no_space };

  Log(runtime::Ring& ring, LogOptions options, Bytes metadata_key32);

  // recover.cc
  friend class Recovery;
  struct Deleter {
    void operator()(Recovery* recovery) const;
  };

  // log.cc
  Fit try_fit(std::size_t bytes, Use use);
  bool begin_group(std::size_t bytes, Use use, Fit& why_not);
  void switch_to(Segment& segment);
  void retire(Segment& segment, bool failed);
  void add_opening_records();
  Checkpoint checkpoint() const;
  void filled();
  runtime::Task<void> write_groups();
  runtime::Task<Result<>> put(Fd fd, SealedBytes group, std::uint64_t offset);
  void succeeded(Group& group, const crypto::GroupHeader& header);
  void failed(Group& group, Error error);
  void reset(Group& group);
  void wake(Waiters& waiters, const Result<>& result);
  void tell_refused();
  bool has_failed(std::uint64_t first, std::uint64_t last) const;
  runtime::Task<void> close_later(Fd fd);
  void measure();

  // read.cc
  /// How much aligned memory reading `position` takes.
  static std::size_t read_bytes_for(const Position& position);
  runtime::Task<Result<Bytes>> read_at(Position position, MutableBytes memory);
  runtime::Task<Result<crypto::RecordView>> read_record(RecordKind kind, MessageId message, Position position,
                                                        MutableBytes memory);
  runtime::Task<Result<crypto::RecordView>> read_message(MessageId message, Position place, MutableBytes memory, Arrays& arrays,
                                                         Scheduling& scheduling);

  runtime::Ring& ring_;
  LogOptions options_;
  RecoveryReport report_;
  std::unique_ptr<Segments> segments_;
  std::unique_ptr<Recovery, Deleter> recovery_;  // until recovered()
  std::vector<AuditMark> audit_marks_;
  std::unordered_map<MessageId, std::vector<Extent>> chunks_;  // of live messages that have any
  Fd lock_;

  runtime::Scope scope_;
  runtime::Signal work_, room_;
  Group groups_[2];
  Group* filling_ = &groups_[0];
  Group* flying_ = nullptr;
  bool room_open_ = false;
  runtime::PauseAwait* gathering_ = nullptr;  // the filling group waits to be written

  Segment* active_ = nullptr;
  Segment* leaving_ = nullptr;  // closed as soon as its last group has landed
  std::optional<crypto::GenerationKeys> keys_;
  std::uint64_t active_end_ = 0, sequence_ = 0;
  bool opening_ = false;            // the next group is the first of its generation
  Checkpoint opening_checkpoint_;   // of the newest generation begun
  std::vector<Abandon> abandoned_;  // to be recorded by that group, at once
  Waiters refused_;                 // are told when it is
  int failures_in_a_row_ = 0;
  Instant failing_since_{};
  std::uint64_t last_number_ = 0, durable_number_ = 0;
  crypto::Digest256 last_mac_{};
  std::vector<std::uint64_t> failed_numbers_;
  Error last_failure_{};
  std::uint64_t bytes_appended_ = 0;
  std::uint64_t read_again_ = 0;  // oldest generation that this start could not read whole; 0: none
  bool started_ = false, stopping_ = false;
};

}  // namespace ringpost::spool
