// A server in a simulated world, clients that talk to it line by line, and an Intake that keeps messages in memory.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/config/configuration.hh"
#include "ringpost/receive/server.hh"
#include "ringpost/sasl/scram.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::receive::testing {

using runtime::Task;
using sim::Fault;
using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace std::string_literals;

inline const SocketAddress kServer = *SocketAddress::parse("192.0.2.1:25");

/// What was committed.
struct Stored {
  std::string content, reverse_path;
  std::vector<std::string> recipients;
  bool smtputf8 = false, eight_bit = false;
  std::vector<std::string> parameters = {};  ///< of MAIL, then of each RCPT
  std::string login = {};
  bool held = false;
  std::string client = {};
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  std::optional<Instant> release = {};
  spool::Terms terms = {};
};

class MemoryIntake final : public Intake {
 public:
  explicit MemoryIntake(runtime::Ring& ring) : released(ring) {}

  Result<> admit(std::uint64_t size) override {
    if (admission) return std::unexpected(*admission);
    return {};
  }
  Task<Result<MessagePlace>> reserve(Instant deadline) override {
    if (full) co_return std::unexpected(*full);
    ++places;
    co_return MessagePlace{*this};
  }
  Result<std::unique_ptr<Incoming>> begin(MessagePlace place) override;
  void give_up_place() override { --places; }
  void refused(const Envelope& envelope, std::uint64_t size, const Refusal& refusal) override { refusals.push_back(refusal); }
  void login_refused(const IpAddress& client, std::string_view login, event::Authentication) override { logins_refused.emplace_back(login); }

  /// True when this call, counted over begin, write and commit, is the one that fails.
  bool fails() { return ++calls == fail_at; }

  std::optional<Error> admission, full;
  Error failure{Errc::io};
  std::uint64_t calls = 0, fail_at = 0;
  bool hold_commits = false;
  runtime::Signal released;
  std::size_t committing = 0, alive = 0, places = 0;
  std::uint64_t bytes_written = 0;
  std::vector<Stored> stored;
  std::vector<Refusal> refusals;
  std::vector<std::string> logins_refused;
};

class MemoryIncoming final : public Incoming {
 public:
  explicit MemoryIncoming(MemoryIntake& intake) : intake_(intake) {
    ++intake_.alive;
    id_.bytes.fill({});
  }
  ~MemoryIncoming() override { --intake_.alive; }
  const MessageId& id() const override { return id_; }
  Task<Result<>> write(Bytes content) override {
    if (intake_.fails()) co_return std::unexpected(intake_.failure);
    intake_.bytes_written += content.size();
    content_ += as_text(content);
    co_return Result<>{};
  }
  Task<Result<>> commit(const Envelope& envelope, bool eight_bit) override {
    ++intake_.committing;
    while (intake_.hold_commits) (void)co_await intake_.released.wait();
    --intake_.committing;
    if (intake_.fails()) co_return std::unexpected(intake_.failure);
    Stored stored{content_, std::string{envelope.reverse_path()}, {}, envelope.smtputf8, eight_bit};
    for (std::size_t i = 0; i < envelope.recipients(); ++i) stored.recipients.emplace_back(envelope.recipient(i));
    stored.parameters.emplace_back(envelope.parameters());
    stored.client = envelope.client.text();
    for (std::size_t i = 0; i < envelope.recipients(); ++i) stored.parameters.emplace_back(envelope.recipient_parameters(i));
    stored.login = envelope.login;
    stored.held = envelope.held;
    stored.tls_wish = envelope.tls_wish;
    stored.release = envelope.release;
    stored.terms = envelope.terms;
    intake_.stored.push_back(std::move(stored));
    co_return Result<>{};
  }

 private:
  MemoryIntake& intake_;
  MessageId id_;
  std::string content_;
};

inline Result<std::unique_ptr<Incoming>> MemoryIntake::begin(MessagePlace place) {
  EXPECT_TRUE(place);
  if (fails()) return std::unexpected(failure);
  return std::make_unique<MemoryIncoming>(*this);
}

