// Domains of other scripts, as DNS has them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringpost::dns {

/// `domain` with its U-labels as A-labels (RFC 5891, UTF-8 in; ß and ς stay themselves); plain ASCII as it is. Nothing when it is
/// no domain IDNA knows.
std::optional<std::string> to_ascii(std::string_view domain);

}  // namespace ringpost::dns
