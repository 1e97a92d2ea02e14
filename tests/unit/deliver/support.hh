// A deliverer in a simulated world, a next hop that follows a script, and mail kept in memory.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringpost/config/configuration.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/policy/rates.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::deliver::testing {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Verdict = RecipientResult::Verdict;
using namespace std::string_literals;

inline const SocketAddress kHop = *SocketAddress::parse("192.0.2.25:25");

/// A hop that speaks SMTP as a client's author would hope for, but for the replies a test overrides.
struct Script {
  std::string greeting = "220 hop.test\r\n";
  std::string ehlo = "250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 1000000\r\n250 ENHANCEDSTATUSCODES\r\n";
  /// Upper-case verb -> reply; "." answers the message, "CHUNK" a BDAT with its content. Empty: close without a word.
  std::map<std::string, std::string> replies;
  /// Asked first: verb, whole line, how often this verb came on this connection (from 1).
  std::function<std::optional<std::string>(const std::string&, const std::string&, int)> hook;
  bool knows_bdat = true;
  Duration delay{};  ///< before each reply
  enum class Cut : std::uint8_t { said_so, silent };
  std::size_t cut_at = std::string::npos;  ///< after so many bytes of a message the connection ends
  Cut cut = Cut::silent;                   ///< with TLS's own goodbye, or without
  tls::ServerContext* tls = nullptr;  ///< what follows its 220 to STARTTLS; null: nobody is there to shake hands
};

class Hop {
 public:
  Hop(sim::World& world, Script script, const SocketAddress& address = kHop)
      : script(std::move(script)), ring_(world.make_ring("hop" + address.text())), scope_(ring_) {
    auto fd = ring_.listen(address, runtime::SocketKind::stream, {});
    acceptor_ = std::make_unique<runtime::Acceptor>(ring_, *fd);
    scope_.spawn(accept());
  }
  ~Hop() {
    bool stopped = false;
    runtime::Scope end(ring_);
    stopping_ = true;
    end.spawn(acceptor_->stop());
    ring_.world().run_until([&] { stopped = end.running() == 0 && scope_.running() == 0; return stopped; }, std::chrono::hours{1});
    EXPECT_TRUE(stopped);
  }

  Script script;
  int connections = 0, open = 0, open_most = 0;
  int secured = 0;                    ///< commands that came under TLS
  int resumed = 0;                    ///< handshakes that went on with an earlier session
  std::vector<std::string> lines;     ///< every command of every connection
  std::vector<std::string> messages;  ///< content that ended: at its dot, or with its last chunk
  std::string text;                   ///< all DATA text, whole or not