/// A next hop that knows who exists, after a while.
class SlowVerifier final : public RecipientVerifier {
 public:
  explicit SlowVerifier(runtime::Ring& ring) : ring_(ring) {}
  Task<smtp::Reply> verify(std::string address) override {
    asked.push_back(address);
    co_await ring_.sleep_for(delay);
    if (address.starts_with("john")) co_return smtp::Reply{};
    co_return address.starts_with("away") ? smtp::replies::kCannotTell : smtp::replies::kNoSuchUser;
  }
  Duration delay = seconds{10};
  std::vector<std::string> asked;

 private:
  runtime::Ring& ring_;
};

/// "Anna@our.test" with the password "correct horse", who may also send as anybody at example.org.
class OneAccount final : public helper::Authenticator {
 public:
  explicit OneAccount(runtime::Ring& ring) : ring_(ring) {}

  Task<Result<std::optional<helper::Login>>> check_password(helper::Visit visit, std::string_view login, std::string_view password) override {
    ++asked;
    co_await ring_.sleep_for(delay);
    if (away) co_return std::unexpected(Error{Errc::unavailable});
    if (!is_anna(login) || password != "correct horse") co_return std::nullopt;
    co_return anna();
  }
  Task<Result<helper::ScramAnswer>> scram_keys(helper::Visit visit, std::string_view login) override {
    ++asked;
    co_await ring_.sleep_for(delay);
    if (away) co_return std::unexpected(Error{Errc::unavailable});
    const std::array<std::byte, 16> salt{};
    auto keys = sasl::make_scram_keys(is_anna(login) ? "correct horse" : "nobody's", salt, sasl::kScramIterationsMin);
    co_return helper::ScramAnswer{std::move(*keys), is_anna(login) ? anna() : helper::Login{std::string{login}, {}}};
  }

  Task<Result<std::optional<helper::Login>>> check_token(helper::Visit, std::string_view token) override {
    ++asked;
    const bool right = token == "annas.token";
    co_await ring_.sleep_for(delay);
    if (away) co_return std::unexpected(Error{Errc::unavailable});
    if (!right) co_return std::nullopt;
    co_return anna();
  }
  Task<Result<std::optional<helper::Login>>> admit(helper::Visit, std::string_view login) override {
    ++asked;
    co_await ring_.sleep_for(delay);
    if (away) co_return std::unexpected(Error{Errc::unavailable});
    if (!is_anna(login)) co_return std::nullopt;
    co_return anna();
  }

  Duration delay = milliseconds{20};
  bool away = false;
  std::size_t asked = 0;

 private:
  static bool is_anna(std::string_view login) { return login == "anna@our.test" || login == "Anna@our.test"; }
  static helper::Login anna() { return {"Anna@our.test", {"Anna@our.test", "@example.org"}}; }
  runtime::Ring& ring_;
};

/// Settings of a small server; tests change what they are about.
inline config::Settings small_settings() {
  config::Settings settings = config::Configuration::defaults({.hostname = "mx.test"}).settings();
  settings.hostname = "mx.test";
  settings.relay.clients = {*Network::parse("198.51.100.0/24"), *Network::parse("2001:db8::/32")};
  settings.smtp.message_bytes_max = 1_MiB;
  settings.smtp.recipients_max = 100;
  settings.smtp.hops_max = 30;
  settings.smtp.errors_max = 20;
  return settings;
}

class Client;

