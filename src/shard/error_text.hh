// An error in the words of a start that fails.
#pragma once

#include <string>

#include "ringpost/base/error.hh"

namespace ringpost::shard {

/// "busy (11)"
inline std::string text_of(Error error) { return std::string{error_name(error.code)} + " (" + std::to_string(error.detail) + ")"; }

}  // namespace ringpost::shard
