// A message the server answers for: where it lies, what is still to do for each recipient, and why it waits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
#include "ringpost/event/event.hh"
#include "ringpost/spool/position.hh"
#include "ringpost/spool/terms.hh"

namespace ringpost::queue {

/// What has become of one recipient. Numbers are part of the spool's format.
enum class State : std::uint8_t {
  waiting = 0,    ///< to be tried at the message's due time
  delivered = 1,  ///< the next hop answered 2xx
  failed = 2,     ///< given up, or with a 2xx reply delivered: the sender is still to be told
  told = 3,       ///< given up, and the sender was told or is not to be
};

struct Recipient {
  State state = State::waiting;
  std::uint8_t attempts = 0;  ///< saturates
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;     ///< the next hop's last answer, code 0: none
  event::Host host;           ///< who gave it, or was tried last; port 0: nobody

  /// Nothing is known of it but that it waits.
  bool is_untried() const { return reason == event::Reason::none || reason == event::Reason::future_release; }
  /// It cannot be tried, or must not be: its message is held for an operator to decide.
  bool is_set_aside() const { return reason == event::Reason::damaged || reason == event::Reason::poison; }
};

/// Tells apart where messages go without saying it: equal domains of one store give equal hashes.
using Destination = std::array<std::byte, 16>;

/// Tells apart who sent messages, roughly: a part of the reverse path's keyed hash, never zero. Zero: it is not known.
using Sender = std::uint16_t;

/// Bytes and key of a message that was just received, so that its first delivery reads no disk. Owned by the message.
class Hot {
 public:
  virtual ~Hot() = default;
};

/// One message of this shard. Addresses are not here: they lie sealed in the log (or in `hot`).
///
/// Lifetime: owned by Queue; stable until Queue::remove.
struct Message {
  MessageId id;
  std::uint16_t partition = 0;  ///< which of the shard's logs `place` is in
  Sender sender = 0;            ///< whose turn it takes; not changed once the queue has it
  spool::Position place;
  std::uint32_t revision = 0;   ///< outcomes recorded so far
  spool::Position words;        ///< of the last outcome with a next hop's words; its segment may be gone
  Destination destination{};    ///< keyed hash of the domain of all its recipients; zero: there are several
  std::uint64_t size = 0;       ///< bytes of the body as it is relayed
  WallTime arrived{};
  Instant born{};               ///< its age counts from here, perhaps in the future: restarts and jumps of the wall clock do not make it old (age_after_start)
  spool::Terms terms;           ///< what the sender asked for beside delivery
  bool warned = false;          ///< the sender was told that it takes long
  bool warning_owed = false;    ///< the sender is to be told that now
  Instant accepted_at{};        ///< in this incarnation; for latency only
  std::vector<Recipient> recipients;
  std::unique_ptr<Hot> hot;

  Instant due{};                ///< next attempt while it waits
  WallTime due_wall{};          ///< the same for people and for the log
  bool in_delivery = false;     ///< a delivery, or a copy to another place, owns it now
  bool held = false;            ///< no attempt until it is released
  std::uint32_t outcomes_in_flight = 0;  ///< outcome records not yet durable; the message stays until 0

  std::size_t waiting() const {
    std::size_t count = 0;
    for (const Recipient& recipient : recipients) count += recipient.state == State::waiting;
    return count;
  }

  /// Its sender asked for it to be released later (RFC 4865), and it counts its age from then.
  bool awaits_release(Instant now) const { return born > now; }
  void mark_unreleased() {
    for (Recipient& recipient : recipients)
      if (recipient.state == State::waiting) recipient.reason = event::Reason::future_release;
  }
  /// It is released at `now`, before its time. Returns the recipients that are different now.
  std::vector<std::uint32_t> release(Instant now) {
    std::vector<std::uint32_t> changed;
    born = accepted_at = now;
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      if (recipients[i].reason != event::Reason::future_release) continue;
      recipients[i].reason = event::Reason::none;
      changed.push_back(static_cast<std::uint32_t>(i));
    }
    return changed;
  }

  /// Its sender wants it back rather than delivered.
  bool is_too_late(Instant now) const { return terms.forbids(now - born); }

  bool is_over() const {
    return std::ranges::all_of(recipients, [](const Recipient& r) { return r.state == State::delivered || r.state == State::told; });
  }
  /// The sender is to be told of something.
  bool owes_report() const {
    return warning_owed || std::ranges::any_of(recipients, [](const Recipient& r) { return r.state == State::failed; });
  }

  // What the index of its partition was told.
  bool indexed = false;          ///< it may have a row
  WallTime indexed_due{};        ///< when the row says that it is due
  std::uint64_t changed_in = 0;  ///< generation of the first record that the row does not reflect, or an older one; 0: there is none

  // Places in the queue's structures.
  bool has_turn = false;        ///< it was due and is in the line of its sender
  std::size_t heap_position = static_cast<std::size_t>(-1);
  std::uint64_t order = 0;
};

}  // namespace ringpost::queue
