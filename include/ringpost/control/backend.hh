// What operators can ask for: the seam between the control socket and the daemon.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
#include "ringpost/control/filter.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::control {

/// Text for the operator: what was asked for, or what is wrong with it.
using Answer = std::expected<std::string, std::string>;

/// The whole daemon. Calls come from any shard's thread or its helper thread and may take milliseconds; they lock inside.
class Daemon {
 public:
  virtual ~Daemon() = default;
  virtual std::size_t shards() const = 0;
  /// One JSON object.
  virtual std::string status() = 0;
  /// Prometheus text exposition.
  virtual std::string metrics() = 0;
  /// `key`, or everything when it is empty: configuration lines.
  virtual Answer get(std::string_view key) = 0;
  /// `KEY=VALUE`.
  virtual Answer set(std::string_view assignment, std::uint32_t user) = 0;
  /// Reads the files again; all of it counts, or nothing.
  virtual Answer reload(std::uint32_t user) = 0;
  /// Who may not try to log in for now: one JSON object a line.
  virtual std::string bans() = 0;
  /// Begins an orderly stop.
  virtual void stop() = 0;
};

/// What an operator may do to messages that wait.
enum class Act : std::uint8_t {
  hold,      ///< no attempt until it is released
  release,   ///< of what an operator holds, or what was set aside
  retry,     ///< at once
  bounce,    ///< given up, and the sender is told
  remove,    ///< given up, and nobody is told
  redirect,  ///< to another address, as a message of its own
};

struct Order {
  Act act{};
  QueueFilter filter;
  std::string address;     ///< redirect: where to
  std::uint32_t user = 0;  ///< who wants it
};

/// What became of an order for one message. Only `done` changed anything.
enum class Effect : std::uint8_t {
  done,
  not_meant,    ///< the filter does not fit, or there is nothing to do: a message that is not held is not released
  in_delivery,  ///< an attempt is under way
  unreadable,   ///< its stored copy does not authenticate: hold, release and remove are possible
  not_now,      ///< its key cannot be had, or there is no space
};
struct Effected {
  Effect effect = Effect::not_meant;
  std::uint32_t recipients = 0;  ///< bounce, remove, redirect: of so many
  std::optional<MessageId> successor;
};

/// Messages of one page that may fit a filter.
struct Page {
  std::vector<MessageId> ids;     ///< ascending
  std::optional<MessageId> next;  ///< the next page begins behind it; none: this was the last
};

/// The queue of one shard, and where its mail goes.
class QueueView {
 public:
  virtual ~QueueView() = default;
  /// Those behind `after` (zero: from the first) that fit as far as can be told without opening them.
  virtual runtime::Task<Page> page(MessageId after, const QueueFilter& filter) = 0;
  /// One JSON object for the message, without a newline; empty when it is gone, or does not fit. Reads the log where need be.
  /// "size": bytes as kept and relayed, that is what the client sent and our Received field (as Postfix and Exim count).
  /// "state" of a recipient: queued, delivering, deferred, held, delivered or failed; "reason": exactly one of each that waits;
  /// "code": the last reply's; "reply": its words, only where the filter names one id and the log still has them; "host": who gave it, or was tried last; "next": when it is tried next.
  virtual runtime::Task<std::string> describe(MessageId id, const QueueFilter& filter) = 0;
  /// One JSON object: how many messages, recipients and bytes, by state, reason and domain. Goes through all of the queue.
  virtual runtime::Task<std::string> summarize(const QueueFilter& filter) = 0;
  /// Durable on return.
  virtual runtime::Task<Effected> carry_out(MessageId id, const Order& order) = 0;

  /// One JSON object a line for each set of hosts that mail went to lately, with what is known of it.
  virtual std::string destinations() = 0;
  /// One JSON object: where mail for `address` would go and why it would wait. May ask DNS.
  virtual runtime::Task<Answer> explain(std::string address) = 0;
};

/// Takes a control connection to another shard, which goes on with `request` (at most kRequestBytesMax).
class Handover {
 public:
  virtual ~Handover() = default;
  virtual bool pass(std::size_t shard, Fd connection, std::string_view request) = 0;
};

/// A request is one line: SHARD or -, a command, its argument.
inline constexpr std::size_t kRequestBytesMax = 512;

}  // namespace ringpost::control
