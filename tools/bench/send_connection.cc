#include "bench/send_connection.hh"

#include <sys/socket.h>

#include <algorithm>

#include "ringpost/smtp/dot_stuffer.hh"

namespace ringpost::bench {

namespace {
constexpr Duration kStopLook =
    std::chrono::milliseconds(100);  // how often one who waits for its turn looks for the end of the run
constexpr Duration kQuitPatience = std::chrono::seconds(2);
}  // namespace

SendConnection::SendConnection(SendWorker& worker) : worker_(worker), options_(worker.shared_.options), ring_(worker.ring_) {}
SendConnection::~SendConnection() = default;

runtime::Task<bool> SendConnection::open() {
  begun_ = 0;
  needs_reset_ = false;
  capabilities_ = {};
  parser_.reset();
  out_.clear();
  auto socket = ring_.open_socket(options_.to, runtime::SocketKind::stream);
  if (!socket) {
    trouble(Step::connect, 0);
    co_return false;
  }
  socket_ = *socket;
  auto connected = co_await ring_.connect(socket_, options_.to, ring_.now() + options_.reply_max);
  if (!connected) {
    trouble(Step::connect, 0);
    co_return false;
  }
  receiver_ = std::make_unique<runtime::Receiver>(ring_, socket_);
  usable_ = true;
  Answer greeting = co_await read(Step::greeting);
  if (greeting.code != 220) co_return false;
  out_.append("EHLO ").append(options_.hostname).append("\r\n");
  bool sent = co_await flush();
  if (!sent) co_return false;
  Answer hello = co_await read(Step::ehlo, &capabilities_);
  if (hello.code != 250) co_return false;
  bool lacks = (options_.pipeline && !capabilities_.pipelining) || (options_.bdat && !capabilities_.chunking);
  if (lacks) {
    trouble(Step::ehlo, hello.code);
    co_return false;
  }
  worker_.counters_.connections.add();
  co_return true;
}

runtime::Task<SendConnection::Ending> SendConnection::converse() {
  while (usable_) {
    bool more = co_await take_more();
    if (!more) {
      if (has_share_left()) co_return Ending::done;
      if (!held_) held_ = worker_.shared_.schedule.claim(ring_.now());
      co_return held_ ? Ending::more : Ending::done;
    }
    InFlight& current = *in_flight_.front();
    Outcome outcome = co_await complete(current);
    settle(current, outcome);
    idle_.push_back(std::move(in_flight_.front()));
    in_flight_.pop_front();
  }
  lose_rest();
  co_return options_.keep_going ? Ending::more : Ending::done;
}

runtime::Task<void> SendConnection::close() {
  if (!socket_) co_return;
  if (usable_) {
    out_.assign("QUIT\r\n");
    bool sent = co_await flush();
    if (sent) (void)co_await receiver_->next(ring_.now() + kQuitPatience);
  }
  usable_ = false;
  if (receiver_) co_await receiver_->stop();
  input_.release();
  receiver_.reset();
  Fd socket = std::exchange(socket_, {});
  (void)co_await ring_.close(socket);
}

runtime::Task<void> SendConnection::cut() {
  usable_ = false;
  if (socket_) (void)co_await ring_.shutdown(socket_, SHUT_RDWR);
}

// ---- which message is next

/// Begins messages until this connection has enough under way. False: there is nothing to do any more.
runtime::Task<bool> SendConnection::take_more() {
  if (in_flight_.empty()) {
    auto claim = co_await wait_for_claim();
    if (!claim) co_return false;
    begin(*claim);
  }
  // Behind DATA nothing may follow before 354, so only chunks run ahead here; complete_data() does its part.
  while (options_.bdat && in_flight_.size() < options_.depth) {
    auto claim = claim_due();
    if (!claim) break;
    begin(*claim);
  }
  co_return true;
}

runtime::Task<std::optional<Claim>> SendConnection::wait_for_claim() {
  if (!has_share_left()) co_return std::nullopt;
  if (!held_) held_ = worker_.shared_.schedule.claim(ring_.now());
  while (held_ && held_->due > ring_.now() && !worker_.shared_.schedule.stopped())
    co_await ring_.sleep_until(std::min(held_->due, ring_.now() + kStopLook));
  if (worker_.shared_.schedule.stopped()) held_.reset();
  co_return std::exchange(held_, std::nullopt);
}

/// As above without waiting.
std::optional<Claim> SendConnection::claim_due() {
  if (!has_share_left()) return std::nullopt;
  if (!held_) held_ = worker_.shared_.schedule.claim(ring_.now());
  if (!held_ || held_->due > ring_.now()) return std::nullopt;
  return std::exchange(held_, std::nullopt);
}

bool SendConnection::has_share_left() const { return options_.per_connection == 0 || begun_ < options_.per_connection; }

void SendConnection::begin(const Claim& claim) {
  std::unique_ptr<InFlight> next;
  if (idle_.empty()) {
    next = std::make_unique<InFlight>();
  } else {
    next = std::move(idle_.back());
    idle_.pop_back();
  }
  worker_.shared_.generator.make(claim.number, next->message);
  next->since = claim.due;
  next->accepted = 0;
  // What runs ahead cannot know whether the message before it leaves its transaction open.
  next->reset = needs_reset_ || (options_.bdat && options_.depth > 1 && !in_flight_.empty());
  needs_reset_ = false;
  ++begun_;
  worker_.counters_.begun.add();
  if (together()) {
    if (next->reset) out_.append("RSET\r\n");
    queue_mail(*next);
    for (std::uint32_t i = 0; i < next->message.recipients; ++i) queue_recipient(*next, i);
    if (options_.bdat) {
      for (std::size_t from = 0; from < next->message.content.size();) from = queue_chunk(*next, from);
    } else {
      out_.append("DATA\r\n");
    }
  }
  in_flight_.push_back(std::move(next));
}

// ---- one message

runtime::Task<SendConnection::Outcome> SendConnection::complete(InFlight& current) {
  if (together() && !co_await flush()) {
    trouble(Step::mail, 0);
    co_return Outcome::lost;
  }
  Answer first_failure;
  bool going = co_await envelope(current, first_failure);
  if (!usable_) co_return first_failure.code != 0 ? outcome_of(current, first_failure) : Outcome::lost;
  if (!going && !together()) {
    needs_reset_ = true;
    co_return outcome_of(current, first_failure);
  }
  if (options_.bdat) co_return co_await complete_chunks(current, first_failure);
  co_return co_await complete_data(current, first_failure);
}

/// RSET, MAIL and RCPTs. False: there is nobody to send to, for the reason in `first_failure`.
runtime::Task<bool> SendConnection::envelope(InFlight& current, Answer& first_failure) {
  std::uint32_t recipients = current.message.recipients;
  // Item 0 is RSET, 1 is MAIL, the rest are recipients.
  for (std::uint32_t item = current.reset ? 0 : 1; item < recipients + 2; ++item) {
    Step step = item == 0 ? Step::rset : item == 1 ? Step::mail : Step::rcpt;
    if (!together()) {
      if (step == Step::rset)
        out_.append("RSET\r\n");
      else if (step == Step::mail)
        queue_mail(current);
      else
        queue_recipient(current, item - 2);
      bool sent = co_await flush();
      if (!sent) co_return false;
    }
    Answer answer = co_await read(step);
    if (!usable_ && !answer.code) co_return false;
    if (answer.positive()) {
      if (step == Step::rcpt) ++current.accepted;
      continue;
    }
    if (step == Step::rcpt) worker_.counters_.recipients_refused.add();
    if (first_failure.code == 0) first_failure = answer;
    if (!usable_ || (step == Step::mail && !together())) co_return false;
  }
  co_return current.accepted > 0;
}

runtime::Task<SendConnection::Outcome> SendConnection::complete_data(InFlight& current, Answer first_failure) {
  if (!together()) {
    out_.append("DATA\r\n");
    bool sent = co_await flush();
    if (!sent) co_return Outcome::lost;
  }
  Answer start = co_await read(Step::data);
  if (start.code == 0) co_return Outcome::lost;
  if (start.code != 354) {
    needs_reset_ = true;
    co_return outcome_of(current, first_failure.code != 0 && current.accepted == 0 ? first_failure : start);
  }
  bool nobody = current.accepted == 0;  // 354 all the same: an empty message, which the server refuses (RFC 2920 section 3.1)
  if (nobody)
    out_.append(".\r\n");
  else
    queue_content(current);
  // The end of a message may open the next pipelined group, so that one packet carries both.
  if (together() && options_.depth > 1 && in_flight_.size() == 1 && !nobody) {
    if (auto claim = claim_due()) begin(*claim);
  }
  bool sent = co_await flush();
  if (!sent) co_return Outcome::lost;
  Answer end = co_await read(Step::end);
  co_return outcome_of(current, nobody && end.code != 0 ? first_failure : end);
}

runtime::Task<SendConnection::Outcome> SendConnection::complete_chunks(InFlight& current, Answer first_failure) {
  std::size_t size = current.message.content.size(), from = 0;
  std::size_t chunk = options_.chunk_bytes == 0 ? size : options_.chunk_bytes;
  Answer answer;
  while (from < size) {
    if (together()) {
      from += std::min(chunk, size - from);
    } else {
      from = queue_chunk(current, from);
      bool sent = co_await flush();
      if (!sent) co_return Outcome::lost;
    }
    answer = co_await read(from < size ? Step::content : Step::end);
    if (answer.code == 0) co_return Outcome::lost;
    if (!answer.positive() && first_failure.code == 0) first_failure = answer;
    if (!usable_ || (!answer.positive() && !together())) break;
  }
  if (!answer.positive()) needs_reset_ = true;
  bool failed = !answer.positive() && first_failure.code != 0;
  co_return outcome_of(current, failed ? first_failure : answer);
}

SendConnection::Outcome SendConnection::outcome_of(const InFlight& current, Answer answer) const {
  if (answer.code == 0) return Outcome::lost;
  if (answer.code >= 200 && answer.code < 300) return current.accepted > 0 ? Outcome::accepted : Outcome::permfailed;
  return answer.code >= 400 && answer.code < 500 ? Outcome::tempfailed : Outcome::permfailed;
}

void SendConnection::settle(const InFlight& current, Outcome outcome) {
  SendCounters& counters = worker_.counters_;
  worker_.last_settled_ = ring_.now();
  switch (outcome) {
    case Outcome::accepted: break;
    case Outcome::tempfailed: return counters.tempfailed.add();
    case Outcome::permfailed: return counters.permfailed.add();
    case Outcome::lost: return counters.lost.add();
  }
  Duration latency = ring_.now() - current.since;
  counters.accepted.add();
  counters.bytes.add(current.message.content.size());
  counters.recipients.add(current.accepted);
  counters.latency.record(latency);
  if (!worker_.shared_.ledger) return;
  digest_.begin();
  digest_.feed(as_bytes(current.message.content));
  ContentFacts facts = digest_.finish();
  ledger_line_.clear();
  append_line(ledger_line_, {facts.token, facts.size, facts.hash, current.accepted, ring_.wall_now()}, "latency_us",
              static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count()));
  if (auto written = worker_.shared_.ledger.write(ledger_line_); !written) {
    worker_.ledger_failed_ = true;
    worker_.shared_.schedule.stop();
  }
}

