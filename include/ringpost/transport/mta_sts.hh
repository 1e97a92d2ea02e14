// MTA-STS (RFC 8461): what a domain says about TLS to its mail hosts. Text to meaning and meaning to decision; who fetches is
// elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringpost::transport {

/// Bytes of a policy's document at most; RFC 8461 section 3.2 suggests this bound.
inline constexpr std::size_t kPolicyBytesMax = 64 * 1024;
/// A year and a bit; section 3.2 allows no more.
inline constexpr std::uint32_t kMaxAgeMax_s = 31'557'600;

enum class RecordFault : std::uint8_t {
  none_there,  ///< no record begins with "v=STSv1;": the domain has no MTA-STS
  several,     ///< more than one does: as none (section 3.1)
  syntax,      ///< one does, and is not in the grammar: as none
};

/// The id in the TXT records of _mta-sts.DOMAIN, each with its strings joined: 1 to 32 letters and digits.
std::expected<std::string, RecordFault> parse_sts_records(std::span<const std::string> records);

enum class Mode : std::uint8_t {
  none,     ///< as if there were no policy; one that was enforced is taken back by it
  testing,  ///< failures are reported, and mail is delivered all the same
  enforce,  ///< no mail but over TLS with a valid certificate, to a host that the policy names
};
/// "enforce", as policies and reports have it.
std::string_view name_of(Mode mode);

struct Policy {
  Mode mode = Mode::none;
  std::uint32_t max_age_s = 0;     ///< how long it may be believed, from its fetching
  std::vector<std::string> mx;     ///< host names, or "*." and a domain; lower case. One or more unless mode is none
  std::vector<std::string> lines;  ///< the document's, as a report quotes them; without empty ones
  friend bool operator==(const Policy&, const Policy&) = default;
};

enum class PolicyFault : std::uint8_t {
  status,        ///< the server said anything but 200: redirects are not followed (section 3.3)
  content_type,  ///< not text/plain
  too_large,     ///< more than kPolicyBytesMax
  syntax,        ///< a line that is no field, or a control character
  version,       ///< missing, or not STSv1
  mode,          ///< missing or unknown
  max_age,       ///< missing, no number, or more than kMaxAgeMax_s
  mx,            ///< missing although mode is not none, or one that is no host name
};
/// "content_type", for logs and for failure-reason-code in reports.
std::string_view name_of(PolicyFault fault);

/// A document, of at most kPolicyBytesMax. Lines end in LF or CRLF. Of fields but mx only the first counts; unknown ones do not.
std::expected<Policy, PolicyFault> parse_policy(std::string_view text);
/// The same of an HTTP response: its final status, without redirects followed, and its Content-Type field's value.
std::expected<Policy, PolicyFault> parse_policy_response(int status, std::string_view content_type, std::string_view body);

/// `host`, a name of an MX record with or without its final dot, is one the policy allows. A wildcard stands for exactly one
/// label (section 4.1). Whether the mode cares is the caller's to ask.
bool matches(const Policy& policy, std::string_view host);

/// A policy with what is needed to use it later.
struct CachedPolicy {
  Policy policy;
  std::string id;  ///< of the record under which it was fetched
  std::chrono::sys_seconds fetched;

  /// `now` before `fetched` (a clock set back) is as at `fetched`.
  bool is_valid(std::chrono::sys_seconds now) const { return now < fetched + std::chrono::seconds{policy.max_age_s}; }
};

/// What to do before mail goes to a domain (sections 3.3, 5.1).
struct Lookup {
  bool use_cached = false;  ///< the cached policy holds, for as long as no fetch has replaced it
  bool fetch = false;       ///< its document must be fetched; when that fails and use_cached is false, there is no policy
};

/// `cached`: null if there is none. `record`: the id in DNS now; no value if there is none or DNS did not answer. A valid cached
/// policy holds whatever DNS and the web say now (an attacker can block both, not replace a document): only a document fetched
/// takes its place, which is due when the id has changed or half of the cached one's time is over.
Lookup look_up(const CachedPolicy* cached, const std::optional<std::string>& record, std::chrono::sys_seconds now);

}  // namespace ringpost::transport
