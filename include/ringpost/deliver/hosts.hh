// Where mail of a domain goes: the seam between delivery and DNS.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/deliver/outgoing.hh"
#include "ringpost/deliver/proof.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::deliver {

/// The hosts that take the mail of one destination.
struct Hosts {
  std::vector<std::string> names;        ///< lower case, in the order of preference
  std::vector<SocketAddress> addresses;  ///< never empty; to be tried in this order
  Instant expires = kNever;              ///< ask again from then on
  Proofs proofs;                         ///< of the hosts, where DNS was asked about them
};

/// Why there are none: deferred or failed, with the reason and what we say about it.
struct NoHosts {
  RecipientResult result;
  Instant expires{};  ///< asking again before has no point
};

class HostFinder {
 public:
  virtual ~HostFinder() = default;
  /// The mail hosts of `domain` (lower case): its MX, or itself. Port 25. Equal questions asked at once share one answer.
  virtual runtime::Task<std::expected<Hosts, NoHosts>> mail_hosts(std::string domain) = 0;
  /// The addresses of one host.
  virtual runtime::Task<std::expected<Hosts, NoHosts>> host(std::string name, std::uint16_t port) = 0;
};

}  // namespace ringpost::deliver
