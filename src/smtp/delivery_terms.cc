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