class Bench {
 public:
  explicit Bench(config::Settings settings = small_settings(), std::uint64_t seed = 1,
                 config::BareNewline bare_newline = config::BareNewline::refuse, config::ListenerTls tls = config::ListenerTls::none,
                 config::ListenerRole role = config::ListenerRole::relay)
      : world(seed), ring(world.make_ring("server")), intake(ring), verifier(ring), connections(seed), log(LogLevel::error), engine(ring), accounts(ring),
        server({ring, intake, connections, metrics, log, &verifier, &engine, {kTicketSecret, ring.now()}, &accounts, &logins, &budgets},
               std::make_shared<const config::Settings>(std::move(settings))),
        scope_(ring) {
    auto fd = ring.listen(kServer, runtime::SocketKind::stream, {});
    server.listen({*fd, {.name = "test", .address = kServer, .role = role, .bare_newline = bare_newline, .tls = tls}});
  }
  /// Every test ends like this: nothing may be left of any session.
  ~Bench() {
    stop(seconds{60});
    EXPECT_EQ(server.sessions(), 0u);
    EXPECT_EQ(metrics.sessions_open.value(), 0);
    EXPECT_EQ(metrics.connections_open.value(), 0);
    EXPECT_EQ(connections.open(), 0u);
    EXPECT_EQ(intake.alive, 0u);
    EXPECT_EQ(engine.buffers().lent(), 0u);
    EXPECT_EQ(ring.operations_in(), ring.operations_out());
    EXPECT_TRUE(ring.quiet());
  }

  void begin_stop(Duration patience) {
    if (!std::exchange(stopping_, true)) scope_.spawn(server.stop(world.now() + patience));
  }
  bool stopped() const { return stopping_ && scope_.running() == 0; }
  void stop(Duration patience) {
    begin_stop(patience);
    world.run_until([&] { return stopped(); }, std::chrono::hours{1});
    EXPECT_TRUE(stopped());
  }
  void run_for(Duration time) { (void)world.run_for(time); }

  sim::World world;
  sim::SimRing& ring;
  MemoryIntake intake;
  SlowVerifier verifier;
  policy::ConnectionBook connections;
  metrics::ShardMetrics metrics;
  Log log;
  tls::Engine engine;
  policy::LoginGuard logins;
  policy::RecipientBudgets budgets;
  OneAccount accounts;
  Server server;

 private:
  static constexpr std::array<std::byte, 32> kTicketSecret{};
  runtime::Scope scope_;
  bool stopping_ = false;
};

/// A connection of a client. Its calls turn the world until what they wait for is there.
class Client {
 public:
  explicit Client(Bench& bench, std::string_view address = "198.51.100.7", std::string_view at_once = {})
      : bench_(bench), ring_(bench.world.make_ring("client", {.process = "client" + std::to_string(bench.world.steps()) +
                                                                         std::string{address} + std::to_string(++count_),
                                                              .address = *IpAddress::parse(address)})),
        scope_(ring_) {
    scope_.spawn(connect(std::string{at_once}));
    until([&] { return connected_; });
  }
  ~Client() {
    close();
    bench_.world.run_until([&] { return scope_.running() == 0; }, std::chrono::hours{10});
    EXPECT_EQ(scope_.running(), 0u);
  }

