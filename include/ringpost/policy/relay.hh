// Who may send mail to anywhere through this server.
#pragma once

#include <span>

#include "ringpost/base/socket_address.hh"

namespace ringpost::policy {

/// True when `client` stands in one of the networks the operator listed (`relay.clients`); nothing else makes a relay.
inline bool may_relay(const IpAddress& client, std::span<const Network> clients) {
  for (const Network& network : clients)
    if (network.contains(client)) return true;
  return false;
}

}  // namespace ringpost::policy