 private:
  Task<void> accept() {
    while (!stopping_) {
      auto accepted = co_await acceptor_->next();
      if (accepted) scope_.spawn(serve(*accepted));
    }
  }
  Task<bool> say(tls::Channel& channel, std::string reply) {
    if (script.delay > Duration{}) co_await ring_.sleep_for(script.delay);
    for (Bytes bytes = as_bytes(reply); !bytes.empty();) {
      auto sent = co_await channel.send(bytes, ring_.now() + minutes{30});
      if (!sent) co_return false;
      bytes = bytes.subspan(*sent);
    }
    co_return !reply.empty();
  }
  Task<void> serve(Fd fd) {
    ++connections;
    open_most = std::max(open_most, ++open);
    tls::Channel channel(ring_, fd);
    std::string input;
    bool go_on = co_await say(channel, script.greeting);
    Mode mode = Mode::command;
    std::map<std::string, int> seen;
    std::size_t chunk = 0;
    bool last = false;
    std::string content;
    while (go_on && !stopping_) {
      if (mode != Mode::command && content.size() + input.size() >= script.cut_at) {
        if (script.cut == Script::Cut::said_so) co_await channel.shutdown(ring_.now() + minutes{1});
        break;
      }
      if (mode == Mode::data) {
        std::size_t end = input.starts_with(".\r\n") && content.empty() ? 0 : input.find("\r\n.\r\n");
        if (end != std::string::npos) {
          end = end == 0 && input.starts_with(".\r\n") ? 0 : end + 2;
          text += input.substr(0, end);
          messages.push_back(input.substr(0, end));
          input.erase(0, end + 3);
          mode = Mode::command;
          go_on = co_await say(channel, answer(".", ".", seen, "250 2.0.0 taken\r\n"));
          continue;
        }
      } else if (mode == Mode::chunk && input.size() >= chunk) {
        content += input.substr(0, chunk);
        input.erase(0, chunk);
        mode = Mode::command;
        if (last) messages.push_back(std::exchange(content, {}));
        go_on = co_await say(channel, answer("CHUNK", "", seen, "250 2.0.0 chunk\r\n"));
        continue;
      } else if (std::size_t end = input.find("\r\n"); mode == Mode::command && end != std::string::npos) {
        std::string line = input.substr(0, end), verb = line.substr(0, line.find(' '));
        input.erase(0, end + 2);
        lines.push_back(line);
        if (verb == "BDAT" && script.knows_bdat) {
          chunk = std::stoul(line.substr(5));
          last = line.ends_with("LAST");
          mode = Mode::chunk;
          continue;
        }
        secured += channel.secured();
        std::string reply = answer(verb, line, seen, ordinary(verb));
        if (verb == "DATA" && reply.starts_with("354")) mode = Mode::data;
        if (verb == "STARTTLS" && reply.starts_with("220")) input.clear();
        go_on = co_await say(channel, reply);
        if (verb == "STARTTLS" && reply.starts_with("220") && script.tls) {
          auto shaken = co_await channel.accept_tls(*script.tls, ring_.now() + minutes{1});
          go_on = shaken.has_value();
          resumed += go_on && channel.handshake().resumed;
        }
        if (verb == "QUIT" || reply.starts_with("421")) go_on = false;
        continue;
      }
      auto more = co_await channel.next(ring_.now() + minutes{1});
      if (more) input += as_text(more->bytes());
      else if (more.error().code != Errc::timed_out) go_on = false;
    }
    if (mode == Mode::data) text += input;
    --open;
    co_await channel.stop();
    (void)co_await ring_.close(fd);
  }
  enum class Mode { command, data, chunk };
  std::string ordinary(const std::string& verb) const {
    if (verb == "EHLO" || verb == "LHLO") return script.ehlo;
    if (verb == "HELO" || verb == "MAIL" || verb == "RCPT" || verb == "RSET") return "250 2.0.0 ok\r\n";
    if (verb == "STARTTLS") return "220 2.0.0 go ahead\r\n";
    if (verb == "DATA") return "354 go\r\n";
    if (verb == "QUIT") return "221 bye\r\n";
    return "500 5.5.2 what?\r\n";
  }
  std::string answer(const std::string& verb, const std::string& line, std::map<std::string, int>& seen, std::string ordinary) {
    int nth = ++seen[verb];
    if (script.hook) {
      auto reply = script.hook(verb, line, nth);
      if (reply) return *reply;
    }
    auto found = script.replies.find(verb);
    return found == script.replies.end() ? ordinary : found->second;
  }

  sim::SimRing& ring_;
  runtime::Scope scope_;
  std::unique_ptr<runtime::Acceptor> acceptor_;
  bool stopping_ = false;
};

struct Mail {
  std::string reverse_path = "a@client.test";
  std::vector<std::string> recipients = {"b@next.test"};
  std::string content = "Subject: x\r\n\r\ntext\r\n";
  bool smtputf8 = false, declared_eight_bit = false, eight_bit = false;
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  std::string parameters;                         ///< of MAIL
  std::vector<std::string> recipient_parameters;  ///< of RCPT
  spool::Terms terms = {};
  Duration age{};
  std::size_t piece = 16384;
  std::size_t damaged_at = std::string::npos;  ///< the piece that holds this byte does not authenticate
};

