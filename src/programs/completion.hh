// What settings need from outside before they can be in force: names the machine knows, its
// resolvers and own addresses, and the recipients that files list.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "ringpost/config/settings.hh"

namespace ringpost::programs {

/// Where this machine takes mail, so that it never delivers to itself: the listeners' addresses, or all it has. At start: the sandbox
/// forbids to look.
std::vector<IpAddress> own_addresses(const std::vector<config::Listener>& listeners);

/// Fills in what only the machine knows. Reads files: never on a shard.
/// `resolvers`: those in force, kept where /etc/resolv.conf cannot be read any more: the sandbox knows the file that lay there at
/// start, not one that was put in its place.
/// Errors: text for the operator; `settings` must not come into force then.
std::expected<void, std::string> complete(config::Settings& settings, const std::vector<IpAddress>& own,
                                          const std::vector<SocketAddress>& resolvers = {});

}  // namespace ringpost::programs
