// The fields of an event, once: their numbers in the encoding, and which kinds have them.
#pragma once

#include <cstdint>
#include <string_view>

#include "ringpost/event/event.hh"

namespace ringpost::event {

/// The bit of a field in the encoding's mask, and its place there. Part of the format: never renumbered.
enum class Field : std::uint8_t {
  partition,
  message,
  size,
  recipients,
  client,
  next_hop,
  reply,
  reason,
  sender,
  recipient,
  attempt,
  key,
  setting,
  user,
  source,
  first,
  count,
  report,
  successor,
  instance,
  before,
  after,
  login,
  tls,
  authentication
};

constexpr std::uint32_t bit(Field field) { return std::uint32_t{1} << static_cast<unsigned>(field); }

/// Calls `visit(Field, JSON name, optional)` for each field in the order of the encoding.
template <typename EventType, typename Visit>
void for_each_field(EventType&& event, Visit&& visit) {
  visit(Field::partition, "partition", event.partition);
  visit(Field::message, "message", event.message);
  visit(Field::size, "size", event.size);
  visit(Field::recipients, "recipients", event.recipients);
  visit(Field::client, "client", event.client);
  visit(Field::next_hop, "next_hop", event.next_hop);
  visit(Field::reply, "reply", event.reply);
  visit(Field::reason, "reason", event.reason);
  visit(Field::sender, "sender", event.sender);
  visit(Field::recipient, "recipient", event.recipient);
  visit(Field::attempt, "attempt", event.attempt);
  visit(Field::key, "key", event.key);
  visit(Field::setting, "setting", event.setting);
  visit(Field::user, "user", event.user);
  visit(Field::source, "source", event.source);
  visit(Field::first, "first", event.first);
  visit(Field::count, "count", event.count);
  visit(Field::report, "report", event.report);
  visit(Field::successor, "successor", event.successor);
  visit(Field::instance, "instance", event.instance);
  visit(Field::before, "before", event.before);
  visit(Field::after, "after", event.after);
  visit(Field::login, "login", event.login);
  visit(Field::tls, "tls", event.tls);
  visit(Field::authentication, "authentication", event.authentication);
}

/// What one kind is called, how much it matters, and what it carries.
struct Rule {
  Kind kind;
  std::string_view name;
  Class weight;
  std::uint32_t required;
  std::uint32_t allowed;  ///< beside the required ones
};
/// Null when there is no such kind.
const Rule* rule_of(Kind kind);

/// The first of the checks that an event fails.
enum class Verdict : std::uint8_t { valid, bad_kind, bad_fields, bad_value };
Verdict check(const Event& event);

}  // namespace ringpost::event