class MemoryOutgoing final : public Outgoing {
 public:
  explicit MemoryOutgoing(const Mail& mail) : mail_(mail) {}
  std::string_view reverse_path() const override { return mail_.reverse_path; }
  std::string_view recipient(std::size_t index) const override { return mail_.recipients.at(index); }
  std::string_view parameters() const override { return mail_.parameters; }
  std::string_view recipient_parameters(std::size_t index) const override {
    return index < mail_.recipient_parameters.size() ? std::string_view{mail_.recipient_parameters[index]} : std::string_view{};
  }
  bool smtputf8() const override { return mail_.smtputf8; }
  bool declared_eight_bit() const override { return mail_.declared_eight_bit; }
  bool eight_bit() const override { return mail_.eight_bit; }
  smtp::TlsWish tls_wish() const override { return mail_.tls_wish; }
  std::uint64_t size() const override { return mail_.content.size(); }
  Key256 detail_key() const override { return Key256{}; }
  void rewind() override { at_ = 0; }
  Task<Result<Bytes>> next_content() override {
    std::string_view piece = std::string_view{mail_.content}.substr(at_, mail_.piece);
    if (mail_.damaged_at >= at_ && mail_.damaged_at < at_ + piece.size()) co_return std::unexpected(Error{Errc::corrupt});
    at_ += piece.size();
    co_return as_bytes(piece);
  }

 private:
  const Mail& mail_;
  std::size_t at_ = 0;
};

class FreePermits final : public Permits {
 public:
  void want(std::uint64_t destination, std::uint32_t connections, std::uint32_t most) override {
    if (connections == 0 && !held_.contains(destination)) return;
    wanted = connections;
    std::uint32_t& held = held_[destination];
    held = std::max(held, std::min({connections, limit, most}));
  }
  std::uint32_t held(std::uint64_t destination) const override {
    auto found = held_.find(destination);
    return found == held_.end() ? 0 : found->second;
  }
  void release_one(std::uint64_t destination) override {
    if (held_[destination] > 0) --held_[destination];
  }
  bool contended(std::uint64_t) const override { return others_wait; }
  void forget(std::uint64_t destination) override { held_.erase(destination); }
  bool take_token(std::uint64_t destination, const config::Rate& rate, std::size_t) override {
    policy::RateBook& book = books_.try_emplace(destination, 1, rate, now()).first->second;
    book.want(0, 1);
    const bool taken = !book.distribute(now()).empty();
    if (!taken) no_token(destination, book.next());
    return taken;
  }
  void forget_tokens(std::uint64_t destination) override { books_.erase(destination); }
  std::uint32_t held() const {
    std::uint32_t sum = 0;
    for (const auto& [destination, held] : held_) sum += held;
    return sum;
  }

  std::function<Instant()> now;
  std::function<void(std::uint64_t destination, Instant until)> no_token;
  std::uint32_t limit = 1000, wanted = 0;
  bool others_wait = false;

 private:
  std::map<std::uint64_t, std::uint32_t> held_;
  std::map<std::uint64_t, policy::RateBook> books_;
};

inline config::Settings small_settings() {
  config::Settings settings = config::Configuration::defaults({.hostname = "mx.test"}).settings();
  settings.hostname = "mx.test";
  settings.route.fallback = {.kind = config::Route::Kind::smtp, .host = "192.0.2.25", .port = 25, .address = kHop};
  settings.deliver.connections_max = 4;
  settings.retry = {seconds{60}, minutes{30}};
  return settings;
}

/// DNS as a test wants it.
class FakeHosts final : public HostFinder {
 public:
  explicit FakeHosts(runtime::Ring& ring) : ring_(ring) {}
  Task<std::expected<Hosts, NoHosts>> mail_hosts(std::string domain) override {
    ++asked;
    most_at_once = std::max(most_at_once, ++running_);
    if (delay > Duration{}) co_await ring_.sleep_for(delay);
    --running_;
    if (auto found = hosts.find(domain); found != hosts.end()) co_return found->second;
    if (by_default) co_return by_default(domain);
    co_return std::unexpected(NoHosts{{.verdict = Verdict::failed, .reason = event::Reason::dns_no_such_domain, .reply = {550, 5, 1, 2}}, {}});
  }
  Task<std::expected<Hosts, NoHosts>> host(std::string name, std::uint16_t) override { return mail_hosts(std::move(name)); }

