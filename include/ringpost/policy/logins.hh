// Failed logins: who may try again when, and who is banned. Shared by all shards; authentication is no hot path, so a lock will do.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/policy/recent.hh"

namespace ringpost::policy {

struct LoginLimits {
  std::uint64_t failures_max = 0;  ///< within `window`, before a ban
  Duration window{};
  Duration ban{};
  Duration delay{};  ///< of the first refusal
  config::Rate rate;  ///< of checks that find a wrong password
  std::span<const Network> never_ban;
};

/// A ban that is in force.
struct LoginBan {
  std::string who;  ///< a network such as 192.0.2.0/24, or a login
  bool is_network = false;
  Instant until{};
};

/// Counts failed logins by network (IpAddress::prefix()) and by login, and bans whoever fails too often. A ban of a login does not
/// hold for the network from which it was last used rightly: nobody can lock somebody else out of their own place.
///
/// Bound:   kEntriesMax networks and as many logins; whoever was not heard of for the longest time is forgotten first.
/// Threads: any.
class LoginGuard {
 public:
  static constexpr std::size_t kEntriesMax = 16384;

  /// May `client` try to log in as `login` (empty: not known yet)?
  bool may_try(const IpAddress& client, std::string_view login, Instant now);
  /// A password is about to be checked, which costs a lot. False: so many were wrong lately that a stranger must come again later; not so
  /// for who used the login rightly from that network. Whoever succeeds is not counted.
  bool may_check(const IpAddress& client, std::string_view login, const LoginLimits& limits, Instant now);
  /// A login failed. Returns how long to wait before saying so: longer with each failure.
  Duration failed(const IpAddress& client, std::string_view login, const LoginLimits& limits, Instant now);
  void succeeded(const IpAddress& client, std::string_view login);
  /// Bans in force at `now`, in no order.
  std::vector<LoginBan> bans(Instant now) const;

 private:
  struct Entry {
    std::string who;
    std::uint64_t failures = 0;
    Instant since{};    // the first of them
    Instant banned_until{};
    IpAddress trusted;  // of a login: whence it was used rightly
    bool has_trusted = false;
  };
  static bool is_trusted(const Entry* entry, const IpAddress& client) {
    return entry && entry->has_trusted && entry->trusted == client.prefix();
  }
  static bool is_banned(const Entry* entry, Instant now) { return entry && now < entry->banned_until; }
  static std::uint64_t count(Entry& entry, const LoginLimits& limits, Instant now);

  mutable std::mutex mutex_;
  Recent<Entry> networks_{kEntriesMax}, logins_{kEntriesMax};
  double checks_ = 0;  // that strangers may still have
  Instant filled_{};
};

}  // namespace ringpost::policy
