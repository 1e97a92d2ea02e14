#include "bench/send_connection.hh"

#include <algorithm>

#include "ringpost/base/steady_clock.hh"
#include "ringpost/smtp/dot_stuffer.hh"

namespace ringpost::bench {

namespace {
constexpr Duration kStopLook =
    std::chrono::milliseconds(100);  // how often one who waits for its turn looks for the end of the run
}  // namespace

SendConnection::SendConnection(SendWorker& worker)
    : worker_(worker), options_(worker.shared_.options), ring_(worker.ring_), client_(worker.clients_, options_.client) {}
SendConnection::~SendConnection() = default;

runtime::Task<bool> SendConnection::open() {
  begun_ = 0;
  needs_reset_ = false;
  bool ready = co_await client_.open();
  if (!ready) co_return false;
  const smtp::Capabilities& offered = client_.capabilities();
  if ((options_.pipeline && !offered.pipelining) || (options_.bdat && !offered.chunking)) {
    client_.trouble(Step::ehlo, 250);
    co_return false;
  }
  worker_.counters_.connections.add();
  if (client_.resumed()) worker_.counters_.resumed.add();
  co_return true;
}

runtime::Task<SendConnection::Ending> SendConnection::converse() {
  while (client_.usable()) {
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

runtime::Task<void> SendConnection::close() { co_await client_.close(); }

runtime::Task<void> SendConnection::cut() { co_await client_.cut(); }

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
  next->number = claim.number;
  next->since = claim.due;
  next->accepted = 0;
  // What runs ahead cannot know whether the message before it leaves its transaction open.
  next->reset = needs_reset_ || (options_.bdat && options_.depth > 1 && !in_flight_.empty());
  needs_reset_ = false;
  ++begun_;
  worker_.counters_.begun.add();
  if (together()) {
    if (next->reset) client_.out().append("RSET\r\n");
    queue_mail(*next);
    for (std::uint32_t i = 0; i < next->message.recipients; ++i) queue_recipient(*next, i);
    if (options_.bdat) {
      for (std::size_t from = 0; from < next->message.content.size();) from = queue_chunk(*next, from);
    } else {
      client_.out().append("DATA\r\n");
    }
  }
  in_flight_.push_back(std::move(next));
}

// ---- one message

runtime::Task<SendConnection::Outcome> SendConnection::complete(InFlight& current) {
  if (together() && !co_await flush_last_of(current)) {
    client_.trouble(Step::mail, 0);
    co_return Outcome::lost;
  }
  Answer first_failure;
  bool going = co_await envelope(current, first_failure);
  if (!client_.usable()) co_return first_failure.code != 0 ? outcome_of(current, first_failure) : Outcome::lost;
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
        client_.out().append("RSET\r\n");
      else if (step == Step::mail)
        queue_mail(current);
      else
        queue_recipient(current, item - 2);
      bool sent = co_await client_.flush();
      if (!sent) co_return false;
    }
    Answer answer = co_await client_.read(step);
    if (!client_.usable() && !answer.code) co_return false;
    if (answer.positive()) {
      if (step == Step::rcpt) ++current.accepted;
      continue;
    }
    if (step == Step::rcpt) worker_.counters_.recipients_refused.add();
    if (first_failure.code == 0) first_failure = answer;
    if (!client_.usable() || (step == Step::mail && !together())) co_return false;
  }
  co_return current.accepted > 0;
}

