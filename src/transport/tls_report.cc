#include "ringpost/transport/tls_report.hh"

#include <nlohmann/json.hpp>

#include "ringpost/base/utc_time.hh"

namespace ringpost::transport {

namespace {

using nlohmann::ordered_json;

std::chrono::sys_seconds last_second(std::chrono::sys_days day) { return day + std::chrono::days{1} - std::chrono::seconds{1}; }

void add(ordered_json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}
void add(ordered_json& object, const char* key, const std::optional<IpAddress>& address) {
  if (address) object[key] = address->text();
}

ordered_json json_of(const FailureDetail& detail) {
  ordered_json object{{"result-type", name_of(detail.type)}};
  add(object, "sending-mta-ip", detail.sending_mta_ip);
  add(object, "receiving-mx-hostname", detail.receiving_mx_hostname);
  add(object, "receiving-mx-helo", detail.receiving_mx_helo);
  add(object, "receiving-ip", detail.receiving_ip);
  object["failed-session-count"] = detail.sessions;
  add(object, "additional-information", detail.additional_information);
  add(object, "failure-reason-code", detail.reason_code);
  return object;
}

ordered_json json_of(const PolicyReport& report) {
  ordered_json policy{{"policy-type", name_of(report.type)}};
  if (!report.strings.empty()) policy["policy-string"] = report.strings;
  policy["policy-domain"] = report.domain;
  if (!report.mx_hosts.empty()) policy["mx-host"] = report.mx_hosts;
  ordered_json object{{"policy", std::move(policy)},
                      {"summary",
                       {{"total-successful-session-count", report.successful_sessions},
                        {"total-failure-session-count", report.failed_sessions}}}};
  for (const FailureDetail& detail : report.failures) object["failure-details"].push_back(json_of(detail));
  return object;
}

}  // namespace

std::string_view name_of(ResultType type) {
  switch (type) {
    case ResultType::starttls_not_supported: return "starttls-not-supported";
    case ResultType::certificate_host_mismatch: return "certificate-host-mismatch";
    case ResultType::certificate_expired: return "certificate-expired";
    case ResultType::certificate_not_trusted: return "certificate-not-trusted";
    case ResultType::validation_failure: return "validation-failure";
    case ResultType::tlsa_invalid: return "tlsa-invalid";
    case ResultType::dnssec_invalid: return "dnssec-invalid";
    case ResultType::dane_required: return "dane-required";
    case ResultType::sts_policy_fetch_error: return "sts-policy-fetch-error";
    case ResultType::sts_policy_invalid: return "sts-policy-invalid";
    case ResultType::sts_webpki_invalid: return "sts-webpki-invalid";
  }
  RP_ASSERT(false);
}

std::string_view name_of(PolicyType type) {
  switch (type) {
    case PolicyType::tlsa: return "tlsa";
    case PolicyType::sts: return "sts";
    case PolicyType::no_policy_found: return "no-policy-found";
  }
  RP_ASSERT(false);
}

std::string format_report(const TlsReport& report) {
  ordered_json object{
      {"organization-name", report.organization},
      {"date-range", {{"start-datetime", format_utc(report.day)}, {"end-datetime", format_utc(last_second(report.day))}}},
      {"contact-info", report.contact},
      {"report-id", report.id},
      {"policies", ordered_json::array()}};
  for (const PolicyReport& policy : report.policies) object["policies"].push_back(json_of(policy));
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string report_file_name(std::string_view submitter, std::string_view domain, std::chrono::sys_days day) {
  const auto seconds = [](std::chrono::sys_seconds time) { return std::to_string(time.time_since_epoch().count()); };
  std::string name{submitter};
  name.append("!").append(domain).append("!").append(seconds(day)).append("!").append(seconds(last_second(day)));
  return name.append(".json.gz");
}

std::string report_subject(std::string_view submitter, std::string_view domain, std::string_view id) {
  std::string subject{"Report Domain: "};
  return subject.append(domain).append(" Submitter: ").append(submitter).append(" Report-ID: <").append(id).append(">");
}

}  // namespace ringpost::transport
