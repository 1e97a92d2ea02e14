// Mail transactions on a connection: envelopes, and who got what answer.
#include <algorithm>

#include "deliver/connection.hh"
#include "deliver/decimal.hh"
#include "ringpost/smtp/delivery_terms.hh"
#include "ringpost/smtp/notification.hh"

namespace ringpost::deliver {

namespace {

// A group of commands is answered before the next goes out, so that neither side can fill the other's window.
constexpr std::size_t kGroupCommandsMax = 64;
// Up to this size a message travels behind its own envelope in one flight (BDAT).
constexpr std::uint64_t kInlineBytesMax = 64 * 1024;

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 127; });
}

// The extension is asked for only where something needs it (RFC 6531 section 3.4).
bool needs_smtputf8(const Outgoing& outgoing, const Attempt& attempt) {
  if (!outgoing.smtputf8()) return false;
  if (outgoing.eight_bit() || !is_ascii(outgoing.reverse_path())) return true;
  for (std::size_t slot = 0; slot < attempt.results.size(); ++slot)
    if (!is_ascii(outgoing.recipient(attempt.recipient(slot)))) return true;
  return false;
}

Trouble incompatible(event::ReplyCode reply, event::Reason reason = event::Reason::incompatible) {
  return {.verdict = RecipientResult::Verdict::failed, .reason = reason, .reply = reply};
}

// RFC 5321 section 4.5.3.1.10: some servers still say 552 where 452 is meant.
bool says_too_many(std::uint16_t code) { return code == 452 || code == 552; }

}  // namespace

// What this hop cannot take is not offered to it (RFC 1870 section 5, RFC 6152 section 3, RFC 6531 section 3.5).
Outcome Connection::fits(const Outgoing& outgoing, const queue::Message& message, const Attempt& attempt) const {
  if (capabilities_.size_max != 0 && outgoing.size() > capabilities_.size_max)
    return std::unexpected(incompatible({552, 5, 3, 4}, event::Reason::too_large));
  if (outgoing.declared_eight_bit() && outgoing.eight_bit() && !capabilities_.eight_bit_mime)
    return std::unexpected(incompatible({554, 5, 6, 3}));
  if (needs_smtputf8(outgoing, attempt) && !capabilities_.smtputf8)
    return std::unexpected(incompatible({553, 5, 6, 7}));
  // RFC 2852 section 4.1: who would not give it back in time does not get it.
  if (message.terms.when_late == spool::WhenLate::give_back) {
    if (!keeps_time()) return std::unexpected(incompatible({554, 5, 4, 7}));
    const std::uint64_t least = protocol_ == Protocol::lmtp ? 1 : std::max<std::uint64_t>(capabilities_.deliver_by_min_s, 1);
    if (time_left(message).count() < 0 || static_cast<std::uint64_t>(time_left(message).count()) < least)
      return std::unexpected(incompatible({554, 5, 4, 7}, event::Reason::deliver_by_expired));
  }
  return {};
}

std::chrono::seconds Connection::time_left(const queue::Message& message) const {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::seconds(message.terms.by_s) - (ring_.now() - message.born));
}

// Behind LMTP there is nobody but the mailbox.
bool Connection::keeps_time() const { return capabilities_.deliver_by || protocol_ == Protocol::lmtp; }

// They are carried on with the time that is left.
void Connection::write_terms(const queue::Message& message) {
  terms_.clear();
  const spool::Terms& terms = message.terms;
  if (!terms.any()) return;
  if (terms.when_late != spool::WhenLate::nothing && capabilities_.deliver_by) {
    const std::int64_t left = std::max<std::int64_t>(time_left(message).count(), -spool::kBySecondsMax);
    terms_ += " BY=" + smtp::deliver_by_text({static_cast<std::int32_t>(left), terms.when_late == spool::WhenLate::give_back, terms.trace});
  }
  if (terms.priority != 0 && capabilities_.priority) terms_ += " MT-PRIORITY=" + std::to_string(terms.priority);
}

