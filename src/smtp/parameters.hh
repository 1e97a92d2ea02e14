// Parameters of MAIL and RCPT as they are kept: keyword, `=` and value, with blanks between them.
#pragma once

#include <string>
#include <string_view>

#include "ascii.hh"

namespace ringpost::smtp {

/// `keyword` with its `=`.
inline void append_parameter(std::string_view keyword, std::string_view value, std::string& out) {
  if (!out.empty()) out.push_back(' ');
  out.append(keyword).append(value);
}

/// Calls `take` with keyword and value of each parameter.
template <typename Take>
void each_parameter(std::string_view kept, Take take) {
  while (!kept.empty()) {
    const std::string_view parameter = take_word(kept);
    const std::size_t equals = parameter.find('=');
    if (equals != std::string_view::npos) take(parameter.substr(0, equals), parameter.substr(equals + 1));
  }
}

}  // namespace ringpost::smtp
