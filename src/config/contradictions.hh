// What no single value shows to be wrong.
#pragma once

#include <functional>

#include "ringpost/config/configuration.hh"

namespace ringpost::config {

/// Where a key's value came from: empty for a default.
using OriginOf = std::function<const Origin*(std::string_view key)>;
/// Whether a key's value can be relied on (false: it already has a problem of its own).
using IsSound = std::function<bool(std::string_view key)>;

/// Appends one problem for each rule that `settings` break, at the place of the key that was given.
void find_contradictions(const Settings& settings, const OriginOf& origin_of, const IsSound& is_sound, Problems& problems);

}  // namespace ringpost::config
