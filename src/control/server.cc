#include "ringpost/control/server.hh"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "ringpost/control/json.hh"
#include "ringpost/harden/privileges.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/smtp/address.hh"

namespace ringpost::control {

namespace {

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr std::size_t kFlushBytes = 32 * 1024;
constexpr std::size_t kOrdersAtOnce = 64;

/// What a command says, and whose it is.
struct Question {
  std::string_view text;
  std::uint32_t user = 0;
};

/// A call of the daemon on the ring's helper thread: it may read files or wait for a lock.
class Blocking {
 public:
  Blocking(runtime::Ring& ring, Daemon& daemon, Answer (*call)(Daemon&, const Question&), const Question& question)
      : ring_(ring), daemon_(daemon), call_(call), question_(question) {
    job_.owner = this;
    job_.run = [](runtime::OffloadJob& job) {
      Blocking& self = *static_cast<Job&>(job).owner;
      self.answer_ = self.call_(self.daemon_, self.question_);
    };
    job_.done = [](runtime::OffloadJob& job) { static_cast<Job&>(job).owner->frame_.resume(); };
  }
  Blocking(const Blocking&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame) {
    frame_ = frame;
    ring_.offload(job_);
  }
  Answer await_resume() { return std::move(answer_); }

 private:
  struct Job : runtime::OffloadJob {
    Blocking* owner;
  };
  runtime::Ring& ring_;
  Daemon& daemon_;
  Answer (*call_)(Daemon&, const Question&);
  Question question_;
  Job job_;
  std::coroutine_handle<> frame_;
  Answer answer_;
};

std::optional<Act> act_of(std::string_view command) {
  constexpr std::pair<std::string_view, Act> kActs[] = {{"hold", Act::hold},     {"release", Act::release}, {"retry", Act::retry},
                                                        {"bounce", Act::bounce}, {"delete", Act::remove},   {"redirect", Act::redirect}};
  for (const auto& [name, act] : kActs)
    if (command == name) return act;
  return std::nullopt;
}

std::string_view name_of(Effect effect) {
  constexpr std::string_view kNames[] = {"done", "not_meant", "in_delivery", "unreadable", "not_now"};
  return kNames[static_cast<std::size_t>(effect)];
}

void append_effect(std::string& out, const MessageId& id, const Effected& effected) {
  if (effected.effect == Effect::not_meant) return;
  JsonWriter json{out};
  json.begin_object();
  json.field("id", hex(id));
  json.field("result", name_of(effected.effect));
  if (effected.recipients > 0) json.field("recipients", effected.recipients);
  if (effected.successor) json.field("successor", hex(*effected.successor));
  json.end_object();
  out += '\n';
}

/// Who connected; where the system cannot say, nobody in particular.
std::uint32_t user_of(Fd connection) {
  constexpr std::uint32_t kNobody = 65'534;
  const auto peer = harden::peer_identity(connection);
  return peer ? peer->user : kNobody;
}

std::string_view take_word(std::string_view& line) {
  std::size_t end = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

Server::Server(runtime::Ring& ring, Log& log, std::size_t shard, Daemon& daemon, QueueView& queue, Handover& handover)
    : ring_(ring), log_(log), shard_(shard), daemon_(daemon), queue_(queue), handover_(handover), scope_(ring) {}

Server::~Server() = default;

void Server::listen(Fd listener) {
  listener_ = listener;
  acceptor_ = std::make_unique<runtime::Acceptor>(ring_, listener);
  scope_.spawn(accept_loop());
}

void Server::adopt(Fd connection, std::string_view request) {
  open_.push_back(connection);
  scope_.spawn(serve(connection, std::string{request}));
}

runtime::Task<void> Server::accept_loop() {
  while (!stopping_) {
    auto accepted = co_await acceptor_->next();
    if (accepted) {
      open_.push_back(*accepted);
      scope_.spawn(greet(*accepted));
    } else if (accepted.error().code == Errc::cancelled) {
      co_return;
    } else {
      co_await ring_.sleep_for(std::chrono::milliseconds(100));
    }
  }
}

runtime::Task<void> Server::greet(Fd connection) {
  std::string request;
  std::array<std::byte, kRequestBytesMax> block;
  while (request.find('\n') == std::string::npos && request.size() <= kRequestBytesMax) {
    auto received = co_await ring_.receive(connection, block, ring_.now() + kPatience);
    if (!received || *received == 0) co_return co_await end(connection);
    request.append(as_text(Bytes{block}.first(*received)));
  }
  std::size_t size = request.find('\n');
  if (size == std::string::npos || size > kRequestBytesMax) {
    (void)co_await send(connection, "! the request is too long\n");
    co_return co_await end(connection);
  }
  request.resize(size);
  co_await serve(connection, std::move(request));
}

runtime::Task<void> Server::serve(Fd connection, std::string request) {
  std::string_view line = request;
  std::string_view where = take_word(line);
  std::size_t shard = shard_;
  if (where != "-") {
    auto [end_of_number, error] = std::from_chars(where.data(), where.data() + where.size(), shard);
    if (error != std::errc{} || end_of_number != where.data() + where.size() || shard >= daemon_.shards()) {
      (void)co_await send(connection, "! no such shard\n");
      co_return co_await end(connection);
    }
  }
  if (shard != shard_) {
    if (handover_.pass(shard, connection, request)) {
      std::erase(open_, connection);
      co_return;
    }
    (void)co_await send(connection, "! that shard is busy, try again\n");
    co_return co_await end(connection);
  }
  std::string_view command = take_word(line);
  (void)co_await answer(connection, command, line);
  co_await end(connection);
}

runtime::Task<bool> Server::answer(Fd connection, std::string_view command, std::string_view argument) {
  if (command.starts_with("queue-")) co_return co_await answer_about_queue(connection, command.substr(6), argument);
  if (command == "destinations") co_return co_await give(connection, queue_.destinations());
  if (command == "explain") {
    const Answer explained = co_await queue_.explain(std::string{argument});
    co_return co_await give(connection, explained);
  }
  Answer (*call)(Daemon&, const Question&) = nullptr;
  if (command == "shards") call = [](Daemon& d, const Question&) -> Answer { return std::to_string(d.shards()) + "\n"; };
  if (command == "status") call = [](Daemon& d, const Question&) -> Answer { return d.status() + "\n"; };
  if (command == "bans") call = [](Daemon& d, const Question&) -> Answer { return d.bans(); };
  if (command == "metrics") call = [](Daemon& d, const Question&) -> Answer { return d.metrics(); };
  if (command == "get") call = [](Daemon& d, const Question& key) { return d.get(key.text); };
  if (command == "set") call = [](Daemon& d, const Question& assignment) { return d.set(assignment.text, assignment.user); };
  if (command == "reload") call = [](Daemon& d, const Question& question) { return d.reload(question.user); };
  if (command == "stop") {
    log_.info("stop asked for on the control socket");
    bool told = co_await give(connection, std::string{});
    daemon_.stop();
    co_return told;
  }
  if (!call) co_return co_await give(connection, std::unexpected("no such command"));
  Answer result = co_await Blocking(ring_, daemon_, call, {argument, user_of(connection)});
  co_return co_await give(connection, result);
}

runtime::Task<bool> Server::answer_about_queue(Fd connection, std::string_view command, std::string_view argument) {
  std::string other, value;
  auto filter = parse_filter(argument, &other, &value);
  if (!filter) co_return co_await give(connection, std::unexpected(filter.error()));
  const std::optional<Act> act = act_of(command);
  if (!other.empty() && !(other == "to" && act == Act::redirect)) co_return co_await give(connection, std::unexpected(other + ": there is no such filter"));
  if (command == "list") co_return co_await go_through(connection, *filter, nullptr);
  if (command == "summary") {
    const std::string summary = co_await queue_.summarize(*filter);
    co_return co_await give(connection, summary);
  }
  if (!act) co_return co_await give(connection, std::unexpected("no such command"));
  Order order{.act = *act, .filter = std::move(*filter), .address = std::move(value), .user = user_of(connection)};
  if (order.act == Act::redirect) {
    const std::string path = "<" + order.address + ">";
    const smtp::Path parsed = smtp::parse_forward_path(path, smtp::Utf8::refused);
    if (!parsed.ok() || parsed.size != path.size()) co_return co_await give(connection, std::unexpected("redirect needs an address"));
  }
  log_.info("an operator's order", {{"command", OperatorText{command}}, {"user", order.user}});
  co_return co_await go_through(connection, order.filter, &order);
}

/// One pass over the queue: what is found, as lines of JSON.
struct Server::Work {
  const QueueFilter& filter;
  const Order* order;
  std::string out;
  std::size_t running = 0;
  runtime::Signal ended;
  bool gone = false;      ///< nobody reads it any more
  bool watching = false;
};

// Nothing is held while the reader is slow: each message is looked up anew. Orders are carried out several at a time, since each waits
// for the disk.
runtime::Task<bool> Server::go_through(Fd connection, const QueueFilter& filter, const Order* order) {
  Work work{.filter = filter, .order = order, .out = {}, .ended = runtime::Signal{ring_}};
  const std::size_t at_once = order ? kOrdersAtOnce : 1;
  bool sent = true;
  work.watching = true;
  scope_.spawn(watch(work, connection));
  if (filter.id) {
    ++work.running;
    co_await look_at(work, *filter.id);
  }
  for (MessageId after{}; !filter.id && sent && !work.gone && !stopping_;) {
    const Page page = co_await queue_.page(after, filter);
    for (const MessageId& id : page.ids) {
      while (work.running >= at_once) (void)co_await work.ended.wait();
      if (!sent || work.gone || stopping_) break;
      ++work.running;
      scope_.spawn(look_at(work, id));
      if (work.out.size() < kFlushBytes) continue;
      const std::string lines = std::exchange(work.out, {});
      sent = co_await send(connection, lines);
    }
    if (!page.next) break;
    after = *page.next;
  }
  (void)co_await ring_.shutdown(connection, SHUT_RD);
  while (work.running > 0 || work.watching) (void)co_await work.ended.wait();
  if (!sent) co_return false;
  work.out += stopping_ ? "! the server stops\n" : ".\n";
  co_return co_await send(connection, work.out);
}

// Who asked has nothing more to say: what comes is the end. An order ends there, too, as far as it was not carried out.
runtime::Task<void> Server::watch(Work& work, Fd connection) {
  std::array<std::byte, 64> block;
  for (Result<std::size_t> received = 1uz; received && *received > 0;) received = co_await ring_.receive(connection, block);
  work.gone = work.watching;
  work.watching = false;
  work.ended.notify_all();
}

runtime::Task<void> Server::look_at(Work& work, MessageId id) {
  if (!work.order) {
    const std::string line = co_await queue_.describe(id, work.filter);
    if (!line.empty()) work.out += line + "\n";
  } else {
    const Effected effected = co_await queue_.carry_out(id, *work.order);
    append_effect(work.out, id, effected);
  }
  --work.running;
  work.ended.notify_all();
}

runtime::Task<bool> Server::give(Fd connection, const Answer& answer) {
  std::string text;
  if (answer) {
    text = *answer;
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += ".\n";
  } else {
    std::string reason = answer.error();
    while (!reason.empty() && reason.back() == '\n') reason.pop_back();
    for (std::size_t at = 0; (at = reason.find('\n', at)) != std::string::npos; at += 3) reason.replace(at, 1, "\n! ");
    text = "! " + reason + "\n";
  }
  co_return co_await send(connection, text);
}

runtime::Task<bool> Server::send(Fd connection, std::string_view text) {
  Bytes rest = as_bytes(text);
  while (!rest.empty()) {
    auto sent = co_await ring_.send(connection, rest, ring_.now() + kPatience);
    if (!sent) co_return false;
    rest = rest.subspan(*sent);
  }
  co_return true;
}

runtime::Task<void> Server::end(Fd connection) {
  std::erase(open_, connection);
  (void)co_await ring_.close(connection);
}

runtime::Task<void> Server::stop() {
  stopping_ = true;
  if (acceptor_) {
    co_await acceptor_->stop();
    (void)co_await ring_.close(listener_);
  }
  for (Fd connection : std::vector<Fd>{open_}) (void)co_await ring_.shutdown(connection, SHUT_RDWR);
  co_await scope_.join();
}

}  // namespace ringpost::control