runtime::Task<SendConnection::Outcome> SendConnection::complete_data(InFlight& current, Answer first_failure) {
  if (!together()) {
    client_.out().append("DATA\r\n");
    bool sent = co_await client_.flush();
    if (!sent) co_return Outcome::lost;
  }
  Answer start = co_await client_.read(Step::data);
  if (start.code == 0) co_return Outcome::lost;
  if (start.code != 354) {
    needs_reset_ = true;
    co_return outcome_of(current, first_failure.code != 0 && current.accepted == 0 ? first_failure : start);
  }
  bool nobody = current.accepted == 0;  // 354 all the same: an empty message, which the server refuses (RFC 2920 section 3.1)
  if (nobody)
    client_.out().append(".\r\n");
  else
    queue_content(current);
  // The end of a message may open the next pipelined group, so that one packet carries both.
  if (together() && options_.depth > 1 && in_flight_.size() == 1 && !nobody) {
    if (auto claim = claim_due()) begin(*claim);
  }
  bool sent = co_await flush_last_of(current);
  if (!sent) co_return Outcome::lost;
  Answer end = co_await read_verdict(current);
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
      bool sent = co_await flush_last_of(current);
      if (!sent) co_return Outcome::lost;
    }
    answer = from < size ? co_await client_.read(Step::content) : co_await read_verdict(current);
    if (answer.code == 0) co_return Outcome::lost;
    if (!answer.positive() && first_failure.code == 0) first_failure = answer;
    if (!client_.usable() || (!answer.positive() && !together())) break;
  }
  if (!answer.positive()) needs_reset_ = true;
  bool failed = !answer.positive() && first_failure.code != 0;
  co_return outcome_of(current, failed ? first_failure : answer);
}

/// Sends what may be the end of the message. It left when it was submitted, or, when the socket had no room for it all, when that is known.
runtime::Task<bool> SendConnection::flush_last_of(InFlight& current) {
  const Instant submitted = steady_now();
  const bool sent = co_await client_.flush();
  current.all_sent = std::max(submitted, ring_.now());
  co_return sent;
}

/// What the server says to the whole message. By LMTP each accepted recipient has a reply (RFC 2033 section 4.2), and the message counts as
/// accepted when one of them is positive; `accepted` is then how many are.
runtime::Task<Answer> SendConnection::read_verdict(InFlight& current) {
  if (!options_.client.lmtp || current.accepted == 0) co_return co_await client_.read(Step::end);
  Answer verdict;
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < current.accepted; ++i) {
    Answer one = co_await client_.read(Step::end);
    if (one.code == 0) co_return one;
    if (one.positive()) ++taken;
    if (verdict.code == 0 || (one.positive() && !verdict.positive())) verdict = one;
  }
  if (taken > 0) current.accepted = taken;
  co_return verdict;
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
  counters.reply_latency.record(std::max(ring_.now() - current.all_sent, Duration::zero()));
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
  client_.out().append("MAIL FROM:<").append(options_.sender).append(">");
  if (client_.capabilities().size) client_.out().append(" SIZE=").append(std::to_string(current.message.content.size()));
  if (worker_.shared_.generator.options().eight_bit && client_.capabilities().eight_bit_mime) client_.out().append(" BODY=8BITMIME");
  client_.out().append("\r\n");
}

void SendConnection::queue_recipient(const InFlight& current, std::uint32_t index) {
  std::string& out = client_.out();
  out.append("RCPT TO:<r").append(std::to_string(index)).append(".").append(current.message.token).append("@");
  if (options_.domains > 1) out.append("d").append(std::to_string(current.number % options_.domains)).append(".");
  out.append(options_.recipient_domain).append(">\r\n");
}

void SendConnection::queue_content(const InFlight& current) {
  smtp::DotStuffer stuffer;
  for (Bytes rest = as_bytes(current.message.content); !rest.empty();) {
    smtp::DotStuffer::Step step = stuffer.next(rest);
    client_.out().append(as_text(step.output));
    rest = rest.subspan(step.consumed);
  }
  client_.out().append(as_text(stuffer.finish()));
}

/// Returns where the next chunk begins.
std::size_t SendConnection::queue_chunk(const InFlight& current, std::size_t from) {
  std::string_view rest = std::string_view{current.message.content}.substr(from);
  if (options_.chunk_bytes != 0) rest = rest.substr(0, options_.chunk_bytes);
  bool last = from + rest.size() == current.message.content.size();
  client_.out().append("BDAT ").append(std::to_string(rest.size())).append(last ? " LAST\r\n" : "\r\n").append(rest);
  return from + rest.size();
}

}  // namespace ringpost::bench
