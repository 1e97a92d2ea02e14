// The part of a session that takes in messages: DATA and BDAT.
#include <algorithm>
#include <utility>

#include "receive/session.hh"

namespace ringpost::receive {

namespace replies = smtp::replies;

namespace {
// Before the minimum data rate counts, a client has this long.
constexpr Duration kRateGrace = std::chrono::seconds(30);
}  // namespace

runtime::Task<void> Session::receive_data() {
  const bool expected = co_await expect_message();
  // DATA ends a pipelined group (RFC 2920 section 3.1): text that is already here was sent before we said 354.
  if (!input_.empty() || channel_.ready()) co_return refuse_early_text();
  if (!expected) {
    refuse_message({}, 0);
    co_return end_transaction();
  }
  state_.data_started();
  answer(replies::kStartData);
  start_content_clock();

  smtp::DataDecoder decoder{listener_.bare_newline == config::BareNewline::repair ? smtp::BareNewline::repair
                                                                                 : smtp::BareNewline::refuse};
  while (!decoder.ended()) {
    if (input_.empty()) {
      bool filled = co_await fill_content();
      if (!filled) co_return end_transaction();
    }
    smtp::DataDecoder::Step step = decoder.next(input_.mutable_bytes());
    if (decoder.size() > settings_->smtp.message_bytes_max) drop_message();
    co_await keep(step.content);
    input_.consume(step.consumed);
  }
  state_.message_ended();
  co_await end_content();
  ContentVerdict verdict = judge(decoder.refusal(), decoder.size(), decoder.longest_line());
  co_await finish_message(verdict, decoder.size(), decoder.eight_bit());
  end_transaction();
}

runtime::Task<void> Session::receive_chunk(smtp::ChunkArgument chunk) {
  if (chunk.size == 0 && !chunk.last && ++junk_ > settings_->smtp.commands_without_mail_max)
    co_return close_with(replies::kTooMuchJunk);
  if (!state_.in_chunks()) {
    chunk_checker_ = {};
    start_content_clock();
    (void)co_await expect_message();
  }
  std::uint64_t rest = chunk.size;
  while (rest > 0) {
    if (input_.empty()) {
      bool filled = co_await fill_content();
      if (!filled) co_return end_transaction();
    }
    Bytes content = input_.bytes().first(std::min<std::uint64_t>(rest, input_.bytes().size()));
    chunk_checker_.feed(content);
    if (chunk_checker_.faults().any() || chunk_checker_.size() > settings_->smtp.message_bytes_max) drop_message();
    co_await keep(content);
    rest -= content.size();
    input_.consume(content.size());
  }
  if (chunk.last) {
    chunk_checker_.finish();
    co_await end_content();
  }
  ContentVerdict verdict =
      judge(smtp::fault_refusal(chunk_checker_.faults()), chunk_checker_.size(), chunk_checker_.longest_line());
  if (chunk.last) {
    co_await finish_message(verdict, chunk_checker_.size(), chunk_checker_.eight_bit());
    co_return end_transaction();
  }
  if (!verdict.refusal && !failure_) {
    state_.chunk_accepted(false);
    co_return answer(replies::kOk);
  }
  refuse_message(verdict, chunk_checker_.size());
  state_.chunk_refused(false);
}

void Session::start_content_clock() {
  content_since_ = ring_.now();
  content_received_ = input_.bytes().size();
}

// Sees to it that a message can begin. On failure `failure_` says why.
runtime::Task<bool> Session::expect_message() {
  hops_ = {};
  tls_field_ = {};
  failure_.reset();
  header_.reset();
  header_refusal_ = {};
  auto place = co_await server_.surroundings_.intake.reserve(ring_.now() + settings_->smtp.timeout.data);
  if (!place) {
    failure_ = place.error();
    co_return false;
  }
  place_to_begin_ = std::move(*place);
  co_return true;
}

// Its first bytes are here, for which most clients take most of their time: now it takes memory, and gets our Received field. On failure
// `failure_` says why.
runtime::Task<void> Session::begin_message() {
  if (config::is_submission(listener_.role)) header_ = std::make_unique<smtp::SubmissionHeader>();
  auto begun = server_.surroundings_.intake.begin(std::exchange(place_to_begin_, {}));
  if (!begun) {
    failure_ = begun.error();
    co_return;
  }
  incoming_ = std::move(*begun);
  std::array<char, IpAddress::kTextMax> client;
  smtp::ReceivedTrace trace{.helo = helo_,
                            .client = peer_.ip().text(client),
                            .by = settings_->hostname,
                            .with = {.extended = state_.extended(), .utf8 = envelope_.smtputf8, .tls = channel_.secured(), .authenticated = state_.is_authenticated()},
                            .authentication = envelope_.authentication ? event::name_of(*envelope_.authentication) : std::string_view{},
                            .id = incoming_->id(),
                            .priority = envelope_.terms.priority,
                            .at = ring_.wall_now()};
  if (state_.is_authenticated() && settings_->submission.hide_client) trace.helo = trace.client = {};
  if (channel_.secured()) {
    const tls::Handshake& handshake = channel_.handshake();
    trace.tls_cipher = handshake.suite;
    trace.tls_group = handshake.group;
    trace.tls_version = tls::version_name(handshake.version);
  }
  std::array<std::byte, smtp::kReceivedBytesMax> field;
  std::size_t written = smtp::write_received(trace, field);
  RP_ASSERT(written > 0);
  co_await write(Bytes{field}.first(written));
}

void Session::drop_message() {
  place_to_begin_ = {};
  incoming_.reset();
}

runtime::Task<void> Session::keep(Bytes content) {
  hops_.feed(content);
  tls_field_.feed(content);
  if (place_to_begin_) co_await begin_message();
  if (!incoming_ || content.empty()) co_return;
  if (header_) {
    header_->feed(content);
    if (header_->is_whole() || header_->refusal()) co_await keep_header();
    co_return;
  }
  co_await write(content);
}

// Of a message that is submitted: its header, with what it lacked, and what came behind it so far.
runtime::Task<void> Session::keep_header() {
  const std::unique_ptr<smtp::SubmissionHeader> header = std::move(header_);
  header_refusal_ = header->refusal();
  if (header_refusal_) incoming_.reset();
  if (!incoming_) co_return;
  const std::string text = header->text(incoming_->id(), settings_->hostname, ring_.wall_now());
  co_await write(as_bytes(text));
  if (incoming_ && !header->rest().empty()) co_await write(as_bytes(header->rest()));
}

// The message is here in whole; it may have been nothing but a header, or nothing.
runtime::Task<void> Session::end_content() {
  if (place_to_begin_) co_await begin_message();
  if (!header_) co_return;
  header_->finish();
  co_await keep_header();
}

runtime::Task<void> Session::write(Bytes content) {
  auto kept = co_await incoming_->write(content);
  if (kept) co_return;
  failure_ = kept.error();
  incoming_.reset();
}

ContentVerdict Session::judge(const smtp::Reply& faults, std::uint64_t size, std::uint64_t longest_line) const {
  if (size > settings_->smtp.message_bytes_max) return {replies::kMessageTooLarge, event::Reason::too_large};
  if (faults) return {faults, event::Reason::syntax};
  if (header_refusal_) return {header_refusal_, event::Reason::syntax};
  if (settings_->smtp.line_bytes_max != 0 && longest_line > settings_->smtp.line_bytes_max)
    return {replies::kTextLineTooLong, event::Reason::syntax};
  if (hops_.count() > settings_->smtp.hops_max) return {replies::kMailLoop, event::Reason::too_many_hops};
  return {};
}

// The message is here in whole: keep it or say why not. 250 leaves only after commit() succeeded.
runtime::Task<void> Session::finish_message(const ContentVerdict& verdict, std::uint64_t size, bool eight_bit) {
  const Instant complete = ring_.now();
  // REQUIRETLS is the stronger word (RFC 8689 section 4.1).
  if (tls_field_.says_no() && envelope_.tls_wish == smtp::TlsWish::none) envelope_.tls_wish = smtp::TlsWish::waived;
  if (!verdict.refusal && incoming_) {
    if (input_.empty()) input_.release();  // its last bytes are kept, and the disk takes its time
    auto committed = co_await incoming_->commit(envelope_, eight_bit);
    if (committed) co_return accept_message(size, complete);
    failure_ = committed.error();
  }
  refuse_message(verdict, size);
}

void Session::accept_message(std::uint64_t size, Instant complete) {
  constexpr std::string_view kBegin = "Ok: queued as ";
  std::array<char, kBegin.size() + 2 * sizeof(MessageId::bytes)> text;
  std::copy(kBegin.begin(), kBegin.end(), text.begin());
  constexpr std::string_view kDigits = "0123456789abcdef";
  char* to = text.data() + kBegin.size();
  for (auto byte : incoming_->id().bytes) {
    *to++ = kDigits[static_cast<unsigned>(byte) >> 4];
    *to++ = kDigits[static_cast<unsigned>(byte) & 15];
  }
  answer({250, {2, 0, 0}, {text.data(), text.size()}});
  junk_ = 0;
  log_forwarded();
  metrics::ShardMetrics& metrics = server_.surroundings_.metrics;
  metrics.messages_accepted.add();
  metrics.message_bytes_accepted.add(size);
  metrics.recipients_accepted.add(envelope_.recipients());
  metrics.acceptance_latency.record(ring_.now() - complete);
}

// For what `verdict` says, or else for `failure_`. Nothing of the message is kept.
void Session::refuse_message(const ContentVerdict& verdict, std::uint64_t size) {
  metrics::ShardMetrics& metrics = server_.surroundings_.metrics;
  incoming_.reset();
  const smtp::Reply reply = verdict.refusal ? verdict.refusal : failure_reply();
  (verdict.refusal ? metrics.messages_refused : metrics.messages_deferred).add();
  const Refusal refusal{.reason = verdict.refusal ? verdict.reason : failure_reason(),
                        .reply = {reply.code, reply.enhanced.klass, reply.enhanced.subject, reply.enhanced.detail}};
  server_.surroundings_.intake.refused(envelope_, size, refusal);
  answer(reply);
}

// Reads a chunk that nobody wants, and only then says so (RFC 3030 section 2).
runtime::Task<bool> Session::swallow(std::uint64_t bytes, const smtp::Reply& reply) {
  if (!state_.in_transaction()) transaction_since_ = ring_.now();
  start_content_clock();
  for (std::uint64_t rest = bytes; rest > 0;) {
    if (input_.empty()) {
      bool filled = co_await fill_content();
      if (!filled) co_return false;
    }
    std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(rest, input_.bytes().size()));
    input_.consume(taken);
    rest -= taken;
  }
  answer(reply);
  co_return true;
}

runtime::Task<bool> Session::fill_content() {
  bool filled = co_await fill(content_deadline(), replies::kTooSlow);
  if (filled) content_received_ += input_.bytes().size();
  co_return filled;
}

// Each block, the whole transaction and the average rate have a limit of their own.
Instant Session::content_deadline() const {
  Instant deadline = std::min(ring_.now() + settings_->smtp.timeout.data, transaction_since_ + settings_->smtp.timeout.message);
  std::uint64_t rate = settings_->smtp.bytes_per_s_min;
  if (rate != 0) deadline = std::min(deadline, content_since_ + kRateGrace + std::chrono::seconds(content_received_ / rate));
  return deadline;
}

smtp::Reply Session::failure_reply() const {
  return failure_ && failure_->code == Errc::no_space ? replies::kNoSpace : replies::kLocalError;
}

event::Reason Session::failure_reason() const {
  switch (failure_ ? failure_->code : Errc::io) {
    case Errc::no_space: return event::Reason::no_space;
    case Errc::unavailable: return event::Reason::keys_unavailable;
    case Errc::no_memory:
    case Errc::timed_out: return event::Reason::overloaded;
    default: return event::Reason::storage_failed;
  }
}

}  // namespace ringpost::receive
