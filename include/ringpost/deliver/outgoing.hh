// What delivery needs to know of a message, and what it reports: the seam between the next hop and the spool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/event/event.hh"
#include "ringpost/queue/message.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/smtp/require_tls.hh"

namespace ringpost::deliver {

/// A message opened for one attempt. Addresses and content are in clear here, and nowhere else.
class Outgoing {
 public:
  virtual ~Outgoing() = default;
  /// Without brackets; empty: the null sender.
  virtual std::string_view reverse_path() const = 0;
  /// `index` as in queue::Message::recipients.
  virtual std::string_view recipient(std::size_t index) const = 0;
  /// Parameters of MAIL (smtp/notification.hh, delivery_terms.hh) and RCPT that are kept; mostly empty.
  virtual std::string_view parameters() const { return {}; }
  virtual std::string_view recipient_parameters(std::size_t) const { return {}; }
  virtual bool smtputf8() const = 0;
  virtual bool declared_eight_bit() const = 0;  ///< it came with BODY=8BITMIME
  virtual bool eight_bit() const = 0;           ///< its content holds octets above 127
  virtual smtp::TlsWish tls_wish() const { return smtp::TlsWish::none; }
  virtual std::uint64_t size() const = 0;
  /// What the next hop's words about this message are sealed under.
  virtual Key256 detail_key() const = 0;

  /// Starts again at the first byte.
  virtual void rewind() = 0;
  /// The next bytes of the content; empty at the end. Lifetime: until the next call.
  /// Errors: corrupt: the stored copy does not authenticate; never deliver what came so far. io, unavailable.
  virtual runtime::Task<Result<Bytes>> next_content() = 0;
};

/// What an attempt brought for one recipient.
struct RecipientResult {
  enum class Verdict : std::uint8_t { none, delivered, deferred, failed };  ///< none: it was not tried
  Verdict verdict = Verdict::none;
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;
  std::string text;  ///< the next hop's words; may hold addresses, so it is kept sealed only
  bool reports = false;  ///< delivered to a next hop that offers DSN: what the sender wants to hear is now its duty (RFC 3461)
  bool keeps_time = false;  ///< delivered to a next hop that was told by when it is to be delivered (RFC 2852)
};

/// One attempt at one message, or at those of its recipients that go to one site.
struct Attempt {
  std::vector<std::uint32_t> recipients;  ///< which of queue::Message::recipients `results` are of; empty: all of them, in order
  std::vector<RecipientResult> results;
  event::Host host;                      ///< who answered
  std::optional<event::TlsResult> tls;   ///< of the connection to it; nothing: it never came to that

  /// Starts over for all of a message's recipients, or for `only` these; strings keep their memory.
  void begin(std::size_t all, std::span<const std::uint32_t> only = {});
  /// Place in queue::Message::recipients of the recipient that results[slot] is of.
  std::size_t recipient(std::size_t slot) const { return recipients.empty() ? slot : recipients[slot]; }
  /// For every recipient of `message` that waits and has no result yet. The others were not tried.
  void give_rest(const queue::Message& message, const RecipientResult& result);
  bool settled(std::size_t slot) const { return results[slot].verdict != RecipientResult::Verdict::none; }
};

/// Opens messages and takes down what became of them.
///
/// A message that the queue gave out is in delivery until one of the calls marked (*) ends that; it may be gone when they return.
class MailSource {
 public:
  virtual ~MailSource() = default;
  /// Errors: unavailable: the key cannot be had now. corrupt: quarantine. io.
  virtual runtime::Task<Result<std::unique_ptr<Outgoing>>> open(queue::Message& message) = 0;
  /// What was opened is left as it is; each open() ends with this, or with a record() or postpone().
  virtual void leave(queue::Message& message) = 0;
  /// Records the attempt, durably, in order, without being waited for. `more`: other recipients are still in delivery. Else (*) it
  /// schedules the message again or lets it go.
  virtual void record(queue::Message& message, const Outgoing& outgoing, const Attempt& attempt, bool more) = 0;
  /// (*) The attempt could not even begin, and it is not the message's fault: schedule it again after a while, unrecorded.
  virtual void postpone(queue::Message& message, Error error) = 0;
  /// (*) Nothing was tried, for `reason`: it is due again at `due`, unrecorded.
  virtual void put_back(queue::Message& message, Instant due, event::Reason reason) = 0;
  /// It has waited so long that something is to be decided about it: a record() is wanted even if nothing can be tried.
  virtual bool is_overdue(const queue::Message&) const { return false; }
  /// False while there is no room for what would come of an attempt: nothing new is tried until Deliverer::room_again().
  virtual bool has_room() const { return true; }
};

/// Connections that this shard may hold now (policy::PermitBook behind a mailbox), by destination: a number that names it.
class Permits {
 public:
  virtual ~Permits() = default;
  /// How many connections to `destination` this shard would like to hold in all; all shards together hold at most `limit`.
  virtual void want(std::uint64_t destination, std::uint32_t connections, std::uint32_t limit) = 0;
  /// How many it may hold; a grant is followed by Deliverer::permits_changed().
  virtual std::uint32_t held(std::uint64_t destination) const = 0;
  /// One connection was closed and is not needed any more.
  virtual void release_one(std::uint64_t destination) = 0;
  /// True when others wait for permits: a connection without work should be given up early.
  virtual bool contended(std::uint64_t destination) const = 0;
  /// Nothing is held, nothing wanted, and that will be so for a while.
  virtual void forget(std::uint64_t destination) = 0;
  /// Takes a token for one message to `destination`: all shards together get as many as its rate allows, by demand. False: there is none
  /// now; Deliverer::tokens_came() follows. `waiting`: messages that want one, this one included.
  virtual bool take_token(std::uint64_t destination, const config::Rate& rate, std::size_t waiting) = 0;
  /// No token of `destination` will be wanted for a while.
  virtual void forget_tokens(std::uint64_t destination) = 0;
};

}  // namespace ringpost::deliver
