// Who may send mail to anywhere through this server.
#pragma once

#include <span>

#include "ringpost/base/socket_address.hh"

namespace ringpost::policy {

inline bool is_listed(const IpAddress& address, std::span<const Network> networks) {
  for (const Network& network : networks)
    if (network.contains(address)) return true;
  return false;
}

/// True when `client` stands in one of the networks the operator listed (`relay.clients`); nothing else makes a relay.
inline bool may_relay(const IpAddress& client, std::span<const Network> clients) {
  return is_listed(client, clients);
}

}  // namespace ringpost::policy
