// What domains publish by MTA-STS: the seam between delivery, and those who ask DNS and the web for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/runtime/task.hh"
#include "ringpost/transport/mta_sts.hh"
#include "ringpost/transport/tls_counts.hh"

namespace ringpost::deliver {

/// Why a policy that a domain's record announces cannot be had.
struct StsTrouble {
  transport::ResultType type = transport::ResultType::sts_policy_fetch_error;
  std::string reason;  ///< "redirect"
  friend bool operator==(const StsTrouble&, const StsTrouble&) = default;
};

/// What is known of one domain. Neither: it has no MTA-STS.
struct StsPolicy {
  std::shared_ptr<const transport::CachedPolicy> cached;  ///< it holds now
  std::optional<StsTrouble> trouble;                      ///< of the last fetch; what is cached holds all the same
  const transport::Policy* policy() const { return cached ? &cached->policy : nullptr; }
};

class PolicyFinder {
 public:
  virtual ~PolicyFinder() = default;
  /// Of a recipients' domain, in lower case. Asks DNS, and waits for the web when there is a policy and none of it is known.
  virtual runtime::Task<StsPolicy> sts_policy(std::string domain) = 0;
  /// The same without asking anybody.
  virtual StsPolicy known_policy(const std::string& domain) = 0;
};

/// Hears what connections to mail hosts came to, for those who want reports of it (RFC 8460).
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  virtual bool listens() const = 0;
  /// Once for each connection and each domain whose recipients it carried, or was to carry.
  virtual void on_session(transport::TlsSession session) = 0;
};

}  // namespace ringpost::deliver
