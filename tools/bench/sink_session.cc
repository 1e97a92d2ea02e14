#include "bench/sink_session.hh"

#include <algorithm>
#include <array>

#include "ringpost/smtp/reply.hh"

namespace ringpost::bench {

namespace replies = smtp::replies;

namespace {

constexpr std::size_t kFlushBytes = 4096;  // a client that pipelines without reading is answered in pieces
constexpr Duration kSendPatience = std::chrono::seconds(60);
constexpr Duration kLinger = std::chrono::milliseconds(500);
constexpr std::size_t kLingerChunks = 64;

constexpr smtp::Reply kGreylisted{451, {4, 7, 1}, "Greylisted, try again later"};
constexpr smtp::Reply kDataLost{451, {4, 3, 0}, "Cannot keep the message"};

}  // namespace

SinkSession::SinkSession(SinkWorker& worker, Fd socket)
    : worker_(worker), options_(worker.shared_.options), ring_(worker.ring_), socket_(socket), channel_(ring_, socket) {}

runtime::Task<void> SinkSession::run() {
  if (worker_.shared_.store) {
    auto peer = ring_.peer_address(socket_);
    if (peer) envelope_.client = peer->text();
  }
  if (options_.security == Security::implicit) {
    bool broken = options_.faults.draw(Stage::tls, worker_.prng_) == Fault::drop;
    if (broken) drop();
    if (broken || !co_await shake_hands()) {
      co_await channel_.stop();
      co_return;
    }
  }
  switch (worker_.shared_.options.faults.draw(Stage::connect, worker_.prng_)) {
    case Fault::none:
      out_.append("220 ").append(options_.hostname).append(" ESMTP\r\n");
      ++replies_;
      co_await converse();
      break;
    case Fault::tempfail:
      worker_.counters_.tempfails.add();
      answer({421, {4, 3, 2}, "Fault asked for: no service"});
      break;
    case Fault::permfail:
      worker_.counters_.permfails.add();
      answer({554, {5, 3, 2}, "Fault asked for: no service"});
      break;
    case Fault::drop: drop(); break;
  }
  (void)co_await flush();
  if (!cut_ && !dropped_) co_await linger();
  co_await channel_.stop();
  input_.release();
}

/// False: there is no TLS, and nothing more to say.
runtime::Task<bool> SinkSession::shake_hands() {
  auto shaken = co_await channel_.accept_tls(*worker_.tls_, ring_.now() + kSendPatience);
  if (!shaken) {
    worker_.counters_.refused.add();
    cut();
    co_return false;
  }
  worker_.counters_.secured.add();
  co_return true;
}

// Whatever was said before is forgotten (RFC 3207 section 4.2).
runtime::Task<void> SinkSession::start_tls() {
  if (misbehaves(Stage::tls)) co_return;
  input_.release();
  (void)channel_.discard_input();
  answer(replies::kStartTls);
  if (!co_await flush()) co_return;
  end_transaction();
  state_.forget_all();
  (void)co_await shake_hands();
}

// Our FIN first, then whatever the client still sends: closing with unread bytes would reset the connection, and lose replies.
runtime::Task<void> SinkSession::linger() {
  co_await channel_.shutdown(ring_.now() + kLinger);
  Instant deadline = ring_.now() + kLinger;
  for (std::size_t i = 0; i < kLingerChunks; ++i) {
    auto rest = co_await channel_.next(deadline);
    if (!rest) co_return;
  }
}

runtime::Task<void> SinkSession::converse() {
  while (open_) {
    if (input_.empty() && !co_await fill()) co_return;
    smtp::LineStep step = reader_.next(input_.bytes());
    input_.consume(step.consumed);
    if (step.status == smtp::LineStatus::need_more) continue;
    if (step.status == smtp::LineStatus::line) {
      smtp::Command command =
          smtp::parse_command(step.text, {.smtputf8 = envelope_.smtputf8, .message_bytes_max = options_.message_bytes_max});
      co_await handle(command);
    } else {
      refuse(smtp::line_refusal(step.status));
      if (step.close) open_ = false;
    }
    if (out_.size() > kFlushBytes && !co_await flush()) co_return;
  }
}

runtime::Task<void> SinkSession::handle(const smtp::Command& command) {
  using smtp::Verb;
  smtp::Decision decision = state_.decide(command.verb);
  if (!command.ok() && (decision.allowed() || !decision.swallow)) {
    refuse(decision.allowed() ? command.refusal : decision.refusal);
    if (command.close || command.verb == Verb::alien) open_ = false;
    co_return;
  }
  if (!decision.allowed()) {
    if (decision.swallow && !co_await take(command.chunk.size, false)) co_return;
    refuse(decision.refusal);
    if (decision.swallow) state_.chunk_refused(command.chunk.last);
    if (!state_.in_transaction()) end_transaction();
    co_return;
  }
  switch (command.verb) {
    case Verb::ehlo:
    case Verb::helo: greet(command); break;
    case Verb::mail: on_mail(command); break;
    case Verb::rcpt: on_rcpt(command); break;
    case Verb::data: co_await receive_data(); break;
    case Verb::bdat: co_await receive_chunk(command.chunk); break;
    case Verb::rset:
      end_transaction();
      answer(replies::kOk);
      break;
    case Verb::noop: answer(replies::kOk); break;
    case Verb::starttls: co_await start_tls(); break;
    case Verb::vrfy: answer(replies::kCannotVerify); break;
    case Verb::help: answer(replies::kHelp); break;
    case Verb::quit:
      answer(replies::kClosing);
      open_ = false;
      break;
    default: refuse(replies::kNotImplemented); break;
  }
}

void SinkSession::greet(const smtp::Command& command) {
  bool extended = command.verb == smtp::Verb::ehlo;
  end_transaction();
  state_.greeted(extended);
  envelope_.helo.assign(command.argument);
  const Offers& offers = options_.offers;
  std::array<std::string, 7> names;
  std::size_t count = 0;
  if (extended) {
    if (state_.offers_tls()) names[count++] = "STARTTLS";
    if (offers.pipelining) names[count++] = "PIPELINING";
    if (offers.size) names[count++] = "SIZE " + std::to_string(options_.message_bytes_max);
    if (offers.eight_bit_mime) names[count++] = "8BITMIME";
    if (offers.smtputf8) names[count++] = "SMTPUTF8";
    if (offers.chunking) names[count++] = "CHUNKING";
    if (offers.enhanced_status_codes) names[count++] = "ENHANCEDSTATUSCODES";
  }
  out_.append(count == 0 ? "250 " : "250-").append(options_.hostname).append("\r\n");
  for (std::size_t i = 0; i < count; ++i) out_.append(i + 1 == count ? "250 " : "250-").append(names[i]).append("\r\n");
  ++replies_;
}

void SinkSession::on_mail(const smtp::Command& command) {
  const Offers& offers = options_.offers;
  const smtp::MailParameters& mail = command.mail;
  bool unknown = (mail.smtputf8 && !offers.smtputf8) || (mail.body && !offers.eight_bit_mime) || (mail.size && !offers.size);
  if (unknown) return refuse(replies::kUnknownParameter);
  if (misbehaves(Stage::mail)) return;
  state_.mail_accepted();
  envelope_.reverse_path.assign(command.path.address());
  envelope_.smtputf8 = mail.smtputf8;
  envelope_.eight_bit = mail.body == smtp::BodyType::eight_bit_mime;
  answer(replies::kSenderOk);
}

void SinkSession::on_rcpt(const smtp::Command& command) {
  if (envelope_.recipients.size() >= options_.recipients_max) return refuse(replies::kTooManyRecipients);
  if (misbehaves(Stage::rcpt)) return;
  Duration delay = options_.faults.greylist();
  if (delay != Duration::zero() &&
      !worker_.shared_.greylist.passes(envelope_.reverse_path, command.path.address(), delay, ring_.now())) {
    worker_.counters_.greylisted.add();
    return answer(kGreylisted);
  }
  envelope_.recipients.emplace_back(command.path.address());
  state_.rcpt_accepted();
  answer(replies::kRecipientOk);
}

// ---- messages

runtime::Task<void> SinkSession::receive_data() {
  if (misbehaves(Stage::data)) co_return;
  begin_message(false);
  state_.data_started();
  answer(replies::kStartData);
  bool dropping = options_.faults.draw(Stage::content, worker_.prng_) == Fault::drop;
  smtp::DataDecoder decoder;
  while (!decoder.ended()) {
    if (input_.empty() && !co_await fill()) co_return;
    if (dropping) co_return drop();
    smtp::DataDecoder::Step step = decoder.next(input_.mutable_bytes());
    keep(step.content);
    input_.consume(step.consumed);
  }
  state_.message_ended();
  end_message(decoder.refusal());
}

runtime::Task<void> SinkSession::receive_chunk(smtp::ChunkArgument chunk) {
  bool first = !state_.in_chunks();
  if (!options_.offers.chunking) {
    // A server that does not know BDAT would read the chunk as commands; that helps nobody.
    if (!co_await take(chunk.size, false)) co_return;
    refuse(replies::kNotImplemented);
    state_.chunk_refused(chunk.last);
    if (chunk.last) end_transaction();
    co_return;
  }
  Fault fault = first ? options_.faults.draw(Stage::data, worker_.prng_) : Fault::none;
  if (first) begin_message(true);
  if (first && options_.faults.draw(Stage::content, worker_.prng_) == Fault::drop) fault = Fault::drop;
  if (fault == Fault::drop) co_return drop();
  if (!co_await take(chunk.size, fault == Fault::none)) co_return;
  if (fault != Fault::none) {
    answer(fault_reply(Stage::data, fault));
    state_.chunk_refused(chunk.last);
    if (chunk.last) end_transaction();
    co_return;
  }
  if (!chunk.last) {
    state_.chunk_accepted(false);
    co_return answer(replies::kOk);
  }
  chunk_checker_.finish();
  state_.chunk_accepted(true);
  end_message(smtp::fault_refusal(chunk_checker_.faults()));
}

// The bytes of a chunk: into the message, or nowhere.
runtime::Task<bool> SinkSession::take(std::uint64_t bytes, bool kept) {
  while (bytes > 0) {
    if (input_.empty() && !co_await fill()) co_return false;
    Bytes content = input_.bytes().first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, input_.bytes().size())));
    if (kept) {
      chunk_checker_.feed(content);
      keep(content);
    }
    bytes -= content.size();
    input_.consume(content.size());
  }
  co_return true;
}

