// One SMTP connection to a next hop: the client's half of the conversation, wary of what the other half may do.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/config/settings.hh"
#include "ringpost/deliver/outgoing.hh"
#include "ringpost/deliver/proof.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/sasl/client.hh"
#include "ringpost/smtp/extensions.hh"
#include "ringpost/smtp/reply_parser.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::deliver {

/// What is known of a next hop beyond what it says of itself.
struct HopMemory {
  bool chunking_broken = false;  ///< it offers CHUNKING and does not know BDAT
  /// Hosts whose TLS did not work: mail that may go in clear does so until then.
  struct InClear {
    SocketAddress host;
    Instant until{};
  };
  std::vector<InClear> in_clear;
  std::optional<sasl::ScramClientKeys> login_keys;  ///< of our login there
};

class TlsSessions;
struct SessionFacts;

/// How a connection is to be secured.
struct Security {
  config::TlsPolicy policy = config::TlsPolicy::automatic;
  std::string name;                       ///< who the next hop is to be; empty: it does not matter
  std::shared_ptr<tls::ClientContext> context;  ///< null: there is no TLS here
  std::shared_ptr<const Proofs> proofs;         ///< of the hosts it may go to; null: of none
  std::shared_ptr<const transport::CachedPolicy> sts;  ///< the MTA-STS policy of the domains whose mail it is; null: they have none
  TlsSessions* sessions = nullptr;              ///< null: each handshake is a whole one
  std::string session_scope;                    ///< sessions are good within it only
  smtp::TlsWish wish = smtp::TlsWish::none;  ///< of the messages that go over it
  std::string shows;  ///< the entry of `destination` whose login and certificate say who we are; empty: nobody
};

/// LMTP (RFC 2033) is SMTP with another greeting, and with an answer for each recipient behind the message.
enum class Protocol : std::uint8_t { smtp, lmtp };

/// Why a connection or a transaction came to nothing; what is not settled yet gets this.
struct Trouble {
  RecipientResult::Verdict verdict = RecipientResult::Verdict::deferred;
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;
  std::string text;
  RecipientResult as_result() const { return {verdict, reason, reply, text}; }
};

using Outcome = std::expected<void, Trouble>;

/// What is left to do after Connection::deliver.
enum class Next : std::uint8_t {
  done,              ///< every waiting recipient has a result
  fresh_connection,  ///< some have none, and another connection to the same hop is the way to get them one
};

class Connection {
 public:
  /// `hop` outlives the connection, which is closed after `messages_max` transactions.
  Connection(runtime::Ring& ring, std::shared_ptr<const config::Settings> settings, const SocketAddress& target, Protocol protocol,
             HopMemory& hop, std::uint64_t messages_max, Security security);
  Connection(const Connection&) = delete;
  ~Connection();

  /// Connects, reads the greeting, says EHLO (HELO to a hop that does not know it), secures the connection as its policy asks, and
  /// logs in where there is a login; all of it by `latest`.
  runtime::Task<Outcome> open(Instant latest = kNever);
  /// One or more transactions (the hop's limits decide) for the recipients that wait and have no result in `attempt`.
  ///
  /// Errors: fresh_connection when a reused connection turned out to be gone before anything happened, when its limit of messages
  ///         is reached in the middle of the recipients, or when the hop does not know the BDAT it offers. It comes at most once
  ///         without a further result in `attempt`.
  runtime::Task<Next> deliver(Outgoing& outgoing, const queue::Message& message, Attempt& attempt);
  /// Would a message from nobody to `address` be taken (2xx)? Failed: not this recipient (5xx). Deferred: it does not say so, or
  /// refuses the null sender. Nothing: a reused connection turned out to be gone before anything happened.
  runtime::Task<std::optional<RecipientResult>> ask_about(std::string_view address, Instant latest);
  /// QUIT when it is in order, then close. Must be awaited before it dies.
  runtime::Task<void> close();
  /// Breaks the connection from outside: what is in flight on it fails, its worker closes it.
  runtime::Task<void> cut();

  /// False when the conversation is out of step or over: close it.
  bool usable() const { return usable_ && !limit_reached(); }
  /// It ended before its time.
  bool broken() const { return !usable_; }
  /// It could not be opened because TLS did not work, which its policy does not demand: another one to the same host goes without.
  bool may_go_in_clear() const { return tls_in_vain_; }
  /// It could not be opened with an earlier TLS session, which is forgotten now: another one to the same host begins a new one.
  bool session_failed() const { return session_in_vain_; }
  /// Messages of such senders may go over it.
  bool is_for(smtp::TlsWish wish) const { return security_.wish == wish; }
  bool secured() const { return channel_ && channel_->secured(); }
  bool resumed() const { return secured() && channel_->handshake().resumed; }
  /// For reports: what it came to when it was open, or failed for `trouble`.
  SessionFacts facts(event::Reason trouble) const;
  /// True once for each domain.
  bool first_of(const std::string& domain);
  /// How it is secured, once that is decided.
  const std::optional<event::TlsResult>& tls_result() const { return tls_result_; }
  /// A Unix socket goes down in the books as this machine's LMTP port.
  event::Host host() const {
    if (!target_.is_ip()) return {IpAddress::from_ipv4(0x7f000001), 24};
    return {target_.ip(), target_.port()};
  }

 private:
  struct Answer {
    std::uint16_t code = 0;
    smtp::EnhancedCode enhanced{};
    bool positive() const { return code >= 200 && code < 300; }
  };
  /// How the content of a message travels.
  enum class Way : std::uint8_t {
    data,        ///< DATA, dots stuffed
    chunks,      ///< BDAT, each chunk answered before the next
    one_flight,  ///< BDAT, behind its own envelope
  };

