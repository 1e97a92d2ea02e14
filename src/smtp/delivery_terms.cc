#include "ringpost/smtp/delivery_terms.hh"

#include "ascii.hh"
#include "parameters.hh"
#include "ringpost/base/utc_time.hh"

namespace ringpost::smtp {

std::optional<FutureRelease> parse_hold_for(std::string_view value) {
  const auto number = parse_decimal(value);
  if (!number || value.front() == '0' || *number > kHoldSecondsMax) return std::nullopt;
  return FutureRelease{.hold_s = static_cast<std::uint32_t>(*number), .value = value};
}

std::optional<FutureRelease> parse_hold_until(std::string_view value) {
  const auto time = value.size() <= kHoldUntilBytesMax ? parse_date_time(value) : std::nullopt;
  return time ? std::optional{FutureRelease{.until = *time, .value = value}} : std::nullopt;
}

std::optional<DeliverBy> parse_deliver_by(std::string_view value) {
  DeliverBy deliver_by;
  const bool negative = value.starts_with('-');
  if (negative || value.starts_with('+')) value.remove_prefix(1);
  const std::size_t end = value.find(';');
  if (end == value.npos || end > 9) return std::nullopt;
  const auto number = parse_decimal(value.substr(0, end));
  if (!number) return std::nullopt;
  deliver_by.seconds = static_cast<std::int32_t>(*number) * (negative ? -1 : 1);
  value.remove_prefix(end + 1);
  deliver_by.trace = value.size() == 2 && to_upper(value[1]) == 'T';
  if (value.size() != (deliver_by.trace ? 2 : 1)) return std::nullopt;
  deliver_by.give_back = to_upper(value[0]) == 'R';
  if (!deliver_by.give_back && to_upper(value[0]) != 'N') return std::nullopt;
  // What would have to come back at once is not taken.
  if (deliver_by.give_back && deliver_by.seconds <= 0) return std::nullopt;
  return deliver_by;
}

std::string deliver_by_text(const DeliverBy& deliver_by) {
  return std::to_string(deliver_by.seconds) + (deliver_by.give_back ? ";R" : ";N") + (deliver_by.trace ? "T" : "");
}

std::optional<int> parse_priority(std::string_view value) {
  const bool negative = value.starts_with('-');
  if (negative) value.remove_prefix(1);
  if (value.size() != 1 || !is_digit(value[0]) || (negative && value[0] == '0')) return std::nullopt;
  return (value[0] - '0') * (negative ? -1 : 1);
}

void append_parameters(const DeliveryTerms& terms, std::string& out) {
  if (terms.release) append_parameter(terms.release->hold_s != 0 ? "HOLDFOR=" : "HOLDUNTIL=", terms.release->value, out);
}

DeliveryTerms read_delivery_terms(std::string_view kept) {
  DeliveryTerms terms;
  each_parameter(kept, [&](std::string_view keyword, std::string_view value) {
    if (equals_upper(keyword, "HOLDFOR")) terms.release = parse_hold_for(value);
    if (equals_upper(keyword, "HOLDUNTIL")) terms.release = parse_hold_until(value);
  });
  return terms;
}

}  // namespace ringpost::smtp