void SinkSession::begin_message(bool chunked) {
  envelope_.chunked = chunked;
  digest_.begin();
  chunk_checker_ = {};
  content_.clear();
  wire_bytes_ = 0;
}

void SinkSession::keep(Bytes content) {
  wire_bytes_ += content.size();
  if (wire_bytes_ > options_.message_bytes_max) return;
  digest_.feed(content);
  if (worker_.shared_.store) content_.append(as_text(content));
}

// The last byte is here: the message is stored and in the ledger's next write, which precedes the replies, or refused.
void SinkSession::end_message(const smtp::Reply& faults) {
  std::size_t recipients = envelope_.recipients.size();
  smtp::Reply refusal = wire_bytes_ > options_.message_bytes_max ? replies::kMessageTooLarge : faults;
  if (refusal) {
    refuse(refusal);
    return end_transaction();
  }
  if (misbehaves(Stage::end)) return end_transaction();
  ContentFacts facts = digest_.finish();
  if (auto stored = worker_.shared_.store.add(envelope_, content_, facts); !stored) {
    worker_.counters_.failed.add();
    answer(kDataLost);
    return end_transaction();
  }
  if (worker_.shared_.ledger) {
    LedgerEntry entry{facts.token, facts.size, facts.hash, static_cast<std::uint32_t>(recipients), ring_.wall_now()};
    append_line(worker_.ledger_lines_, entry, "received", facts.received_fields);
  }
  worker_.count_message(recipients, wire_bytes_);
  if (options_.faults.draw(Stage::reply, worker_.prng_) == Fault::drop)
    drop();
  else
    answer({250, {2, 0, 0}, "Ok: taken"});
  end_transaction();
}

