// One connection of the generator: messages out, replies in.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/client.hh"
#include "bench/content_digest.hh"
#include "bench/send.hh"

namespace ringpost::bench {

class SendConnection {
 public:
  /// How a conversation came to its end.
  enum class Ending : std::uint8_t {
    done,  ///< there are no more messages, or the connection broke and nobody wants another one
    more,  ///< another connection should go on
  };

  explicit SendConnection(SendWorker& worker);
  ~SendConnection();

  /// Connects, up to where messages may follow.
  runtime::Task<bool> open();
  /// Sends messages until there are no more, the connection has had its share, or it breaks.
  runtime::Task<Ending> converse();
  /// QUIT when in order, then close. Idempotent; must be awaited before it dies.
  runtime::Task<void> close();
  /// Breaks the connection from outside.
  runtime::Task<void> cut();

 private:
  /// A message whose commands are queued or sent and that has no outcome yet.
  struct InFlight {
    GeneratedMessage message;
    std::uint64_t number = 0;
    Instant since{};
    Instant all_sent{};
    bool reset = false;          ///< its commands begin with RSET
    std::uint32_t accepted = 0;  ///< recipients
  };
  enum class Outcome : std::uint8_t { accepted, tempfailed, permfailed, lost };

  runtime::Task<bool> take_more();
  runtime::Task<std::optional<Claim>> wait_for_claim();
  std::optional<Claim> claim_due();
  bool has_share_left() const;
  void begin(const Claim& claim);
  runtime::Task<Outcome> complete(InFlight& current);
  runtime::Task<Outcome> complete_data(InFlight& current, Answer first_failure);
  runtime::Task<Outcome> complete_chunks(InFlight& current, Answer first_failure);
  runtime::Task<bool> flush_last_of(InFlight& current);
  runtime::Task<Answer> read_verdict(InFlight& current);
  runtime::Task<bool> envelope(InFlight& current, Answer& first_failure);
  Outcome outcome_of(const InFlight& current, Answer answer) const;
  void settle(const InFlight& current, Outcome outcome);
  void lose_rest();

  bool together() const { return options_.pipeline; }
  void queue_mail(const InFlight& current);
  void queue_recipient(const InFlight& current, std::uint32_t index);
  void queue_content(const InFlight& current);
  std::size_t queue_chunk(const InFlight& current, std::size_t from);


  SendWorker& worker_;
  const SendOptions& options_;
  runtime::Ring& ring_;
  Client client_;
  bool needs_reset_ = false;
  std::uint64_t begun_ = 0;  ///< messages on this connection

  std::optional<Claim> held_;  ///< claimed, but not yet due
  std::deque<std::unique_ptr<InFlight>> in_flight_;
  std::vector<std::unique_ptr<InFlight>> idle_;
  ContentDigest digest_;
  std::string ledger_line_;
};

}  // namespace ringpost::bench
