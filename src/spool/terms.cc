#include "ringpost/spool/terms.hh"

#include "fields.hh"

namespace ringpost::spool {

std::array<std::byte, kTermsBytes> encode(const Terms& terms) {
  std::array<std::byte, kTermsBytes> encoded;
  FieldWriter out(encoded);
  out.number(static_cast<std::uint32_t>(terms.by_s));
  out.number(static_cast<std::uint8_t>(terms.when_late));
  out.number(std::uint8_t{terms.trace});
  out.number(static_cast<std::uint8_t>(terms.priority));
  out.number(std::uint8_t{0});
  return encoded;
}

Result<Terms> decode_terms(std::span<const std::byte, kTermsBytes> encoded) {
  FieldReader in(encoded);
  Terms terms;
  terms.by_s = static_cast<std::int32_t>(in.number<std::uint32_t>());
  const auto when_late = in.number<std::uint8_t>();
  const auto trace = in.number<std::uint8_t>();
  terms.priority = static_cast<std::int8_t>(in.number<std::uint8_t>());
  in.refuse_unless(in.number<std::uint8_t>() == 0 && terms.priority >= -kPriorityMax && terms.priority <= kPriorityMax);
  in.refuse_unless(when_late <= static_cast<std::uint8_t>(WhenLate::give_back) && trace <= 1);
  terms.when_late = static_cast<WhenLate>(when_late);
  terms.trace = trace != 0;
  in.refuse_unless(terms.by_s >= -kBySecondsMax && terms.by_s <= kBySecondsMax && terms.any());
  in.refuse_unless(terms.when_late != WhenLate::nothing || (terms.by_s == 0 && !terms.trace));
  if (!in.complete()) return std::unexpected(Error{Errc::corrupt});
  return terms;
}

}  // namespace ringpost::spool
