// One recipient offered without a message, to hear whether it exists.
#include <algorithm>

#include "deliver/connection.hh"

namespace ringpost::deliver {

runtime::Task<std::optional<RecipientResult>> Connection::ask_about(std::string_view address, Instant latest) {
  const bool reused = messages_ > 0;
  ++messages_;
  heard_ = false;
  transaction_deadline_ = std::min(ring_.now() + settings_->deliver.timeout.transaction, latest);
  auto result = co_await question(address);
  if (result) co_return std::move(*result);
  if (reused && !heard_) co_return std::nullopt;
  co_return result.error().as_result();
}

// MAIL, RCPT and RSET: in one group where the hop allows that (RFC 2920 section 3.1).
runtime::Task<std::expected<RecipientResult, Trouble>> Connection::question(std::string_view address) {
  const auto& timeout = settings_->deliver.timeout;
  const bool ascii = std::ranges::none_of(address, [](char c) { return static_cast<unsigned char>(c) > 127; });
  if (!ascii && !capabilities_.smtputf8)
    co_return RecipientResult{RecipientResult::Verdict::failed, event::Reason::incompatible, {553, 5, 6, 7}, {}};
  const bool together = capabilities_.pipelining;
  queue_line({"MAIL FROM:<>", ascii ? "" : " SMTPUTF8"});
  if (together) {
    queue_line({"RCPT TO:<", address, ">"});
    queue_line({"RSET"});
  }
  auto sent = co_await flush(timeout.mail);
  if (!sent) co_return std::unexpected(sent.error());
  RecipientResult result;
  auto answer = co_await read_final(timeout.mail);
  if (!answer) co_return std::unexpected(answer.error());
  const bool sender_taken = answer->positive();
  // What it has against nobody as a sender says nothing about the recipient.
  if (!sender_taken) {
    fill(result, *answer);
    result.verdict = RecipientResult::Verdict::deferred;
  }
  if (sender_taken && !together) {
    queue_line({"RCPT TO:<", address, ">"});
    sent = co_await flush(timeout.rcpt);
    if (!sent) co_return std::unexpected(sent.error());
  }
  if (sender_taken || together) {
    answer = co_await read_final(timeout.rcpt);
    if (!answer) co_return std::unexpected(answer.error());
  }
  if (sender_taken) {
    fill(result, *answer);
    // RFC 5321 section 4.5.3.1.10: some servers say 552 where they have no room now.
    if (answer->code == 552) result.verdict = RecipientResult::Verdict::deferred;
  }
  if (!together) {
    co_await reset();
    co_return result;
  }
  answer = co_await read_final(timeout.command);
  if (answer && !answer->positive()) usable_ = false;
  co_return result;
}

}  // namespace ringpost::deliver
