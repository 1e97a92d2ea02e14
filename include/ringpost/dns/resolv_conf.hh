// The system's own list of resolvers.
#pragma once

#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"

namespace ringpost::dns {

/// The `nameserver` lines of an /etc/resolv.conf, in their order, at port 53; lines that make no sense are passed over, as
/// resolv.conf(5) has it. At most three, also as there. Without any: the one at 127.0.0.1.
std::vector<SocketAddress> nameservers(std::string_view resolv_conf);

}  // namespace ringpost::dns
