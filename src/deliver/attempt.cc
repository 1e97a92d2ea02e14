#include "ringpost/deliver/outgoing.hh"

namespace ringpost::deliver {

void Attempt::begin(std::size_t all, std::span<const std::uint32_t> only) {
  recipients.assign(only.begin(), only.end());
  results.resize(only.empty() ? all : only.size());
  for (RecipientResult& result : results) {
    result.verdict = RecipientResult::Verdict::none;
    result.reason = event::Reason::none;
    result.reply = {};
    result.text.clear();
    result.reports = false;
  }
  host = {};
  tls.reset();
}

void Attempt::give_rest(const queue::Message& message, const RecipientResult& result) {
  for (std::size_t slot = 0; slot < results.size(); ++slot)
    if (message.recipients[recipient(slot)].state == queue::State::waiting && !settled(slot)) results[slot] = result;
}

}  // namespace ringpost::deliver
