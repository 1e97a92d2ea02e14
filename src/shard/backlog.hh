// The messages of one partition between memory and index: the queue holds what is due soon, the index all of them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/index/index.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/queue/queue.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/spool/log.hh"
#include "shard/clock_jumps.hh"

namespace ringpost::shard {

/// What it works with. Everything outlives it.
struct BacklogParts {
  runtime::Ring& ring;
  Log& log;
  queue::Queue& queue;
  spool::Log& spool;
  index::Index& index;
  metrics::ShardMetrics& metrics;
};

struct BacklogOptions {
  std::uint16_t number = 0;   ///< queue::Message::partition of its messages
  std::size_t window = 0;     ///< messages of the shard in memory, about; more come in and leave again
  Duration longest_wait{};    ///< no message that was tried is due later than this
  Duration longest_hold{};    ///< nor most others
};

/// A message enters the queue when it comes in or when it falls due, and leaves it for the index when it waits for long or too many
/// are there. The index follows the queue about once a second with what is then still there: a message that is delivered at once
/// never gets near it. Each commit says from which generation on a start must read the log; that is held back by whatever the index
/// was not told yet: changed messages with outcomes in flight, messages on their way into the queue, events without acknowledgement.
///
/// Invariant: a message that is not in the queue is in the index as it is, or over.
class Backlog {
 public:
  Backlog(const BacklogParts& parts, const BacklogOptions& options);
  Backlog(const Backlog&) = delete;

  /// All older messages are in the index: they may come in, and others leave. `on_taken_up`: some were put into the queue.
  void complete(std::function<void()> on_taken_up);
  bool is_complete() const { return on_taken_up_ != nullptr; }

  // ---- the index is behind
  /// Keeps a start from skipping a message that is durable and not in the queue yet.
  class [[nodiscard]] Pin {
   public:
    explicit Pin(Backlog& backlog);
    Pin(const Pin&) = delete;
    ~Pin();

   private:
    Backlog& backlog_;
    std::uint64_t generation_;
  };
  /// Call before a record that changes the message is appended; for a new message, while its Pin lives.
  void changed(queue::Message& message);
  /// The index does not say what the log does from `generation` on.
  void note(queue::Message& message, std::uint64_t generation);
  /// Nothing is left to do for the message, and that is durable. It must leave the queue next.
  void release(const queue::Message& message);

  /// Everything durable up to now is in the index, or in generations that a start is told to read. Returns true when there was a
  /// commit; see is_behind(). Errors: of the index.
  runtime::Task<Result<bool>> write_down(bool at_once);
  /// There was more to write down than fits one turn.
  bool is_behind() const { return behind_; }
  /// Lets messages go from memory that wait for long, or that are too many.
  void let_go();

  // ---- into memory
  /// Takes up what falls due while there is room; again and again, until stop().
  runtime::Task<void> take_up();
  void stop();
  /// What is to be written down as the time at which a message is released. Its wait is not changed by jumps of the wall clock while
  /// the server runs (docs/decisions/009).
  WallTime due_wall(const MessageId& id, Instant release);
  /// The message, in the queue from now on; null when there is none. It may leave the queue at the next await. Errors: of the index.
  runtime::Task<Result<queue::Message*>> bring(MessageId id);
  /// Those of `ids` that there are, into the queue; up to some hundred at once. Errors: of the index.
  runtime::Task<Result<>> bring_all(std::vector<MessageId> ids);
  /// What the index says of a message that is not in the queue; null when there is none. Errors: of the index.
  runtime::Task<Result<std::unique_ptr<queue::Message>>> look_up(MessageId id);
  struct Listed {
    MessageId id;
    std::unique_ptr<queue::Message> stored;  ///< what the index says of it; null: it is in the queue
  };
  /// About `limit` messages of this partition behind `after` (zero: from the first), ids ascending; none at the end. Errors: of the
  /// index.
  runtime::Task<Result<std::vector<Listed>>> page_behind(MessageId after, std::size_t limit);

 private:
  index::Entry entry_of(const queue::Message& message) const;
  std::unique_ptr<queue::Message> message_of(index::Entry&& entry);
  void set_times(queue::Message& message, const index::Entry& entry);
  Duration until_due(const index::Entry& entry);
  struct Hold {
    Duration left{};
    bool as_written = true;  ///< else what is written down is of a clock that was wrong
  };
  std::optional<Hold> hold_of(const index::Entry& entry);
  const ClockJumps& jumps();
  void tell(queue::Message& message);
  bool may_leave(const queue::Message& message) const;
  bool enter(index::Entry&& entry);
  bool may_stay_away(const index::Entry& entry);
  runtime::Task<Result<std::size_t>> take_up_page();

  BacklogParts parts_;
  BacklogOptions options_;
  std::size_t page_rows_;
  std::function<void()> on_taken_up_;  // set by complete()
  std::vector<MessageId> changed_;     // messages the index is to be told of; some may be gone
  struct Pinned {
    std::uint64_t generation;
    std::uint32_t count;
  };
  std::vector<Pinned> pinned_;  // generations ascending; few
  index::DueQuery query_;       // where take_up() stands
  ClockJumps jumps_;
  Instant look_far_{};          // when it looks for what is due later than anything may be
  runtime::Signal wake_;
  bool behind_ = false, stopping_ = false;
};

}  // namespace ringpost::shard