runtime::Task<Next> Connection::deliver(Outgoing& outgoing, const queue::Message& message, Attempt& attempt) {
  const bool reused = messages_ > 0;
  heard_ = chunking_failed_ = false;
  attempt.host = host();
  attempt.tls = tls_result_;
  transaction_deadline_ = ring_.now() + settings_->deliver.timeout.transaction;
  write_terms(message);
  auto fitting = fits(outgoing, message, attempt);
  if (!fitting) {
    attempt.give_rest(message, fitting.error().as_result());
    co_return Next::done;
  }
  for (bool first = true; choose_recipients(message, attempt); first = false) {
    if (!first && !usable()) co_return Next::fresh_connection;
    auto done = co_await transaction(outgoing, attempt);
    if (chunking_failed_) co_return Next::fresh_connection;
    if (!done) {
      if (reused && !heard_) co_return Next::fresh_connection;
      attempt.give_rest(message, done.error().as_result());
      co_return Next::done;
    }
    bool progress = std::any_of(wanted_.begin(), wanted_.end(), [&](std::size_t slot) { return attempt.settled(slot); });
    if (progress) continue;
    attempt.give_rest(message, {RecipientResult::Verdict::deferred, event::Reason::next_hop_deferred, {452, 4, 5, 3}, {}});
  }
  co_return Next::done;
}

// False when nobody is left to send to.
bool Connection::choose_recipients(const queue::Message& message, const Attempt& attempt) {
  const std::size_t at_once = capabilities_.rcpt_max != 0 ? capabilities_.rcpt_max : attempt.results.size();
  wanted_.clear();
  for (std::size_t slot = 0; slot < attempt.results.size() && wanted_.size() < at_once; ++slot)
    if (message.recipients[attempt.recipient(slot)].state == queue::State::waiting && !attempt.settled(slot)) wanted_.push_back(slot);
  return !wanted_.empty();
}

Connection::Way Connection::way_for(const Outgoing& outgoing) const {
  // Over LMTP nobody says how many answers a BDAT without recipients gets.
  if (!capabilities_.chunking || hop_.chunking_broken || protocol_ == Protocol::lmtp) return Way::data;
  bool small = outgoing.size() <= kInlineBytesMax && wanted_.size() < kGroupCommandsMax;
  return capabilities_.pipelining && small ? Way::one_flight : Way::chunks;
}

// One transaction for `wanted_`. Recipients the hop had no room for stay unsettled. An error means that the connection is over.
runtime::Task<Outcome> Connection::transaction(Outgoing& outgoing, Attempt& attempt) {
  const Way way = way_for(outgoing);
  ++messages_;
  accepted_.clear();
  outgoing.rewind();
  auto announced = co_await offer_envelope(outgoing, way, attempt);
  if (!announced) co_return std::unexpected(announced.error());
  if (*announced && way == Way::one_flight) co_return co_await finish(way, attempt);
  if (!*announced && accepted_.empty()) {
    co_await reset();
    co_return Outcome{};
  }
  if (way == Way::data) co_return co_await send_data(outgoing, *announced, attempt);
  co_return co_await send_chunks(outgoing, attempt);
}

// MAIL and RCPT, with their answers. True when what follows them (DATA, or BDAT with all content) went out already.
runtime::Task<std::expected<bool, Trouble>> Connection::offer_envelope(Outgoing& outgoing, Way way, Attempt& attempt) {
  const auto& timeout = settings_->deliver.timeout;
  queue_mail(outgoing, attempt);
  if (capabilities_.pipelining) co_return co_await offer_in_groups(outgoing, way, attempt);
  auto sent = co_await flush(timeout.mail);
  if (!sent) co_return std::unexpected(sent.error());
  auto taken = co_await read_mail_answer(attempt);
  if (!taken) co_return std::unexpected(taken.error());
  if (!*taken) co_return false;
  for (std::size_t slot : wanted_) {
    queue_rcpt(outgoing, attempt.recipient(slot));
    sent = co_await flush(timeout.rcpt);
    if (!sent) co_return std::unexpected(sent.error());
    auto read = co_await read_rcpt_answer(slot, false, attempt);
    if (!read) co_return std::unexpected(read.error());
  }
  co_return false;
}

