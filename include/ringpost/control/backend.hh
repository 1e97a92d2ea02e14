// What operators can ask for: the seam between the control socket and the daemon.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
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
  /// Begins an orderly stop.
  virtual void stop() = 0;
};

/// The queue of one shard, for listings.
class QueueView {
 public:
  virtual ~QueueView() = default;
  /// The next ids behind `after` (zero: from the first), ascending; none at the end.
  virtual runtime::Task<std::vector<MessageId>> page(MessageId after) = 0;
  /// One JSON object for the message, without a newline; empty when it is gone. Reads the log where need be.
  /// "size": bytes as kept and relayed, that is what the client sent and our Received field (as Postfix and Exim count).
  /// "state" of a recipient: queued, delivering, deferred, held, delivered or failed; "reason" says why where there is a why.
  virtual runtime::Task<std::string> describe(MessageId id) = 0;
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