  void send(std::string_view text) { scope_.spawn(send_all(std::string{text})); }
  /// The next whole reply, lines joined as sent; empty when the connection ended (or an hour passed) before one came.
  std::string reply() {
    std::size_t size = 0;
    until([&] { return (size = reply_size()) > 0 || ended_; });
    std::string text = inbox.substr(0, size);
    inbox.erase(0, size);
    return text;
  }
  std::string ask(std::string_view command) {
    send(std::string{command} + "\r\n");
    return reply();
  }
  /// The codes of the next `count` replies: "250 250 354".
  std::string codes(std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += (i ? " " : "") + reply().substr(0, 3);
    return all;
  }
  /// Everything up to the end of the connection.
  std::string rest() {
    until([&] { return ended_; });
    return std::exchange(inbox, {});
  }
  /// The codes of everything up to the end.
  std::string codes_to_end() {
    std::string all;
    for (std::string next = reply(); !next.empty(); next = reply()) all += (all.empty() ? "" : " ") + next.substr(0, 3);
    return all;
  }
  void begin() { EXPECT_TRUE(reply().starts_with("220 ")) << inbox; }
  void greet() {
    begin();
    EXPECT_TRUE(ask("EHLO client.test").starts_with("250-"));
  }
  /// Up to the 354.
  void begin_data() {
    EXPECT_EQ(ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
    EXPECT_EQ(ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
    EXPECT_EQ(ask("DATA").substr(0, 3), "354");
  }
  void read_nothing() { reading_ = false; }
  /// The client's part of a handshake; true when it succeeded. Its peer may be anybody.
  bool start_tls() {
    wants_tls_ = true;
    until([&] { return !wants_tls_ || ended_; });
    return channel_->secured();
  }
  const tls::Handshake& handshake() const { return channel_->handshake(); }
  void reset() { bench_.world.network().reset_all(local_); }
  void close() {
    if (std::exchange(closing_, true)) return;
    scope_.spawn(close_socket());
  }
  bool ended() const { return ended_; }
  sim::SimRing& ring() { return ring_; }

  std::string inbox;

 private:
  template <typename Holds>
  void until(Holds holds) { (void)bench_.world.run_until(holds, std::chrono::hours{1}); }

  std::size_t reply_size() const {
    for (std::size_t at = 0; at < inbox.size();) {
      std::size_t end = inbox.find("\r\n", at);
      if (end == std::string::npos) return 0;
      if (end - at < 4 || inbox[at + 3] == ' ') return end + 2;
      at = end + 2;
    }
    return 0;
  }
  Task<void> connect(std::string at_once) {
    auto socket = ring_.open_socket(kServer, runtime::SocketKind::stream);
    socket_ = *socket;
    auto done = co_await ring_.connect(socket_, kServer, ring_.now() + seconds{60});
    EXPECT_TRUE(done);
    auto local = ring_.local_address(socket_);
    if (local) local_ = *local;
    channel_ = std::make_unique<tls::Channel>(ring_, socket_);
    if (!at_once.empty()) co_await send_all(std::move(at_once));
    connected_ = true;
    while (!closing_) {
      if (wants_tls_) {
        Result<> shaken = co_await channel_->connect_tls(context_, {}, ring_.now() + seconds{60});
        wants_tls_ = false;
        if (shaken) continue;
        ended_ = true;
        break;
      }
      if (!reading_) {
        co_await ring_.sleep_for(milliseconds{100});
        continue;
      }
      auto chunk = co_await channel_->next(ring_.now() + milliseconds{500});
      if (chunk) {
        inbox += as_text(chunk->bytes());
      } else if (chunk.error().code != Errc::timed_out) {
        ended_ = true;
        break;
      }
    }
    co_await channel_->stop();
    reader_done_ = true;
  }
  Task<void> send_all(std::string text) {
    for (Bytes bytes = as_bytes(text); !bytes.empty();) {
      auto sent = co_await channel_->send(bytes, ring_.now() + std::chrono::hours{2});
      if (!sent) co_return;
      bytes = bytes.subspan(*sent);
    }
  }
  Task<void> close_socket() {
    while (!reader_done_) co_await ring_.sleep_for(milliseconds{50});
    (void)co_await ring_.close(socket_);
  }

  static inline int count_ = 0;
  Bench& bench_;
  sim::SimRing& ring_;
  runtime::Scope scope_;
  Fd socket_;
  SocketAddress local_;
  tls::Engine engine_{ring_};
  tls::ClientContext context_{engine_, tls::Version::tls12, nullptr};
  std::unique_ptr<tls::Channel> channel_;
  bool wants_tls_ = false, connected_ = false, ended_ = false, closing_ = false, reading_ = true, reader_done_ = false;
};

/// The message without our Received field, which must be there exactly once.
inline std::string without_trace(const std::string& content) {
  EXPECT_TRUE(content.starts_with("Received: from client.test ([")) << content.substr(0, 200);
  std::size_t end = content.find("\r\n");
  while (end != std::string::npos && end + 2 < content.size() && (content[end + 2] == ' ' || content[end + 2] == '\t'))
    end = content.find("\r\n", end + 2);
  return end == std::string::npos ? content : content.substr(end + 2);
}

}  // namespace ringpost::receive::testing
