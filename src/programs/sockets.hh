// The addresses that ringpostd takes mail on, opened while it may still be root.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "ringpost/config/settings.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::programs {

/// Whether all listeners' addresses are free. Shards share theirs (SO_REUSEPORT), and would share them with a second server of
/// the same user, too: each would get a part of the mail. A predecessor that is just ending is waited for. Errors: text for the
/// operator.
std::expected<void, std::string> check_addresses(runtime::UringRing& ring, const std::vector<config::Listener>& listeners);

/// One shard's socket for `listener`. Errors: text for the operator.
std::expected<Fd, std::string> listen_for_mail(runtime::UringRing& ring, const config::Listener& listener);

}  // namespace ringpost::programs
