// Mailboxes: what the shards of one process say to each other, without locks.
//
// Every pair of shards has one single-producer ring in each direction. A ring never overflows and nobody ever waits for room:
//   - A shard may have `requests` unanswered requests at each peer (its credits). A request returns its credit when the
//     reply is read, so at any time at most `requests` requests and at most `requests` replies lie in one ring.
//   - A note (no reply) is refused when it would touch the room those need.
// So a reply always fits, two full inboxes can always be drained, and no cycle of shards can deadlock.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/ring.hh"

namespace ringpost::runtime {

enum class MessageKind : std::uint8_t { note, request, reply };

struct MailboxSizes {
  std::uint32_t requests = 64;  ///< credits of each shard at each other one
  std::uint32_t notes = 256;    ///< room for notes in each direction of each pair
};

namespace detail {

inline constexpr std::size_t kCacheLine = 64;

/// A ring with one producer thread and one consumer thread.
template <typename T>
class SpscRing {
 public:
  explicit SpscRing(std::size_t capacity_min) : mask_(std::bit_ceil(capacity_min) - 1), slots_(new T[mask_ + 1]) {}

  std::size_t capacity() const { return mask_ + 1; }

  // ---- producer
  /// Entries not yet taken; may be more than there are, never fewer. Refreshed when it would exceed `limit`.
  std::size_t filled(std::size_t limit) {
    std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > limit) head_seen_ = head_.load(std::memory_order_acquire);
    return tail - head_seen_;
  }
  void push(const T& value) {
    RP_ASSERT(filled(mask_) <= mask_);
    std::size_t tail = tail_.load(std::memory_order_relaxed);
    slots_[tail & mask_] = value;
    tail_.store(tail + 1, std::memory_order_release);
  }

  // ---- consumer
  /// Entries that can be taken now.
  std::size_t available() const { return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_relaxed); }
  /// Only after available() said so.
  T pop() {
    std::size_t head = head_.load(std::memory_order_relaxed);
    T value = slots_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return value;
  }

 private:
  const std::size_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(kCacheLine) std::atomic<std::size_t> tail_{0};
  std::size_t head_seen_ = 0;  // the producer's
  alignas(kCacheLine) std::atomic<std::size_t> head_{0};
};

}  // namespace detail

template <typename Message>
class Mailbox;

/// The rings between all shards of a process. Made in main, outlives every Mailbox.
template <typename Message>
class MailboxExchange {
 public:
  static_assert(std::is_trivially_copyable_v<Message>, "messages cross threads as plain bytes");

  explicit MailboxExchange(std::size_t shards, const MailboxSizes& sizes = {}) : sizes_(sizes), stations_(shards) {
    RP_ASSERT(shards > 0 && sizes.requests > 0);
    for (std::size_t i = 0; i < shards * shards; ++i) lanes_.push_back(std::make_unique<Lane>(2 * sizes.requests + sizes.notes));
  }
  MailboxExchange(const MailboxExchange&) = delete;

  std::size_t shards() const { return stations_.size(); }

 private:
  friend class Mailbox<Message>;
  struct Envelope {
    MessageKind kind;
    Message message;
  };
  using Lane = detail::SpscRing<Envelope>;
  struct alignas(detail::kCacheLine) Station {
    std::atomic<bool> sleeping{false};
    std::atomic<Ring*> ring{nullptr};
  };

  Lane& lane(std::size_t from, std::size_t to) { return *lanes_[from * stations_.size() + to]; }

  const MailboxSizes sizes_;
  std::vector<Station> stations_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

/// One shard's end: its inbox, and the way to the others. It is the hook of the shard's ring.
///
/// Threads:  made and used on the thread of `ring`.
/// Lifetime: all mailboxes of an exchange die after all loops have ended.
template <typename Message>
class Mailbox final : public LoopHook {
 public:
  /// Called while the inbox is drained. Must not suspend; may send anything, also to `from`. A request is answered with
  /// Mailbox::reply(from, ...), now or later, exactly once.
  class Handler {
   public:
    virtual void on_message(std::size_t from, MessageKind kind, const Message& message) = 0;