// RFC 2920 section 3.1: all of a group leaves before any of its answers is read.
runtime::Task<std::expected<bool, Trouble>> Connection::offer_in_groups(Outgoing& outgoing, Way way, Attempt& attempt) {
  bool mail_answered = false, mail_taken = true;
  for (std::size_t next = 0; next < wanted_.size();) {
    const std::size_t end = std::min(next + kGroupCommandsMax, wanted_.size());
    for (std::size_t i = next; i < end; ++i) queue_rcpt(outgoing, attempt.recipient(wanted_[i]));
    const bool last = end == wanted_.size();
    if (last && way == Way::data) queue_line({"DATA"});
    if (last && way == Way::one_flight) {
      auto queued = co_await queue_content(outgoing);
      if (!queued) co_return std::unexpected(queued.error());
    }
    auto sent = co_await flush(settings_->deliver.timeout.data_block);
    if (!sent) co_return std::unexpected(sent.error());
    if (!mail_answered) {
      auto taken = co_await read_mail_answer(attempt);
      if (!taken) co_return std::unexpected(taken.error());
      mail_answered = true;
      mail_taken = *taken;
    }
    for (; next < end; ++next) {
      auto read = co_await read_rcpt_answer(wanted_[next], !mail_taken, attempt);
      if (!read) co_return std::unexpected(read.error());
    }
    if (!mail_taken && !last) co_return false;
  }
  co_return way != Way::chunks;
}

runtime::Task<std::expected<bool, Trouble>> Connection::read_mail_answer(Attempt& attempt) {
  auto answer = co_await read_final(settings_->deliver.timeout.mail);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->positive()) co_return true;
  for (std::size_t slot : wanted_) fill(attempt.results[slot], *answer);
  co_return false;
}

runtime::Task<Outcome> Connection::read_rcpt_answer(std::size_t slot, bool mail_refused, Attempt& attempt) {
  auto answer = co_await read_final(settings_->deliver.timeout.rcpt);
  if (!answer) co_return std::unexpected(answer.error());
  if (mail_refused) co_return Outcome{};
  if (answer->positive()) {
    accepted_.push_back(slot);
  } else if (!says_too_many(answer->code) || accepted_.empty()) {
    RecipientResult& result = attempt.results[slot];
    fill(result, *answer);
    if (answer->code == 552) result.verdict = RecipientResult::Verdict::deferred;
  }
  // Else there is no room for more in this transaction; it is in the next one.
  co_return Outcome{};
}

void Connection::queue_mail(const Outgoing& outgoing, const Attempt& attempt) {
  const Decimal size{outgoing.size()};
  const bool body = capabilities_.eight_bit_mime && outgoing.eight_bit();
  const bool utf8 = capabilities_.smtputf8 && needs_smtputf8(outgoing, attempt);
  const std::string_view parameters = capabilities_.dsn ? smtp::notification_part(outgoing.parameters()) : std::string_view{};
  queue_line({"MAIL FROM:<", outgoing.reverse_path(), ">", capabilities_.size ? " SIZE=" : "",
              capabilities_.size ? size.text() : std::string_view{}, body ? " BODY=8BITMIME" : "", utf8 ? " SMTPUTF8" : "",
              security_.wish == smtp::TlsWish::required && capabilities_.require_tls ? " REQUIRETLS" : "", parameters.empty() ? "" : " ", parameters, terms_});
}

void Connection::queue_rcpt(const Outgoing& outgoing, std::size_t index) {
  const std::string_view parameters = capabilities_.dsn ? outgoing.recipient_parameters(index) : std::string_view{};
  if (parameters.empty()) return queue_line({"RCPT TO:<", outgoing.recipient(index), ">"});
  if (capabilities_.smtputf8 || is_ascii(parameters)) return queue_line({"RCPT TO:<", outgoing.recipient(index), "> ", parameters});
  queue_line({"RCPT TO:<", outgoing.recipient(index), "> ", smtp::ascii_parameters(parameters)});
}

}  // namespace ringpost::deliver
