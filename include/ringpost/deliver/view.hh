// What operators may see of delivery: sites, and the way of an address.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/hosts.hh"
#include "ringpost/deliver/policies.hh"

namespace ringpost::deliver {

/// One set of hosts, as this shard knows it now.
struct SiteView {
  std::string name;                      ///< "smtp:192.0.2.1:25", "mx:a.example,b.example,"
  std::vector<std::string> hosts;        ///< names
  std::vector<SocketAddress> addresses;  ///< in the order in which they are tried
  std::size_t waiting = 0;               ///< messages in its line; the rest of its mail is in the queue
  std::size_t connections = 0;           ///< open or being opened
  std::uint32_t window = 0;              ///< so many it may try at once, by what it bore so far
  std::uint32_t connections_max = 0;     ///< all shards together
  std::uint32_t permits = 0;             ///< of these, this shard's
  bool contended = false;                ///< other shards wait for permits
  config::Rate rate;
  std::uint32_t failures = 0;            ///< in a row, to reach any of its hosts
  Duration suspended_for{};              ///< left alone for that long; zero: it is not
  std::uint32_t delivered_last_second = 0;
};

/// Where mail for one address goes.
struct WayView {
  const config::Route* route = nullptr;  ///< of the settings in force
  std::string domain;                    ///< that DNS is asked for; empty: it is not
  std::expected<Hosts, NoHosts> hosts = Hosts{};
  std::string site_name;                 ///< as SiteView::name; empty: there is no host to go to
  std::vector<SocketAddress> addresses;  ///< of that site
  bool lmtp = false;
  config::TlsPolicy tls = config::TlsPolicy::automatic;
  std::string tls_name;                  ///< who its hosts are to be; empty: it does not matter
  std::shared_ptr<const Proofs> proofs;  ///< of its hosts
  StsPolicy sts;                         ///< of `domain`
  std::string shows;                     ///< the entry of `destination` whose login and certificate are shown to them; empty: nobody's
  std::optional<SiteView> site;          ///< when mail went there lately
};

}  // namespace ringpost::deliver
