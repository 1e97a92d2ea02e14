// What domains publish by MTA-STS: the seam between delivery, and those who ask DNS and the web for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/runtime/task.hh"
#include "ringpost/transport/mta_sts.hh"
#include "ringpost/transport/tls_report.hh"

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
};

}  // namespace ringpost::deliver
