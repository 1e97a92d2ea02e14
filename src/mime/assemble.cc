#include "assemble.hh"

namespace ringpost::mime {

Pieces collect_pieces(std::string_view value, std::string_view name) noexcept {
  Pieces result;
  std::array<bool, kSectionsMax> seen{};
  std::optional<Parameter> plain;
  std::size_t found = 0;
  std::optional<Parameter> whole;  // "name*=": extended, not continued
  ParameterScanner scanner(value);
  Parameter parameter;
  while (scanner.next(parameter)) {
    if (!equal_ignoring_case(parameter.name, name)) continue;
    if (parameter.section < 0) {
      auto& place = parameter.extended ? whole : plain;
      if (place) {
        result.duplicate = true;
      } else {
        place = parameter;
      }
      continue;
    }
    const auto section = static_cast<std::size_t>(parameter.section);
    if (section >= kSectionsMax) {
      result.incomplete = true;
    } else if (seen[section]) {
      result.duplicate = true;
    } else {
      seen[section] = true;
      result.pieces[section] = parameter;
      ++found;
    }
  }
  while (result.count < kSectionsMax && seen[result.count]) ++result.count;
  if (result.count < found) result.incomplete = true;
  if (result.count == 0) {
    if (whole) {
      result.pieces[0] = *whole;
      result.count = 1;
    } else {
      result.plain = plain;
    }
  }
  return result;
}

}  // namespace ringpost::mime
