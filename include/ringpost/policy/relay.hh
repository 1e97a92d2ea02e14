// Who may send mail to anywhere through this server.
#pragma once

#include <span>
#include <string>

#include "ringpost/base/socket_address.hh"

namespace ringpost::policy {

inline bool is_listed(const IpAddress& address, std::span<const Network> networks) {
  for (const Network& network : networks)
    if (network.contains(address)) return true;
  return false;
}

/// True when a host of these names (of its verified certificate) is one the operator listed (`relay.client_certificates`, sorted).
bool may_relay(std::span<const std::string> certified_names, std::span<const std::string> listed);

/// True when `client` stands in one of the networks the operator listed (`relay.clients`).
inline bool may_relay(const IpAddress& client, std::span<const Network> clients) {
  return is_listed(client, clients);
}

}  // namespace ringpost::policy
