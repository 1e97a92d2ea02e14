#include "ringpost/transport/tls_report.hh"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ringpost::transport {
namespace {

std::string targets_in(std::vector<std::string> records) {
  std::string text;
  for (const ReportTarget& target : parse_tlsrpt_records(records))
    text += (target.kind == ReportTarget::Kind::mailto ? "<" : "[") + target.text +
            (target.kind == ReportTarget::Kind::mailto ? ">" : "]");
  return text;
}

TEST(TlsrptRecord, its_targets_are_found_among_the_records) {  // RFC 8460 section 3.1
  EXPECT_EQ(targets_in({"v=TLSRPTv1;rua=mailto:reports@example.com"}), "<reports@example.com>");
  EXPECT_EQ(targets_in({"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}), "[https://reporting.example.com/v1/tlsrpt]");
  EXPECT_EQ(
      targets_in({"v=TLSRPTv1; rua=mailto:a@example.com , HTTPS://example.com:8443/x?y=1,mailto:b%2Bc@example.com?subject=x;"}),
      "<a@example.com>[HTTPS://example.com:8443/x?y=1]<b+c@example.com>");
  EXPECT_EQ(targets_in({"v=spf1 -all", "v=TLSRPTv1 ; new=1; rua=mailto:a@example.com", "v=TLSRPTv2; rua=mailto:b@example.com"}),
            "<a@example.com>");
  EXPECT_EQ(targets_in({"v=TLSRPTv1; rua=mailto:a@example.com,mailto:a@example.com; rua=mailto:b@example.com"}),
            "<a@example.com><b@example.com>");
}

TEST(TlsrptRecord, what_we_cannot_use_is_passed_over) {
  EXPECT_EQ(targets_in({"v=TLSRPTv1; rua=ftp://example.com/,mailto:a@example.com,http://example.com/,mailto:,x"}),
            "<a@example.com>");
  for (const char* bad :
       {"https://", "https:///x", "https://user@example.com/", "https://example.com:/", "https://example.com:x/",
        "https://a b.example/", "https://[::1]/", "https://exa_mple.com/", "mailto:a", "mailto:a@", "mailto:a%0d%0a@example.com",
        "mailto:a%4@example.com", "mailto:a%zz@example.com", "mailto:a@example.com%2Cb@example.com", "mailto:<a@example.com>",
        "mailto:a@example.com!10m", "mailto:\"a b\"@example.com"})
    EXPECT_EQ(targets_in({"v=TLSRPTv1; rua=" + std::string{bad}}), "") << bad;
}

TEST(TlsrptRecord, none_or_two_or_a_broken_one_want_no_report) {
  EXPECT_EQ(targets_in({}), "");
  EXPECT_EQ(targets_in({"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:a@example.com"}), "");
  for (const char* bad : {"v=TLSRPTv1", "v=TLSRPTv1;", "v=TLSRPTv1; x=1", "v=TLSRPTv1; rua=", "v=TLSRPTv1; rua",
                          "rua=mailto:a@example.com; v=TLSRPTv1", "v=TLSRPTv1; rua=mailto:a@example.com; ;",
                          "v=TLSRPTv1; ;rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:a@example.com; x=\x01"})
    EXPECT_EQ(targets_in({bad}), "") << bad;
}

TEST(TlsrptRecord, targets_are_bounded) {
  std::string record = "v=TLSRPTv1; rua=mailto:a0@example.com";
  for (int i = 1; i < 20; ++i) record += ",mailto:a" + std::to_string(i) + "@example.com";
  EXPECT_EQ(parse_tlsrpt_records(std::vector{record}).size(), kReportTargetsMax);
}

constexpr std::chrono::sys_days kDay{std::chrono::year{2026} / 11 / 28};

TEST(TlsReport, a_report_without_failures) {
  const TlsReport report{.organization = "Example \"Org\"",
                         .day = kDay,
                         .contact = "postmaster@example.com",
                         .id = "2026-11-28-1",
                         .policies = {{.type = PolicyType::no_policy_found, .domain = "example.org", .successful_sessions = 7}}};
  EXPECT_EQ(
      format_report(report),
      "{\"organization-name\":\"Example "
      "\\\"Org\\\"\",\"date-range\":{\"start-datetime\":\"2026-11-28T00:00:00Z\",\"end-datetime\":\"2026-11-28T23:59:59Z\"},"
      "\"contact-info\":\"postmaster@example.com\",\"report-id\":\"2026-11-28-1\",\"policies\":[{\"policy\":{\"policy-type\":"
      "\"no-policy-found\","
      "\"policy-domain\":\"example.org\"},\"summary\":{\"total-successful-session-count\":7,\"total-failure-session-count\":0}}]"
      "}");
}

TEST(TlsReport, all_that_is_known_of_a_failure_is_told) {
  const TlsReport report{.organization = "o",
                         .day = kDay,
                         .contact = "c",
                         .id = "i",
                         .policies = {{.type = PolicyType::tlsa,
                                       .strings = {"3 1 1 1F850A337E6DB9C609C522D136A475638CC43E1ED424F8EEC8513D747D1D085D"},
                                       .domain = "mx.example.org",
                                       .failed_sessions = 2,
                                       .failures = {{.type = ResultType::tlsa_invalid,
                                                     .sending_mta_ip = IpAddress::parse("192.0.2.1"),
                                                     .receiving_mx_hostname = "mx.example.org",
                                                     .receiving_mx_helo = "mx\xff",
                                                     .receiving_ip = IpAddress::parse("2001:db8::1"),
                                                     .sessions = 2,
                                                     .additional_information = "https://example.com/",
                                                     .reason_code = "X"}}},
                                      {.type = PolicyType::sts,
                                       .strings = {"version: STSv1", "mode: none"},
                                       .domain = "example.org",
                                       .mx_hosts = {"*.example.org", "mx.example.org"}}}};
  const auto json = nlohmann::json::parse(format_report(report));
  EXPECT_EQ(json["policies"][0]["failure-details"][0],
            nlohmann::json::parse(
                R"({"result-type":"tlsa-invalid","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx.example.org",
                "receiving-mx-helo":"mx\ufffd","receiving-ip":"2001:db8::1","failed-session-count":2,"additional-information":"https://example.com/",
                "failure-reason-code":"X"})"));
  EXPECT_EQ(json["policies"][0]["policy"]["policy-string"].size(), 1U);
  EXPECT_EQ(json["policies"][1]["policy"]["mx-host"], nlohmann::json::parse(R"(["*.example.org","mx.example.org"])"));
  EXPECT_FALSE(json["policies"][1].contains("failure-details"));
}

TEST(TlsReport, result_types_are_the_registered_ones) {  // RFC 8460 section 6.6
  std::string names;
  for (int type = 0; type <= static_cast<int>(ResultType::sts_webpki_invalid); ++type)
    names += std::string{name_of(static_cast<ResultType>(type))} + ' ';
  EXPECT_EQ(names,
            "starttls-not-supported certificate-host-mismatch certificate-expired certificate-not-trusted validation-failure "
            "tlsa-invalid "
            "dnssec-invalid dane-required sts-policy-fetch-error sts-policy-invalid sts-webpki-invalid ");
}

TEST(TlsReport, file_and_subject_name_both_sides) {
  EXPECT_EQ(report_file_name("mail.sender.example.com", "example.net", kDay),
            "mail.sender.example.com!example.net!1795824000!1795910399.json.gz");
  EXPECT_EQ(report_subject("mail.sender.example.com", "example.net", "x@mail.sender.example.com"),
            "Report Domain: example.net Submitter: mail.sender.example.com Report-ID: <x@mail.sender.example.com>");
}

}  // namespace
}  // namespace ringpost::transport
