// What connections to mail hosts came to, counted by day, domain and policy until it is reported (RFC 8460 section 4).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/transport/tls_report.hh"

namespace ringpost::transport {

/// One connection, as far as one recipients' domain is concerned.
struct TlsSession {
  std::string domain;                    ///< of the recipients, in lower case
  PolicyReport policy;                   ///< under which it was made; its counts are not looked at
  std::optional<FailureDetail> failure;  ///< nothing: it came up to the policy; its count is not looked at
};

/// One domain's day.
struct DomainDay {
  std::chrono::sys_days day;
  std::string domain;
  std::vector<PolicyReport> policies;
  std::chrono::sys_seconds due;            ///< the report goes out then, or is tried again; not set: zero
  std::vector<std::string> reported_to;    ///< targets that have it
  std::uint32_t attempts = 0;
  friend bool operator==(const DomainDay&, const DomainDay&) = default;
};

/// Threads: any; it locks inside.
/// Bounds:  kDomainsMax domains and days, of each kPoliciesMax policies with kDetailsMax kinds of failures; what does not fit is counted
///          in the sums there are, or not at all.
class TlsCounts {
 public:
  using Time = std::chrono::sys_seconds;
  static constexpr std::size_t kDomainsMax = 50'000, kPoliciesMax = 20, kDetailsMax = 50;

  /// Counts it for the day of `now`.
  void add(TlsSession session, Time now);
  /// Days that are over and due; up to `limit`. A day that is over gets its time: `delay(domain)` after its end.
  template <typename Delay>
  std::vector<DomainDay> due(Time now, std::size_t limit, Delay delay) {
    std::lock_guard lock{mutex_};
    std::vector<DomainDay> found;
    for (auto& [key, entry] : days_) {
      if (now < key.first + std::chrono::days{1} || found.size() >= limit) break;
      if (entry.due == Time{}) {
        entry.due = Time{key.first + std::chrono::days{1}} + delay(entry.domain);
        ++revision_;
      }
      if (entry.due <= now) found.push_back(entry);
    }
    return found;
  }
  /// It was tried: these targets have it now, and it is due again then. Nothing is kept of a day without a next time.
  void tried(const DomainDay& entry, std::optional<Time> again);

  std::size_t size() const;
  /// Grows with every change that encode() shows.
  std::uint64_t revision() const;
  /// Format: docs/formats/transport-memory.md.
  std::vector<std::byte> encode() const;
  /// Adds what encode() wrote, to counts of the same days too. False: it is malformed; what came before the fault was added.
  bool decode(Bytes encoded);

 private:
  using Key = std::pair<std::chrono::sys_days, std::string>;
  DomainDay* place(const Key& key);
  static PolicyReport* place(DomainDay& entry, const PolicyReport& policy);
  static FailureDetail* place(PolicyReport& policy, const FailureDetail& failure);

  mutable std::mutex mutex_;
  std::map<Key, DomainDay> days_;
  std::uint64_t revision_ = 0;
};

/// The report of one domain's day. `host_name`: whose report it is, in its id, which is the same each time.
TlsReport report_of(const DomainDay& day, const std::string& organization, const std::string& contact, const std::string& host_name);

/// RFC 1952, without name and time.
std::vector<std::byte> gzip(std::string_view text);

}  // namespace ringpost::transport
