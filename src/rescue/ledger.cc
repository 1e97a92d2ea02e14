#include "ledger.hh"

#include <algorithm>

namespace ringpost::rescue {

bool Known::is_over() const {
  return std::ranges::all_of(
      recipients, [](const spool::RecipientStatus& recipient) { return spool::is_over(recipient.state); });
}

const Known* Ledger::find(const MessageId& id) const {
  const auto found = messages_.find(id);
  return found == messages_.end() ? nullptr : &found->second;
}

void Ledger::add(const index::Entry& entry) {
  Known& known = messages_[entry.id];
  known.place = known.last = entry.place;
  known.arrived = entry.arrived;
  known.due = entry.due;
  known.size = entry.size;
  known.revision = entry.revision;
  known.mail_class = entry.mail_class;
  known.held = entry.held;
  known.destination = entry.destination;
  known.recipients = entry.recipients;
  known.copies = {entry.place};
}

void Ledger::add_message(const MessageId& id, const spool::Position& place, const spool::Scheduling& scheduling) {
  auto [found, fresh] = messages_.try_emplace(id);
  Known& known = found->second;
  if (std::ranges::find(known.copies, place) == known.copies.end()) known.copies.push_back(place);
  known.place = place;
  known.last = std::max(known.last, place);
  if (!fresh && scheduling.revision < known.revision) return;
  known.skipped = false;  // a copy includes every outcome before it
  known.arrived = scheduling.arrived;
  known.due = scheduling.due;
  known.size = scheduling.size;
  known.revision = scheduling.revision;
  known.mail_class = scheduling.mail_class;
  known.held = scheduling.held;
  known.destination = scheduling.destination;
  known.recipients.assign(scheduling.recipients.begin(), scheduling.recipients.end());
}

bool Ledger::add_outcome(const MessageId& id, const spool::Position& place, const spool::Outcome& outcome, bool has_words) {
  const auto found = messages_.find(id);
  if (found == messages_.end()) return false;
  Known& known = found->second;
  if (has_words) known.outcomes.push_back(place);
  if (outcome.revision <= known.revision) return true;
  if (outcome.revision != known.revision + 1) known.skipped = true;
  known.last = std::max(known.last, place);
  known.revision = outcome.revision;
  known.due = outcome.due;
  known.held = outcome.held;
  for (const spool::Outcome::Recipient& recipient : outcome.recipients)
    if (recipient.index < known.recipients.size()) spool::take_over(known.recipients[recipient.index], recipient.status);
  return true;
}

}  // namespace ringpost::rescue