  // connection.cc: the conversation's frame
  runtime::Task<Outcome> say_hello();
  runtime::Task<void> reset();
  bool limit_reached() const;
  void queue_line(std::initializer_list<std::string_view> parts);
  runtime::Task<Outcome> in_step();
  runtime::Task<Outcome> flush(Duration patience);
  runtime::Task<Outcome> send_all(Bytes bytes, Duration patience);
  runtime::Task<std::expected<Answer, Trouble>> read_reply(Duration patience, smtp::Capabilities* capabilities = nullptr);
  runtime::Task<std::expected<Answer, Trouble>> read_final(Duration patience);
  Trouble broken(Error error);
  Trouble unwelcome(const Answer& answer);
  void fill(RecipientResult& result, const Answer& answer) const;
  Instant deadline(Duration patience) const;

  // secure.cc: TLS
  std::optional<Trouble> forbidden() const;
  runtime::Task<Outcome> secure();
  runtime::Task<Outcome> shake_hands();
  std::string key_of_session(std::string_view server_name) const;
  void keep_session();
  const tls::Certificate* own_certificate() const;
  bool wants_tls() const;
  event::TlsResult result_so_far() const;
  Outcome in_clear(event::TlsResult::Shortfall why);
  Trouble insecure(event::Reason reason, std::string_view text);
  Outcome takes_duty() const;
  Trouble in_vain(Trouble trouble);

  // login.cc: AUTH
  runtime::Task<Outcome> log_in();
  runtime::Task<Outcome> converse(sasl::ClientExchange& exchange, std::string_view command);
  runtime::Task<Outcome> say_words(std::string_view command, std::optional<Bytes> words);
  Trouble not_logged_in(const Answer& answer);
  Trouble no_login(event::Reason reason, const event::ReplyCode& reply, std::string_view text);

  // transaction.cc: envelope and what became of it
  Outcome fits(const Outgoing& outgoing, const queue::Message& message, const Attempt& attempt) const;
  std::chrono::seconds time_left(const queue::Message& message) const;
  bool keeps_time() const;
  void write_terms(const queue::Message& message);
  bool choose_recipients(const queue::Message& message, const Attempt& attempt);
  Way way_for(const Outgoing& outgoing) const;
  runtime::Task<Outcome> transaction(Outgoing& outgoing, Attempt& attempt);
  runtime::Task<std::expected<bool, Trouble>> offer_envelope(Outgoing& outgoing, Way way, Attempt& attempt);
  runtime::Task<std::expected<bool, Trouble>> offer_in_groups(Outgoing& outgoing, Way way, Attempt& attempt);
  runtime::Task<std::expected<bool, Trouble>> read_mail_answer(Attempt& attempt);
  runtime::Task<Outcome> read_rcpt_answer(std::size_t slot, bool mail_refused, Attempt& attempt);
  void queue_mail(const Outgoing& outgoing, const Attempt& attempt);
  void queue_rcpt(const Outgoing& outgoing, std::size_t index);

  // question.cc
  runtime::Task<std::expected<RecipientResult, Trouble>> question(std::string_view address);

  // content.cc: the message itself
  runtime::Task<Outcome> queue_content(Outgoing& outgoing);
  runtime::Task<Outcome> send_data(Outgoing& outgoing, bool announced, Attempt& attempt);
  runtime::Task<Outcome> send_text(Outgoing& outgoing);
  runtime::Task<Outcome> send_chunks(Outgoing& outgoing, Attempt& attempt);
  runtime::Task<Outcome> finish(Way way, Attempt& attempt);
  runtime::Task<Outcome> finish_each(Attempt& attempt);
  runtime::Task<Outcome> conclude(Way way, const Answer& answer, Attempt& attempt);
  runtime::Task<Outcome> send_content(Bytes bytes);

  runtime::Ring& ring_;
  std::shared_ptr<const config::Settings> settings_;
  SocketAddress target_;
  Protocol protocol_;
  HopMemory& hop_;
  std::uint64_t messages_max_;
  Security security_;
  const config::DestinationLimits* own_ = nullptr;  // what `security_.shows` names; null: there is none
  const HostProof* proof_;
  Protection protection_;
  std::optional<event::TlsResult> tls_result_;
  std::string session_key_;
  std::vector<std::string> carried_;  // domains that first_of() was asked about
  Fd socket_;
  std::unique_ptr<tls::Channel> channel_;
  runtime::Chunk input_;
  std::unique_ptr<smtp::ReplyParser> parser_;
  smtp::Capabilities capabilities_;
  Instant transaction_deadline_ = kNever;
  bool usable_ = false, tls_in_vain_ = false, session_in_vain_ = false;
  bool shaken_ = false;  // a handshake was begun
  std::uint64_t messages_ = 0;

  // Of the transaction under way. Members, so that they stop allocating.
  std::string out_;                         // commands not yet sent
  std::string terms_;                       // what MAIL says of the sender's terms
  std::vector<std::size_t> wanted_;         // the recipients it is for, by their slot in the attempt
  std::vector<std::size_t> accepted_;       // those that got 250
  std::vector<std::byte> block_;            // stuffed text not yet sent
  bool heard_ = false;                      // a reply came since deliver() began
  bool chunking_failed_ = false;            // this hop turned out not to know BDAT
  Instant content_since_{};
  std::uint64_t content_sent_ = 0;
};

}  // namespace ringpost::deliver
