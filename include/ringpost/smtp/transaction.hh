// Which command is allowed now: the pure state machine of a server session and the transaction in it.
#pragma once

#include <cstdint>

#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

/// What to do with a command that parsed.
struct Decision {
  Reply refusal{};       ///< code 0: allowed
  bool swallow = false;  ///< BDAT: its chunk is on its way; read exactly that many bytes and drop them, then reply

  bool allowed() const { return !refusal; }
};

/// How it stands with TLS on this session's listener.
enum class TlsOffer : std::uint8_t {
  none,      ///< STARTTLS is no command here
  offered,   ///< whoever likes
  required,  ///< nothing but STARTTLS leads on
  active,    ///< the session is under TLS
};

/// Whether a client can, or must, say who it is. Only under TLS: in clear its secrets would be anybody's.
enum class AuthOffer : std::uint8_t {
  none,      ///< AUTH is no command here
  offered,
  required,  ///< no mail without
};

/// The order of commands (RFC 5321 section 4.1.4, RFC 3030 section 2 and 4.2). It holds no addresses and no bytes: the session
/// asks `decide`, does what it must (policy, storage), and reports what came of it with one of the events.
class TransactionState {
 public:
  explicit TransactionState(TlsOffer tls = TlsOffer::none, AuthOffer auth = AuthOffer::none) : tls_(tls), auth_(auth) {}

  /// May `verb` run now? Nothing changes.
  Decision decide(Verb verb) const;

  // Events. Each is reported only after `decide` allowed the command, and asserts that.

  /// EHLO (`extended`) or HELO got 250: an open transaction is gone.
  void greeted(bool extended);
  /// MAIL got 250.
  void mail_accepted();
  /// RCPT got 250.
  void rcpt_accepted();
  /// DATA got 354: until `message_ended` no command is read.
  void data_started();
  /// A chunk was taken in full and got 250. With `last` the message is complete: the transaction is over, whatever the reply.
  void chunk_accepted(bool last);
  /// A chunk was dropped: refused for its content, its size or its storage, or by `decide`. Without `last` only RSET, EHLO and
  /// HELO lead on; with it the transaction is over.
  void chunk_refused(bool last);
  /// The end of DATA was seen, and the message accepted or refused.
  void message_ended();
  /// RSET got 250, or the session gave up on the transaction.
  void reset();
  /// AUTH got 235: until the end of the session.
  void authenticated();
  /// XCLIENT got 220: the session is where its banner left it.
  void start_over();
  /// STARTTLS succeeded: nothing the client said before counts (RFC 3207 section 4.2). It is not offered again.
  void forget_all();

  TlsOffer tls() const { return tls_; }
  /// EHLO names STARTTLS.
  bool offers_tls() const { return tls_ == TlsOffer::offered || tls_ == TlsOffer::required; }
  /// EHLO names AUTH.
  bool offers_auth() const { return auth_ != AuthOffer::none && tls_ == TlsOffer::active && !authenticated_; }
  bool is_authenticated() const { return authenticated_; }
  bool greeted() const { return greeting_ != Greeting::none; }
  bool extended() const { return greeting_ == Greeting::ehlo; }
  bool in_transaction() const { return stage_ != Stage::idle; }
  bool has_recipients() const { return recipients_; }
  bool in_data() const { return stage_ == Stage::data; }
  bool in_chunks() const { return stage_ == Stage::chunks; }
  bool chunk_failed() const { return stage_ == Stage::failed; }

 private:
  enum class Greeting : std::uint8_t { none, helo, ehlo };
  enum class Stage : std::uint8_t {
    idle,
    mail,    ///< MAIL accepted, perhaps recipients
    data,    ///< the client sends text
    chunks,  ///< at least one chunk accepted
    failed,  ///< a chunk failed: the rest is dropped
  };

  TlsOffer tls_;
  AuthOffer auth_;
  bool authenticated_ = false;
  Greeting greeting_ = Greeting::none;
  Stage stage_ = Stage::idle;
  bool recipients_ = false;
};

}  // namespace ringpost::smtp
