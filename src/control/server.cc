#include "ringpost/control/server.hh"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>

namespace ringpost::control {

namespace {

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr std::size_t kFlushBytes = 32 * 1024;

/// A call of the daemon on the ring's helper thread: it may read files or wait for a lock.
class Blocking {
 public:
  Blocking(runtime::Ring& ring, Daemon& daemon, Answer (*call)(Daemon&, std::string_view), std::string_view argument)
      : ring_(ring), daemon_(daemon), call_(call), argument_(argument) {
    job_.owner = this;
    job_.run = [](runtime::OffloadJob& job) {
      Blocking& self = *static_cast<Job&>(job).owner;
      self.answer_ = self.call_(self.daemon_, self.argument_);
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
  Answer (*call_)(Daemon&, std::string_view);
  std::string_view argument_;
  Job job_;
  std::coroutine_handle<> frame_;
  Answer answer_;
};

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
  if (command == "queue-list") co_return co_await list_queue(connection);
  if (command == "queue-show") co_return co_await show(connection, argument);
  Answer (*call)(Daemon&, std::string_view) = nullptr;
  if (command == "shards") call = [](Daemon& d, std::string_view) -> Answer { return std::to_string(d.shards()) + "\n"; };
  if (command == "status") call = [](Daemon& d, std::string_view) -> Answer { return d.status() + "\n"; };
  if (command == "metrics") call = [](Daemon& d, std::string_view) -> Answer { return d.metrics(); };
  if (command == "get") call = [](Daemon& d, std::string_view key) { return d.get(key); };
  if (command == "set") call = [](Daemon& d, std::string_view assignment) { return d.set(assignment, 0); };
  if (command == "reload") call = [](Daemon& d, std::string_view) { return d.reload(0); };
  if (command == "stop") {
    log_.info("stop asked for on the control socket");
    bool told = co_await give(connection, std::string{});
    daemon_.stop();
    co_return told;
  }
  if (!call) co_return co_await give(connection, std::unexpected("no such command"));
  Answer result = co_await Blocking(ring_, daemon_, call, argument);
  co_return co_await give(connection, result);
}

// One JSON object a line. Nothing is held while the reader is slow: each message is looked up anew.
runtime::Task<bool> Server::list_queue(Fd connection) {
  std::string out;
  for (MessageId after{}; !stopping_;) {
    const std::vector<MessageId> page = co_await queue_.page(after);
    if (page.empty()) break;
    after = page.back();
    for (const MessageId& id : page) {
      std::string line = co_await queue_.describe(id);
      if (line.empty()) continue;
      out += line;
      out += '\n';
      if (out.size() < kFlushBytes) continue;
      bool sent = co_await send(connection, out);
      if (!sent) co_return false;
      out.clear();
    }
  }
  out += ".\n";
  co_return co_await send(connection, out);
}

runtime::Task<bool> Server::show(Fd connection, std::string_view id) {
  auto message = id_from_hex<MessageId>(id);
  if (!message) co_return co_await give(connection, std::unexpected("a message id is 32 hexadecimal digits"));
  std::string line = co_await queue_.describe(*message);
  if (line.empty()) co_return co_await send(connection, ".\n");  // not here; another shard may have it
  co_return co_await give(connection, line + "\n");
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
  for (Fd connection : std::vector<Fd>{open_}) (void)co_await ring_.shutdown(connection, SHUT_RD);
  co_await scope_.join();
}

}  // namespace ringpost::control
