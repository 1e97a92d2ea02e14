#include "bench/client.hh"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "ringpost/base/base64.hh"

namespace ringpost::bench {

namespace {
constexpr Duration kQuitPatience = std::chrono::seconds(2);
}

std::string_view security_name(Security security) {
  constexpr std::array<std::string_view, 3> kNames = {"none", "starttls", "implicit"};
  return kNames[static_cast<std::size_t>(security)];
}

Security security_named(std::string_view name) {
  for (Security security : {Security::starttls, Security::implicit})
    if (security_name(security) == name) return security;
  return Security::none;
}

std::string_view step_name(Step step) {
  constexpr std::array<std::string_view, 11> kNames = {"connect", "greeting", "tls",  "ehlo",    "auth", "rset",
                                                       "mail",    "rcpt",     "data", "content", "end"};
  return kNames[static_cast<std::size_t>(step)];
}

std::map<std::string, std::uint64_t> readable(const Troubles& troubles) {
  std::map<std::string, std::uint64_t> named;
  for (const auto& [what, count] : troubles)
    named[fmt::format("{} {}", step_name(what.first), what.second == 0 ? "broken" : std::to_string(what.second))] += count;
  return named;
}

runtime::Task<bool> Client::open() {
  capabilities_ = {};
  parser_.reset();
  out_.clear();
  auto socket = ring_.open_socket(options_.to, runtime::SocketKind::stream);
  if (socket) socket_ = *socket;
  if (!socket || !come_from_our_network()) {
    trouble(Step::connect, 0);
    co_return false;
  }
  auto connected = co_await ring_.connect(socket_, options_.to, ring_.now() + options_.reply_max);
  if (!connected) {
    trouble(Step::connect, 0);
    co_return false;
  }
  channel_ = std::make_unique<tls::Channel>(ring_, socket_);
  usable_ = true;
  if (options_.security == Security::implicit && !co_await secure()) co_return false;
  Answer greeting = co_await read(Step::greeting);
  if (greeting.code != 220 || !co_await say_hello()) co_return false;
  if (options_.security == Security::starttls) {
    out_.append("STARTTLS\r\n");
    if (!capabilities_.starttls) {
      trouble(Step::tls, 250);
      co_return false;
    }
    if (!co_await flush()) co_return false;
    Answer go = co_await read(Step::tls);
    if (go.code != 220 || !co_await secure() || !co_await say_hello()) co_return false;
  }
  if (options_.user.empty()) co_return true;
  co_return co_await log_in();
}

// Neighbours in time come from different /24 where there are some, so that limits for one client or network are not what is measured.
bool Client::come_from_our_network() {
  if (!options_.from) return true;
  const int bits = options_.from->prefix_bits;
  const std::uint64_t blocks = bits < 24 ? 1ull << (24 - bits) : 1;
  const std::uint64_t hosts = bits < 24 ? 254 : bits < 31 ? (1ull << (32 - bits)) - 2 : 1;
  const std::uint64_t number = shared_.opened++;
  const std::uint64_t offset = number % blocks * 256 + (bits < 32 ? 1 + number / blocks % hosts : 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(options_.from->address.ipv4_host_order() + static_cast<std::uint32_t>(offset));
  const int late = 1;  // the port is chosen when the peer is known: many more connections
  ::setsockopt(socket_.value, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late);
  return ::bind(socket_.value, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

runtime::Task<bool> Client::secure() {
  if (!input_.empty()) {  // somebody glued bytes behind 220 (attack C2)
    usable_ = false;
    trouble(Step::tls, 0);
    co_return false;
  }
  input_.release();
  const tls::ClientOptions how{.server_name = {}, .session = options_.resume && session_ ? &session_ : nullptr};
  auto shaken = co_await channel_->connect_tls(shared_.context, how, ring_.now() + options_.reply_max);
  if (shaken) co_return true;
  usable_ = false;
  trouble(Step::tls, 0);
  co_return false;
}

runtime::Task<bool> Client::say_hello() {
  capabilities_ = {};
  out_.append(options_.lmtp ? "LHLO " : "EHLO ").append(options_.hostname).append("\r\n");
  if (!co_await flush()) co_return false;
  Answer hello = co_await read(Step::ehlo, &capabilities_);
  co_return hello.code == 250;
}

// RFC 4616, with the initial response.
runtime::Task<bool> Client::log_in() {
  std::string message{'\0'};
  message.append(options_.user).append(1, '\0').append(options_.password->text());
  std::string coded = encode_base64(as_bytes(message));
  out_.append("AUTH PLAIN ").append(coded).append("\r\n");
  for (std::string* secret : {&message, &coded}) wipe(std::as_writable_bytes(std::span{*secret}));
  bool sent = co_await flush();
  if (!sent) co_return false;
  Answer answer = co_await read(Step::auth);
  co_return answer.code == 235;
}

runtime::Task<void> Client::close() {
  if (!socket_) co_return;
  if (usable_) {
    out_.assign("QUIT\r\n");
    bool sent = co_await flush();
    if (sent) {
      input_.release();
      (void)co_await channel_->next(ring_.now() + kQuitPatience);
    }
  }
  usable_ = false;
  input_.release();
  if (channel_) {
    if (options_.resume && channel_->secured()) session_ = channel_->session();
    co_await channel_->stop();
  }
  channel_.reset();
  Fd socket = std::exchange(socket_, {});
  (void)co_await ring_.close(socket);
}

runtime::Task<void> Client::cut() {
  usable_ = false;
  if (socket_) (void)co_await ring_.shutdown(socket_, SHUT_RDWR);
}

runtime::Task<bool> Client::flush() {
  Bytes rest = as_bytes(out_);
  Instant deadline = ring_.now() + options_.reply_max;
  while (!rest.empty()) {
    auto sent = co_await channel_->send(rest, deadline);
    if (!sent) {
      usable_ = false;
      co_return false;
    }
    rest = rest.subspan(*sent);
  }
  out_.clear();
  co_return usable_;
}

runtime::Task<Answer> Client::read(Step step, smtp::Capabilities* capabilities) {
  Instant deadline = ring_.now() + options_.reply_max;
  std::size_t lines = 0;
  for (;;) {
    if (input_.empty()) {
      input_.release();
      auto next = co_await channel_->next(deadline);
      if (!next) {
        usable_ = false;
        trouble(step, 0);
        co_return Answer{};
      }
      input_ = std::move(*next);
    }
    smtp::ReplyParser::Step parsed = parser_.next(input_.bytes());
    input_.consume(parsed.consumed);
    if (parsed.status == smtp::ReplyParser::Status::need_more) continue;
    if (parsed.status == smtp::ReplyParser::Status::error) {
      usable_ = false;
      trouble(step, 0);
      co_return Answer{};
    }
    if (capabilities && lines++ > 0) capabilities->add_line(parsed.line);
    if (parsed.status == smtp::ReplyParser::Status::line) continue;
    Answer answer{parser_.code()};
    if (answer.code == 421) usable_ = false;  // RFC 5321 section 3.8: the server closes
    if (!answer.positive()) trouble(step, answer.code);
    co_return answer;
  }
}

}  // namespace ringpost::bench
