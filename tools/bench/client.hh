// One conversation with a server under test, up to where messages may follow: connection, greeting, TLS, EHLO or LHLO, AUTH.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ringpost/base/secret.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/smtp/extensions.hh"
#include "ringpost/smtp/reply_parser.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::bench {

/// When a connection is secured. Nobody's certificate is looked at: what is measured is the work, not the trust.
enum class Security : std::uint8_t { none, starttls, implicit };
std::string_view security_name(Security security);
/// Of one of these names; of any other: none.
Security security_named(std::string_view name);

struct ClientOptions {
  SocketAddress to;
  std::string hostname = "bench.example.org";
  bool lmtp = false;  ///< LHLO, and a reply for each recipient (RFC 2033)
  Security security = Security::none;
  bool resume = false;  ///< each connection goes on with the TLS session of the one before it
  std::string user;     ///< AUTH PLAIN; empty: none
  std::shared_ptr<const SecretBytes> password;
  std::optional<Network> from;                    ///< IPv4 addresses that connections come from, one after the other
  Duration reply_max = std::chrono::seconds(60);  ///< longest wait for a reply
};

/// Where something went wrong.
enum class Step : std::uint8_t { connect, greeting, tls, ehlo, auth, rset, mail, rcpt, data, content, end };
std::string_view step_name(Step step);

/// How often which reply (or 0: the connection broke) ended a message or a connection.
using Troubles = std::map<std::pair<Step, int>, std::uint64_t>;
/// "STEP CODE" or "STEP broken": how many.
std::map<std::string, std::uint64_t> readable(const Troubles& troubles);

/// What the clients of one thread share.
struct ClientShared {
  explicit ClientShared(runtime::Ring& on) : ring(on), engine(on), context(engine, tls::Version::tls12, nullptr) {}
  runtime::Ring& ring;
  tls::Engine engine;
  tls::ClientContext context;
  Troubles troubles;
  std::uint64_t opened = 0;  ///< sockets
};

/// One reply, as far as the generator cares. Code 0: the connection broke.
struct Answer {
  int code = 0;
  bool positive() const { return code >= 200 && code < 400; }
};

/// Lifetime: await close() before it dies, and between two open().
class Client {
 public:
  Client(ClientShared& shared, const ClientOptions& options) : shared_(shared), options_(options), ring_(shared.ring) {}
  Client(const Client&) = delete;

  /// From connecting to being ready for MAIL. The first reply that stands in the way is counted as a trouble.
  runtime::Task<bool> open();
  /// QUIT when in order, then close. Idempotent.
  runtime::Task<void> close();
  /// Breaks the connection from outside.
  runtime::Task<void> cut();
  /// False: there is nothing more to say on this connection.
  bool usable() const { return usable_; }
  const smtp::Capabilities& capabilities() const { return capabilities_; }
  /// Under TLS: an earlier session goes on.
  bool resumed() const { return channel_ && channel_->secured() && channel_->handshake().resumed; }

  /// What flush() sends; append to it.
  std::string& out() { return out_; }
  runtime::Task<bool> flush();
  /// The next reply; any but a positive one is counted as a trouble. `capabilities`: takes in its lines, as an answer to EHLO.
  runtime::Task<Answer> read(Step step, smtp::Capabilities* capabilities = nullptr);
  void trouble(Step step, int code) {
    last_trouble_ = {step, code};
    ++shared_.troubles[last_trouble_];
  }
  /// What stood in the way of open(), when it returned false.
  const std::pair<Step, int>& last_trouble() const { return last_trouble_; }

 private:
  bool come_from_our_network();
  runtime::Task<bool> secure();
  runtime::Task<bool> say_hello();
  runtime::Task<bool> log_in();

  ClientShared& shared_;
  const ClientOptions& options_;
  runtime::Ring& ring_;
  Fd socket_;
  std::unique_ptr<tls::Channel> channel_;
  tls::ClientSession session_;
  runtime::Chunk input_;
  smtp::ReplyParser parser_;
  smtp::Capabilities capabilities_;
  std::string out_;
  bool usable_ = false;
  std::pair<Step, int> last_trouble_;
};

}  // namespace ringpost::bench
