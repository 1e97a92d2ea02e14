// Callouts: whether a recipient exists is asked of its next hop, before its mail is taken.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::deliver {

class CalloutMemory;

/// What is known of a recipient.
struct CalloutResult {
  enum class Verdict : std::uint8_t {
    unsure,    ///< the next hop did not say
    exists,    ///< it takes mail for this recipient (2xx)
    does_not,  ///< it does not (5xx)
  };
  Verdict verdict = Verdict::unsure;
  smtp::EnhancedCode enhanced{};  ///< does_not: as the next hop put it; zero when it gave none
};

/// Asks next hops with MAIL FROM:<>, RCPT TO and RSET, on connections of its own, and remembers what they said. Equal questions asked at
/// once share one answer. A next hop that cannot be reached is left alone for a moment.
///
/// Lifetime: await stop() before it dies; `deliverer` outlives it.
class Callouts {
 public:
  /// `key`: what addresses are remembered under, hashed; 32 octets.
  Callouts(runtime::Ring& ring, Deliverer& deliverer, metrics::ShardMetrics& metrics, Log& log, const Key256& key,
           std::shared_ptr<const config::Settings> settings);
  Callouts(const Callouts&) = delete;
  ~Callouts();

  /// Does the mailbox `address` (no brackets) exist? Waits callout.timeout at most.
  runtime::Task<CalloutResult> ask(std::string address);
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }
  /// As Deliverer::secure_with.
  void secure_with(std::shared_ptr<tls::ClientContext> context) { tls_ = std::move(context); }
  /// From now on nobody knows: whoever waits is told so at once.
  void refuse();
  /// The same, and the connections are broken.
  runtime::Task<void> stop();

 private:
  struct Question;
  struct Line;
  using Hash = std::array<std::byte, 16>;

  Hash hash_of(std::string_view address) const;
  CalloutResult remembered(const Hash& hash, Duration positive_max, Duration negative_max);
  runtime::Task<void> place(Question& question);
  void answer(Question& question, const CalloutResult& result);
  void forget(Question& question);
  runtime::Task<void> work(Line& line);
  runtime::Task<std::optional<CalloutResult>> put(Question& question, Line& line, std::unique_ptr<Connection>& connection);
  runtime::Task<bool> open(Line& line, std::unique_ptr<Connection>& connection);
  runtime::Task<void> close(Line& line, std::unique_ptr<Connection>& connection);
  void give_up(Line& line);

  runtime::Ring& ring_;
  Deliverer& deliverer_;
  metrics::ShardMetrics& metrics_;
  Log& log_;
  Key256 key_;
  std::shared_ptr<tls::ClientContext> tls_;
  std::shared_ptr<const config::Settings> settings_;
  runtime::Scope scope_;
  std::unique_ptr<CalloutMemory> memory_;
  std::map<Hash, std::unique_ptr<Question>> questions_;
  std::unordered_map<std::string, std::unique_ptr<Line>> lines_;  // by the name of the site
  std::vector<Connection*> open_;
  std::size_t waiting_ = 0;
  bool stopping_ = false;
  LogLimit failure_log_;
};

}  // namespace ringpost::deliver