void SinkSession::end_transaction() {
  state_.reset();
  envelope_.reverse_path.clear();
  envelope_.recipients.clear();
  envelope_.eight_bit = envelope_.smtputf8 = false;
  content_.clear();
}

// ---- faults and replies

bool SinkSession::misbehaves(Stage stage) {
  Fault fault = options_.faults.draw(stage, worker_.prng_);
  if (fault == Fault::none) return false;
  if (fault == Fault::drop)
    drop();
  else
    answer(fault_reply(stage, fault));
  return true;
}

// What was answered so far still goes out, so that only the one message is in doubt.
void SinkSession::drop() {
  worker_.counters_.drops.add();
  open_ = false;
  dropped_ = true;
}

smtp::Reply SinkSession::fault_reply(Stage stage, Fault fault) {
  bool recipient = stage == Stage::rcpt;
  if (fault == Fault::tempfail) {
    worker_.counters_.tempfails.add();
    if (stage == Stage::tls) return replies::kTlsUnavailable;
    return recipient ? smtp::Reply{450, {4, 2, 1}, "Fault asked for"} : smtp::Reply{451, {4, 3, 0}, "Fault asked for"};
  }
  worker_.counters_.permfails.add();
  return recipient ? smtp::Reply{550, {5, 1, 1}, "Fault asked for"} : smtp::Reply{554, {5, 3, 0}, "Fault asked for"};
}

void SinkSession::refuse(const smtp::Reply& reply) {
  worker_.counters_.refused.add();
  answer(reply);
}

void SinkSession::answer(smtp::Reply reply) {
  if (!options_.offers.enhanced_status_codes || !state_.extended()) reply.enhanced = {};
  std::array<std::byte, smtp::kReplyBytesMax> line;
  std::size_t written = smtp::write_reply(reply, line);
  out_.append(as_text(Bytes{line}.first(written)));
  ++replies_;
}

// The replies so far go out before anybody waits.
runtime::Task<bool> SinkSession::fill() {
  input_.release();
  bool flushed = co_await flush();
  if (!flushed) co_return false;
  auto next = co_await channel_.next(ring_.now() + options_.idle_max);
  if (next) {
    input_ = std::move(*next);
    co_return true;
  }
  open_ = false;
  if (next.error().code == Errc::timed_out)
    answer(replies::kTimedOut);
  else
    cut();
  co_return false;
}

runtime::Task<bool> SinkSession::flush() {
  if (auto written = worker_.write_ledger(); !written) {
    worker_.counters_.failed.add();
    cut();
  }
  if (cut_) co_return false;
  if (Duration slow = options_.faults.slow(); slow != Duration::zero() && replies_ > 0)
    co_await ring_.sleep_for(slow * static_cast<Duration::rep>(replies_));
  Bytes rest = as_bytes(out_);
  while (!rest.empty()) {
    auto sent = co_await channel_.send(rest, ring_.now() + kSendPatience);
    if (!sent) {
      cut();
      co_return false;
    }
    rest = rest.subspan(*sent);
  }
  out_.clear();
  replies_ = 0;
  co_return true;
}

}  // namespace ringpost::bench