  std::map<std::string, std::expected<Hosts, NoHosts>> hosts;
  std::function<std::expected<Hosts, NoHosts>(const std::string&)> by_default;
  Duration delay{};
  std::size_t asked = 0, most_at_once = 0;

 private:
  runtime::Ring& ring_;
  std::size_t running_ = 0;
};

class Bench final : private MailSource {
 public:
  explicit Bench(Script script = {}, config::Settings settings = small_settings(), std::uint64_t seed = 1, std::size_t shards = 1,
                 policy::SeatPool* seats = nullptr)
      : world(seed), ring(world.make_ring("server")), hop(std::make_unique<Hop>(world, std::move(script))), hosts(ring), log(LogLevel::error),
        deliverer({ring, queue, *this, permits, metrics, log, seed, shards, seats, &hosts}, std::make_shared<const config::Settings>(std::move(settings))),
        scope_(ring) {
    permits.now = [this] { return ring.now(); };
    permits.no_token = [this](std::uint64_t destination, Instant until) { scope_.spawn(tell_of_token(destination, until)); };
    deliverer.start();
  }
  ~Bench() override {
    stop(minutes{1});
    EXPECT_EQ(deliverer.connections(), 0u);
    EXPECT_EQ(permits.held(), 0u);
    EXPECT_EQ(opened, 0);
    EXPECT_EQ(metrics.delivery_connections_open.value(), 0);
    EXPECT_EQ(ring.operations_in(), ring.operations_out());
    EXPECT_TRUE(ring.quiet());
  }
  void stop(Duration patience) {
    if (!std::exchange(stopping_, true)) scope_.spawn(deliverer.stop(world.now() + patience));
    world.run_until([&] { return scope_.running() == 0; }, std::chrono::hours{1});
    EXPECT_EQ(scope_.running(), 0u);
  }

  std::size_t send(Mail mail) {
    auto message = std::make_unique<queue::Message>();
    const std::size_t number = mails_.size();
    for (std::size_t i = 0; i < sizeof number; ++i) message->id.bytes[i] = static_cast<std::byte>((number + 1) >> (8 * i));
    message->size = mail.content.size();
    message->recipients.resize(mail.recipients.size());
    message->due = world.now();
    message->terms = mail.terms;
    message->born = world.now() - mail.age;
    message->destination = destination_of(mail.recipients);
    message->sender = static_cast<queue::Sender>(std::hash<std::string>{}(mail.reverse_path) | 1);
    mails_.push_back(std::make_unique<Mail>(std::move(mail)));
    attempts.emplace_back();
    sent.push_back(world.now());
    ended.emplace_back();
    numbers_[message->id] = number;
    queue.add(std::move(message));
    deliverer.kick();
    return number;
  }
  /// Runs until message `number` has had so many attempts.
  const Attempt& attempt(std::size_t number, std::size_t count = 1, Duration limit = std::chrono::hours{3}) {
    world.run_until([&] { return attempts[number].size() >= count; }, limit);
    EXPECT_GE(attempts[number].size(), count);
    static const Attempt kNone{.results = std::vector<RecipientResult>(1000)};
    return attempts[number].size() >= count ? attempts[number][count - 1] : kNone;
  }
  const Attempt& deliver(Mail mail = {}) { return attempt(send(std::move(mail))); }
  /// How long the slowest of these messages took; an hour for one that is still here.
  Duration slowest(std::span<const std::size_t> numbers) const {
    Duration most{};
    for (std::size_t number : numbers)
      most = std::max(most, ended[number] == Instant{} ? std::chrono::hours{1} : Duration{ended[number] - sent[number]});
    return most;
  }
  void run_for(Duration time) { (void)world.run_for(time); }

