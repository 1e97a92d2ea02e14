// One SMTP conversation with a client. The code follows the protocol: greeting, commands, message, end.
#pragma once

#include <memory>
#include <string>

#include "receive/reply_buffer.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/receive/server.hh"
#include "ringpost/sasl/exchange.hh"
#include "ringpost/smtp/client_attributes.hh"
#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/line_reader.hh"
#include "ringpost/smtp/received.hh"
#include "ringpost/smtp/submission_header.hh"
#include "ringpost/smtp/transaction.hh"

namespace ringpost::receive {

/// What decides whether a message that came in whole may be kept.
struct ContentVerdict {
  smtp::Reply refusal{};  ///< code 0: keep it
  event::Reason reason = event::Reason::none;
};

/// What a client said is a secret, and lies in a buffer of ours that others will use after it.
inline void wipe_line(Bytes text) { wipe({const_cast<std::byte*>(text.data()), text.size()}); }

class Session {
 public:
  Session(Server& server, std::shared_ptr<const config::Settings> settings, const config::Listener& listener, Fd socket,
          const SocketAddress& peer, policy::ConnectionPlace& place);

  runtime::Task<void> run();
  /// The server stops. True when the session waits for a command: shut its socket down for reading, and it says 421 at once.
  /// Else it does so after its message.
  bool ask_to_end();
  Fd socket() const { return socket_; }

 private:
  // session.cc: the conversation
  runtime::Task<bool> greet();
  runtime::Task<bool> begin_tls();
  runtime::Task<void> start_tls();
  runtime::Task<void> converse();
  runtime::Task<void> handle(const smtp::Command& command);
  void on_greeting(const smtp::Command& command);
  void on_mail(const smtp::Command& command);
  enum class Rcpt : std::uint8_t { answered, to_be_verified };
  Rcpt on_rcpt(const smtp::Command& command);
  bool within_budget();
  void accept_rcpt(std::string_view address);
  runtime::Task<void> verify_rcpt(const smtp::Command& command);
  smtp::LineStep next_line();
  void expect_command(Duration patience);
  void refuse_line(const smtp::LineStep& step);
  void refuse_early_text();
  void answer(const smtp::Reply& reply);
  void close_with(const smtp::Reply& reply);
  runtime::Task<bool> fill(Instant deadline, const smtp::Reply& too_late);
  runtime::Task<bool> flush();
  void end_transaction();

  // session_terms.cc: what senders ask for beside delivery
  void grant(const smtp::DeliveryTerms& terms);
  int priority_max() const;
  std::uint32_t deliver_by_min_s() const;
  Duration future_release_max() const;
  Duration hold_of(const smtp::FutureRelease& release) const;

  // session_auth.cc: who the client is
  bool offers(sasl::Mechanism mechanism) const;
  std::string mechanisms() const;
  runtime::Task<void> authenticate(const smtp::Command& command);
  runtime::Task<std::optional<sasl::Step>> ask(sasl::Exchange& exchange, const sasl::Step& step, helper::Login& candidate);
  std::string claimed_login(const sasl::Step& step) const;
  std::string certified_login(std::string_view identity) const;
  bool relays_by_certificate() const;
  void add_challenge(Bytes bytes);
  runtime::Task<std::optional<sasl::Response>> read_response();
  void let_in(helper::Login login, sasl::Mechanism mechanism);
  runtime::Task<void> turn_down(const smtp::Reply& reply, std::string_view login, sasl::Mechanism mechanism);

  // proxy.cc: who the client is
  runtime::Task<bool> read_proxy_header();
  bool may_introduce(smtp::Verb verb) const;
  void on_xclient(const smtp::Command& command);
  void on_xforward(const smtp::Command& command);
  bool become(const SocketAddress& client, bool known);
  void log_forwarded();
  IpAddress client_for_relay() const;

  // session_content.cc: messages
  runtime::Task<void> receive_data();
  runtime::Task<void> receive_chunk(smtp::ChunkArgument chunk);
  runtime::Task<bool> expect_message();
  runtime::Task<void> begin_message();
  void drop_message();
  runtime::Task<void> keep(Bytes content);
  runtime::Task<void> keep_header();
  runtime::Task<void> end_content();
  runtime::Task<void> write(Bytes content);
  runtime::Task<bool> fill_content();
  runtime::Task<void> finish_message(const ContentVerdict& verdict, std::uint64_t size, bool eight_bit);
  void accept_message(std::uint64_t size, Instant complete);
  void refuse_message(const ContentVerdict& verdict, std::uint64_t size);
  runtime::Task<bool> swallow(std::uint64_t bytes, const smtp::Reply& reply);
  ContentVerdict judge(const smtp::Reply& faults, std::uint64_t size, std::uint64_t longest_line) const;
  Instant content_deadline() const;
  smtp::Reply failure_reply() const;
  event::Reason failure_reason() const;
  void start_content_clock();

  Server& server_;
  runtime::Ring& ring_;
  std::shared_ptr<const config::Settings> settings_;
  const config::Listener& listener_;
  Fd socket_;
  SocketAddress peer_;           ///< the client: of the socket, or as a proxy says
  bool peer_known_ = true;       ///< false: the proxy could not say, and `peer_` is its own
  SocketAddress origin_;         ///< `peer_` and `peer_known_` without what XCLIENT said
  bool origin_known_ = true;
  std::optional<smtp::ClientAttributes> forwarded_;  ///< XFORWARD, for the next message
  policy::ConnectionPlace& place_;  ///< as whose this connection counts
  tls::Channel channel_;
  Instant session_deadline_;

  runtime::Chunk input_;
  smtp::LineReader reader_{smtp::kNotificationLineBytesMax};
  ReplyBuffer out_;
  bool open_ = true;     ///< false: flush, then close
  bool broken_ = false;  ///< nobody can be answered any more
  bool end_asked_ = false;
  bool idle_ = false;  ///< it waits for a command
  Instant command_deadline_{};

  smtp::TransactionState state_;
  std::string helo_;
  bool offers_priority_ = false;  ///< MT-PRIORITY, as the last EHLO was answered
  helper::Login login_;  // empty: nobody has authenticated
  std::optional<event::Authentication> authentication_;  ///< how
  bool certified_ = false;  ///< the client has shown a good certificate; not any more once XCLIENT put another in its place
  std::string parameters_;  // of the command at hand; a member, so that it stops allocating
  Envelope envelope_;
  std::uint64_t errors_ = 0, junk_ = 0;

  // The message that is coming in.
  MessagePlace place_to_begin_;  ///< until its first bytes are here
  std::unique_ptr<Incoming> incoming_;
  std::unique_ptr<smtp::SubmissionHeader> header_;  ///< of a message that is submitted, until it is written
  smtp::Reply header_refusal_{};        ///< what its header has wrong
  std::optional<Error> failure_;        ///< why it cannot be kept
  smtp::ReceivedCounter hops_;
  smtp::TlsRequiredField tls_field_;
  smtp::ChunkChecker chunk_checker_;    ///< BDAT: over all chunks of the message
  Instant transaction_since_{};         ///< its MAIL
  Instant content_since_{};
  std::uint64_t content_received_ = 0;  ///< bytes on the wire
};

}  // namespace ringpost::receive
