// Whatever DNS and the web say about a domain: any bytes get a verdict, and what is taken keeps to the bounds.
#include <string>

#include "ringpost/base/assert.hh"
#include "ringpost/transport/mta_sts.hh"
#include "ringpost/transport/tls_report.hh"

using namespace ringpost;
using namespace ringpost::transport;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  for (const std::string& record : {text, "v=STSv1; id=" + text, "v=TLSRPTv1; rua=" + text}) {
    const std::vector<std::string> records{record};
    if (const auto id = parse_sts_records(records)) RP_ASSERT(!id->empty() && id->size() <= 32);
    const std::vector<ReportTarget> targets = parse_tlsrpt_records(records);
    RP_ASSERT(targets.size() <= kReportTargetsMax);
    for (const ReportTarget& target : targets)
      for (char c : target.text) RP_ASSERT(c > 0x1f && c < 0x7f);
  }
  for (const std::string& document : {text, "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.example\n" + text}) {
    const auto policy = parse_policy(document);
    if (!policy) {
      RP_ASSERT(!name_of(policy.error()).empty());
      continue;
    }
    RP_ASSERT(policy->max_age_s <= kMaxAgeMax_s && (policy->mode == Mode::none || !policy->mx.empty()));
    matches(*policy, text);
    for (const std::string& pattern : policy->mx)
      RP_ASSERT(pattern.starts_with("*.") ? matches(*policy, "x" + pattern.substr(1)) : matches(*policy, pattern));
    // The lines that a report quotes are the same policy.
    std::string again;
    for (const std::string& line : policy->lines) again += line + '\n';
    if (again.size() <= kPolicyBytesMax) RP_ASSERT(parse_policy(again) == policy);
  }
  return 0;
}
