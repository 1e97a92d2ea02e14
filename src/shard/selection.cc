#include "shard/selection.hh"

#include <algorithm>

namespace ringpost::shard {

namespace {

bool waits_for_route(const Seen& seen, const queue::Recipient& recipient) {
  return !seen.in_delivery() && !seen.message.awaits_release(seen.now) && (seen.route_holds || recipient.reason == event::Reason::route_holds);
}

bool destination_fits(std::string_view pattern, const Seen& seen, const queue::Recipient& recipient) {
  if (recipient.host.port != 0) {
    const std::string ip = recipient.host.ip.text();
    if (pattern == ip || pattern == SocketAddress{recipient.host.ip, recipient.host.port}.text()) return true;
  }
  if (!seen.site) return false;
  if (std::ranges::any_of(seen.site->hosts, [&](const std::string& name) { return control::domain_fits(pattern, name); })) return true;
  return std::ranges::any_of(seen.site->addresses, [&](const SocketAddress& address) {
    const std::string text = address.text();
    return pattern == text || text.starts_with(std::string{pattern} + ":");
  });
}

bool message_fits(const control::QueueFilter& filter, const Seen& seen) {
  const Duration age = seen.now - seen.message.born;
  if (filter.id && *filter.id != seen.message.id) return false;
  if (filter.older && age < *filter.older) return false;
  if (filter.younger && age >= *filter.younger) return false;
  return !filter.sender || !seen.addresses || control::address_fits(*filter.sender, seen.addresses->sender);
}

bool recipient_fits(const control::QueueFilter& filter, const Seen& seen, std::size_t index) {
  if (filter.state && *filter.state != state_of(seen, index)) return false;
  if (filter.reason && *filter.reason != reason_of(seen, index)) return false;
  if (filter.destination && !destination_fits(*filter.destination, seen, seen.message.recipients[index])) return false;
  if (!seen.addresses) return true;
  const std::string& address = seen.addresses->recipients[index];
  if (filter.recipient && !control::address_fits(*filter.recipient, address)) return false;
  return !filter.domain || control::domain_fits(*filter.domain, address.substr(address.rfind('@') + 1));
}

}  // namespace

Addresses addresses_in(const spool::Envelope& envelope) {
  Addresses addresses{.sender = std::string{envelope.reverse_path}, .recipients = {}};
  for (const spool::Envelope::Recipient& recipient : envelope.recipients) addresses.recipients.emplace_back(recipient.address);
  return addresses;
}

std::string_view state_of(const Seen& seen, std::size_t index) {
  const queue::Recipient& recipient = seen.message.recipients[index];
  switch (recipient.state) {
    case queue::State::delivered: return "delivered";
    case queue::State::failed: return recipient.reply.code / 100 == 2 ? "delivered" : "failed";
    case queue::State::told: return "failed";
    case queue::State::waiting: break;
  }
  if (seen.message.held) return "held";
  if (seen.in_delivery()) return "delivering";
  if (waits_for_route(seen, recipient)) return "held";
  return recipient.attempts > 0 ? "deferred" : "queued";
}

std::string_view reason_of(const Seen& seen, std::size_t index) {
  const queue::Recipient& recipient = seen.message.recipients[index];
  if (recipient.state == queue::State::delivered || recipient.reply.code / 100 == 2) return {};
  if (recipient.state != queue::State::waiting) return event::name_of(recipient.reason);
  if (seen.message.held) return recipient.is_set_aside() ? event::name_of(recipient.reason) : "operator_holds";
  if (waits_for_route(seen, recipient)) return event::name_of(event::Reason::route_holds);
  const bool is_released = recipient.reason == event::Reason::future_release && !seen.message.awaits_release(seen.now);
  if (recipient.reason != event::Reason::none && !is_released) return event::name_of(recipient.reason);
  return seen.in_delivery() ? "in_delivery" : "not_tried_yet";
}

std::vector<std::uint32_t> select(const control::QueueFilter& filter, const Seen& seen) {
  std::vector<std::uint32_t> selected;
  if (!message_fits(filter, seen)) return selected;
  for (std::size_t i = 0; i < seen.message.recipients.size(); ++i)
    if (recipient_fits(filter, seen, i)) selected.push_back(static_cast<std::uint32_t>(i));
  return selected;
}

}  // namespace ringpost::shard
