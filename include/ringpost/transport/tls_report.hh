// SMTP TLS Reporting (RFC 8460): where a domain wants its reports, and a day's report as JSON.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"

namespace ringpost::transport {

/// Places that one record may name; more are ignored.
inline constexpr std::size_t kReportTargetsMax = 8;

struct ReportTarget {
  enum class Kind : std::uint8_t { mailto, https };
  Kind kind;
  std::string text;  ///< mailto: the mailbox, percent-decoded; https: the whole URI
  friend bool operator==(const ReportTarget&, const ReportTarget&) = default;
};

/// The targets in the TXT records of _smtp._tls.DOMAIN, each with its strings joined. None: exactly one record must begin with
/// "v=TLSRPTv1;", be in the grammar, and name a target of a kind we know; otherwise nobody wants a report (section 3).
std::vector<ReportTarget> parse_tlsrpt_records(std::span<const std::string> records);

/// The host of an https target's URI.
std::string_view host_of(const ReportTarget& target);

/// The registered result types (section 4.3).
enum class ResultType : std::uint8_t {
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_expired,
  certificate_not_trusted,
  validation_failure,  ///< what fits none of the others
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
};
/// "certificate-expired".
std::string_view name_of(ResultType type);

enum class PolicyType : std::uint8_t { tlsa, sts, no_policy_found };
/// "no-policy-found".
std::string_view name_of(PolicyType type);

/// Failed sessions of one kind. Empty text and absent addresses are left out of the report.
struct FailureDetail {
  ResultType type = ResultType::validation_failure;
  std::optional<IpAddress> sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::optional<IpAddress> receiving_ip;
  std::uint64_t sessions = 0;
  std::string additional_information;
  std::string reason_code;
};

/// What came of one policy of the domain: its STS policy, or the TLSA records of one of its hosts, which are policies of their
/// own.
struct PolicyReport {
  PolicyType type = PolicyType::no_policy_found;
  std::vector<std::string> strings;   ///< the policy's lines, or the TLSA records in presentation form
  std::string domain;                 ///< of the recipient; with TLSA the host's (section 4.4)
  std::vector<std::string> mx_hosts;  ///< sts: the policy's patterns
  std::uint64_t successful_sessions = 0;
  std::uint64_t failed_sessions = 0;
  std::vector<FailureDetail> failures;
};

/// One day's report to one domain.
struct TlsReport {
  std::string organization;
  std::chrono::sys_days day;  ///< of UTC, from its first second to its last
  std::string contact;
  std::string id;
  std::vector<PolicyReport> policies;
};

/// RFC 8259, UTF-8; octets that are not UTF-8 become U+FFFD. "mx-host" is an array, as erratum 6241 has it.
std::string format_report(const TlsReport& report);

/// "SUBMITTER!DOMAIN!BEGIN!END.json.gz", in seconds since 1970 (section 5.1).
std::string report_file_name(std::string_view submitter, std::string_view domain, std::chrono::sys_days day);
/// "Report Domain: DOMAIN Submitter: SUBMITTER Report-ID: <ID>" (section 5.3).
std::string report_subject(std::string_view submitter, std::string_view domain, std::string_view id);

}  // namespace ringpost::transport