  sim::World world;
  sim::SimRing& ring;
  std::unique_ptr<Hop> hop;
  queue::Queue queue;
  FakeHosts hosts;
  FreePermits permits;
  metrics::ShardMetrics metrics;
  Log log;
  std::vector<std::vector<Attempt>> attempts;  ///< by message
  std::vector<Instant> sent, ended;            ///< by message; ended: zero while it is in the queue
  std::optional<Error> open_error;
  Duration lifetime{};  ///< zero: for ever
  std::size_t postponed = 0, puts_back = 0, opens = 0;
  std::int64_t opened = 0;  ///< each open() has its end
  Deliverer deliverer;

 private:
  Task<void> tell_of_token(std::uint64_t destination, Instant until) {
    co_await ring.sleep_for(until - ring.now());
    deliverer.tokens_came(destination);
  }
  Task<Result<std::unique_ptr<Outgoing>>> open(queue::Message& message) override {
    EXPECT_TRUE(message.in_delivery);
    ++opened;
    ++opens;
    if (open_error) co_return std::unexpected(*open_error);
    co_return std::make_unique<MemoryOutgoing>(*mails_[numbers_.at(message.id)]);
  }
  void leave(queue::Message&) override { --opened; }
  bool is_overdue(const queue::Message& message) const override {
    return lifetime > Duration{} && ring.now() - sent[numbers_.at(message.id)] > lifetime;
  }
  void put_back(queue::Message& message, Instant due, event::Reason reason) override {
    EXPECT_TRUE(message.in_delivery);
    ++puts_back;
    for (queue::Recipient& recipient : message.recipients)
      if (recipient.reason == event::Reason::none) recipient.reason = reason;
    queue.schedule(message, due);
  }
  void record(queue::Message& message, const Outgoing& outgoing, const Attempt& attempt, bool more) override {
    EXPECT_TRUE(message.in_delivery);
    --opened;
    attempts[numbers_.at(message.id)].push_back(attempt);
    for (std::size_t slot = 0; slot < attempt.results.size(); ++slot) {
      queue::Recipient& recipient = message.recipients[attempt.recipient(slot)];
      EXPECT_EQ(recipient.state, queue::State::waiting) << "nobody is tried twice";
      if (attempt.results[slot].verdict == Verdict::delivered) recipient.state = queue::State::delivered;
      if (attempt.results[slot].verdict == Verdict::failed) recipient.state = queue::State::failed;
    }
    if (more) return;
    if (is_overdue(message))
      for (queue::Recipient& recipient : message.recipients)
        if (recipient.state == queue::State::waiting) recipient.state = queue::State::failed;
    if (message.waiting() == 0) ended[numbers_.at(message.id)] = ring.now();
    if (message.waiting() == 0) return queue.remove(message);
    queue.schedule(message, ring.now() + seconds{60});
  }
  void postpone(queue::Message& message, Error error) override {
    ++postponed;
    --opened;
    queue.schedule(message, ring.now() + seconds{60});
  }

  // As intake does it, without a key.
  static queue::Destination destination_of(const std::vector<std::string>& recipients) {
    std::string domain;
    for (const std::string& recipient : recipients) {
      const std::string next = recipient.substr(recipient.find('@') + 1);
      if (!domain.empty() && next != domain) return {};
      domain = next;
    }
    const std::uint64_t number = std::hash<std::string>{}(domain) | 1;
    queue::Destination destination{};
    std::memcpy(destination.data(), &number, sizeof number);
    return destination;
  }

  std::vector<std::unique_ptr<Mail>> mails_;
  std::unordered_map<MessageId, std::size_t> numbers_;
  runtime::Scope scope_;
  bool stopping_ = false;
};

inline std::string verdicts(const Attempt& attempt) {
  std::string all;
  for (const RecipientResult& result : attempt.results) all += "-+~x"[static_cast<int>(result.verdict)];
  return all;
}

}  // namespace ringpost::deliver::testing