   protected:
    ~Handler() = default;
  };

  Mailbox(MailboxExchange<Message>& exchange, std::size_t self, Ring& ring, Handler& handler)
      : exchange_(exchange), self_(self), ring_(ring), handler_(handler), peers_(exchange.shards()) {
    RP_ASSERT(self < exchange.shards());
    for (Peer& peer : peers_) peer.credits = exchange.sizes_.requests;
    ring_.set_hook(this);
    Ring* before = station().ring.exchange(&ring, std::memory_order_release);
    RP_ASSERT(before == nullptr);
  }
  Mailbox(const Mailbox&) = delete;
  ~Mailbox() override {
    station().ring.store(nullptr, std::memory_order_release);
    ring_.set_hook(nullptr);
  }

  std::size_t self() const { return self_; }
  std::size_t shards() const { return peers_.size(); }
  /// Requests that may be sent to `peer` before one of its replies comes.
  std::uint32_t credits(std::size_t peer) const { return peers_[peer].credits; }

  /// Says something that has no answer. False when the peer is behind: say it again later, or something newer.
  bool tell(std::size_t peer, const Message& message) {
    std::uint32_t room = exchange_.sizes_.notes;
    if (room == 0 || exchange_.lane(self_, peer).filled(room - 1) >= room) return false;
    push(peer, MessageKind::note, message);
    return true;
  }
  /// Asks. False without credit: wait for a reply of that peer.
  bool request(std::size_t peer, const Message& message) {
    if (peers_[peer].credits == 0) return false;
    --peers_[peer].credits;
    push(peer, MessageKind::request, message);
    return true;
  }
  /// Answers a request of `peer`; there is always room.
  void reply(std::size_t peer, const Message& message) {
    RP_ASSERT(peers_[peer].owed > 0);
    --peers_[peer].owed;
    push(peer, MessageKind::reply, message);
  }

  bool poll() override {
    bool any = false;
    for (std::size_t from = 0; from < peers_.size(); ++from) {
      auto& lane = exchange_.lane(from, self_);
      // What arrives while this is handled waits for the next turn: a chatty peer does not stop the sessions.
      for (std::size_t count = lane.available(); count > 0; --count) {
        auto envelope = lane.pop();
        if (envelope.kind == MessageKind::request) ++peers_[from].owed;
        if (envelope.kind == MessageKind::reply) ++peers_[from].credits;
        handler_.on_message(from, envelope.kind, envelope.message);
        any = true;
      }
    }
    return any;
  }

  bool may_sleep() override {
    station().sleeping.store(true, std::memory_order_relaxed);
    // Pairs with the fence in push(): either the producer sees `sleeping`, or this sees its message.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!has_mail()) return true;
    station().sleeping.store(false, std::memory_order_relaxed);
    return false;
  }
  void awake() override { station().sleeping.store(false, std::memory_order_relaxed); }

 private:
  struct Peer {
    std::uint32_t credits = 0;  // requests that may still be sent there
    std::uint32_t owed = 0;     // its requests that are not answered yet
  };
  using Station = typename MailboxExchange<Message>::Station;

  Station& station() { return exchange_.stations_[self_]; }

  bool has_mail() {
    for (std::size_t from = 0; from < peers_.size(); ++from) {
      if (exchange_.lane(from, self_).available() > 0) return true;
    }
    return false;
  }

  void push(std::size_t to, MessageKind kind, const Message& message) {
    exchange_.lane(self_, to).push({kind, message});
    std::atomic_thread_fence(std::memory_order_seq_cst);
    Station& peer = exchange_.stations_[to];
    // One of several producers wakes it; the others have been seen by then or will be after the wake.
    if (peer.sleeping.load(std::memory_order_relaxed) && peer.sleeping.exchange(false, std::memory_order_relaxed)) {
      if (Ring* ring = peer.ring.load(std::memory_order_acquire)) ring_.wake(*ring);
    }
  }

  MailboxExchange<Message>& exchange_;
  const std::size_t self_;
  Ring& ring_;
  Handler& handler_;
  std::vector<Peer> peers_;
};

}  // namespace ringpost::runtime