void SendConnection::lose_rest() {
  for (auto& lost : in_flight_) {
    worker_.counters_.lost.add();
    idle_.push_back(std::move(lost));
  }
  in_flight_.clear();
}

// ---- bytes out

void SendConnection::queue_mail(const InFlight& current) {
  out_.append("MAIL FROM:<").append(options_.sender).append(">");
  if (capabilities_.size) out_.append(" SIZE=").append(std::to_string(current.message.content.size()));
  if (worker_.shared_.generator.options().eight_bit && capabilities_.eight_bit_mime) out_.append(" BODY=8BITMIME");
  out_.append("\r\n");
}

void SendConnection::queue_recipient(const InFlight& current, std::uint32_t index) {
  out_.append("RCPT TO:<r").append(std::to_string(index)).append(".").append(current.message.token).append("@");
  out_.append(options_.recipient_domain).append(">\r\n");
}

void SendConnection::queue_content(const InFlight& current) {
  smtp::DotStuffer stuffer;
  for (Bytes rest = as_bytes(current.message.content); !rest.empty();) {
    smtp::DotStuffer::Step step = stuffer.next(rest);
    out_.append(as_text(step.output));
    rest = rest.subspan(step.consumed);
  }
  out_.append(as_text(stuffer.finish()));
}

/// Returns where the next chunk begins.
std::size_t SendConnection::queue_chunk(const InFlight& current, std::size_t from) {
  std::string_view rest = std::string_view{current.message.content}.substr(from);
  if (options_.chunk_bytes != 0) rest = rest.substr(0, options_.chunk_bytes);
  bool last = from + rest.size() == current.message.content.size();
  out_.append("BDAT ").append(std::to_string(rest.size())).append(last ? " LAST\r\n" : "\r\n").append(rest);
  return from + rest.size();
}

runtime::Task<bool> SendConnection::flush() {
  Bytes rest = as_bytes(out_);
  Instant deadline = ring_.now() + options_.reply_max;
  while (!rest.empty()) {
    auto sent = co_await ring_.send(socket_, rest, deadline);
    if (!sent) {
      usable_ = false;
      co_return false;
    }
    rest = rest.subspan(*sent);
  }
  out_.clear();
  co_return usable_;
}

// ---- replies in

runtime::Task<SendConnection::Answer> SendConnection::read(Step step, smtp::Capabilities* capabilities) {
  Instant deadline = ring_.now() + options_.reply_max;
  std::size_t lines = 0;
  for (;;) {
    if (input_.empty()) {
      input_.release();
      auto next = co_await receiver_->next(deadline);
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

void SendConnection::trouble(Step step, int code) { ++worker_.troubles_[{step, code}]; }

}  // namespace ringpost::bench
