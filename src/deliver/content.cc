// The content of a message on its way to the next hop, and the answer that decides.
#include <algorithm>

#include "deliver/connection.hh"
#include "deliver/decimal.hh"
#include "ringpost/smtp/dot_stuffer.hh"

namespace ringpost::deliver {

namespace {

constexpr std::size_t kSendBufferBytes = 64 * 1024;
// Before the minimum data rate counts, a hop has this long.
constexpr Duration kRateGrace = std::chrono::seconds(30);

// RFC 5321 section 4.2.4: the command is not known. What followed a BDAT was then read as commands.
bool says_unknown_command(std::uint16_t code) { return code == 500 || code == 502; }

}  // namespace

// BDAT and all content, to leave together with the envelope.
runtime::Task<Outcome> Connection::queue_content(Outgoing& outgoing) {
  const Decimal size{outgoing.size()};
  queue_line({"BDAT ", size.text(), " LAST"});
  for (std::uint64_t queued = 0; queued < outgoing.size();) {
    auto content = co_await outgoing.next_content();
    if (!content) co_return std::unexpected(broken(content.error()));
    if (content->empty() || content->size() > outgoing.size() - queued) co_return std::unexpected(broken({Errc::corrupt}));
    out_.append(as_text(*content));
    queued += content->size();
  }
  co_return Outcome{};
}

// DATA (unless it is `announced` already), the text, the final dot.
runtime::Task<Outcome> Connection::send_data(Outgoing& outgoing, bool announced, Attempt& attempt) {
  const auto& timeout = settings_->deliver.timeout;
  if (!announced) {
    queue_line({"DATA"});
    auto sent = co_await flush(timeout.data_start);
    if (!sent) co_return sent;
  }
  auto start = co_await read_reply(timeout.data_start);
  if (!start) co_return std::unexpected(start.error());
  if (start->code != 354) {
    // 2xx to DATA makes no sense; nobody knows what it will take the text for.
    if (start->code < 400) co_return std::unexpected(broken({Errc::protocol}));
    for (std::size_t slot : accepted_) fill(attempt.results[slot], *start);
    co_await reset();
    co_return Outcome{};
  }
  // RFC 2920 section 3.1: it may want text although nobody is to get it; then it gets an empty message.
  auto sent = accepted_.empty() ? co_await send_all(as_bytes(".\r\n"), timeout.data_block) : co_await send_text(outgoing);
  if (!sent) co_return sent;
  co_return co_await finish(Way::data, attempt);
}

// The message itself behind a 354, dots stuffed. A copy that does not authenticate ends the connection before the final dot.
runtime::Task<Outcome> Connection::send_text(Outgoing& outgoing) {
  smtp::DotStuffer stuffer;
  block_.resize(kSendBufferBytes);
  content_since_ = ring_.now();
  content_sent_ = 0;
  std::size_t used = 0;
  std::uint64_t taken = 0;
  for (;;) {
    auto content = co_await outgoing.next_content();
    if (!content) co_return std::unexpected(broken(content.error()));
    if (content->empty()) break;
    taken += content->size();
    for (Bytes rest = *content; !rest.empty();) {
      used += stuffer.copy(rest, MutableBytes{block_}.subspan(used));
      if (stuffer.failed()) co_return std::unexpected(broken({Errc::corrupt}));
      if (rest.empty()) break;
      auto sent = co_await send_content(Bytes{block_}.first(used));
      if (!sent) co_return sent;
      used = 0;
    }
  }
  Bytes end = stuffer.finish();
  if (end.empty() || taken != outgoing.size()) co_return std::unexpected(broken({Errc::corrupt}));
  if (block_.size() - used < end.size()) {
    auto sent = co_await send_content(Bytes{block_}.first(used));
    if (!sent) co_return sent;
    used = 0;
  }
  copy_bytes(MutableBytes{block_}.subspan(used), end);
  co_return co_await send_content(Bytes{block_}.first(used + end.size()));
}

// RFC 3030: each piece framed by its length, and answered before the next one leaves.
runtime::Task<Outcome> Connection::send_chunks(Outgoing& outgoing, Attempt& attempt) {
  const auto& timeout = settings_->deliver.timeout;
  content_since_ = ring_.now();
  content_sent_ = 0;
  for (std::uint64_t taken = 0;;) {
    auto content = co_await outgoing.next_content();
    if (!content) co_return std::unexpected(broken(content.error()));
    taken += content->size();
    const bool last = taken == outgoing.size();
    if (taken > outgoing.size() || (content->empty() && !last)) co_return std::unexpected(broken({Errc::corrupt}));
    const Decimal size{content->size()};
    queue_line({"BDAT ", size.text(), last ? " LAST" : ""});
    auto sent = co_await flush(timeout.data_block);
    if (sent) sent = co_await send_content(*content);
    if (!sent) co_return sent;
    if (last) co_return co_await finish(Way::chunks, attempt);
    auto answer = co_await read_final(timeout.data_block);
    if (!answer) co_return std::unexpected(answer.error());
    if (!answer->positive()) co_return co_await conclude(Way::chunks, *answer, attempt);
  }
}

runtime::Task<Outcome> Connection::finish(Way way, Attempt& attempt) {
  if (protocol_ == Protocol::lmtp) co_return co_await finish_each(attempt);
  auto answer = co_await read_final(settings_->deliver.timeout.data_done);
  if (!answer) co_return std::unexpected(answer.error());
  co_return co_await conclude(way, *answer, attempt);
}

// RFC 2033 section 4.2: each recipient that was accepted has an answer of its own, in their order.
runtime::Task<Outcome> Connection::finish_each(Attempt& attempt) {
  for (std::size_t slot : accepted_) {
    auto answer = co_await read_final(settings_->deliver.timeout.data_done);
    if (!answer) co_return std::unexpected(answer.error());
    fill(attempt.results[slot], *answer);
  }
  co_return Outcome{};
}

// The answer to the whole message decides for every recipient that was accepted.
runtime::Task<Outcome> Connection::conclude(Way way, const Answer& answer, Attempt& attempt) {
  if (way != Way::data && says_unknown_command(answer.code)) {
    // It offers CHUNKING and does not know BDAT, so it reads the content as commands: nothing it says here counts any more.
    hop_.chunking_broken = chunking_failed_ = true;
    usable_ = false;
    co_return Outcome{};
  }
  for (std::size_t slot : accepted_) fill(attempt.results[slot], answer);
  if (!answer.positive()) co_await reset();
  co_return Outcome{};
}

runtime::Task<Outcome> Connection::send_content(Bytes bytes) {
  const std::uint64_t rate = settings_->deliver.bytes_per_s_min;
  while (!bytes.empty()) {
    Instant until = deadline(settings_->deliver.timeout.data_block);
    if (rate != 0) until = std::min(until, content_since_ + kRateGrace + std::chrono::seconds(content_sent_ / rate));
    auto sent = co_await channel_->send(bytes, until);
    if (!sent) co_return std::unexpected(broken(sent.error()));
    content_sent_ += *sent;
    bytes = bytes.subspan(*sent);
  }
  co_return Outcome{};
}

}  // namespace ringpost::deliver
