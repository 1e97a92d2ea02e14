// Other people's worlds: records, documents and reports of $RINGPOST_CORPUS/mtasts-tlsrpt-dane.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ringpost/base/utc_time.hh"
#include "ringpost/transport/mta_sts.hh"
#include "ringpost/transport/tls_report.hh"

namespace ringpost::transport {
namespace {

/// A file of that part of the corpus; none when RINGPOST_CORPUS is unset (the caller skips). Set and absent is a failure.
std::optional<std::string> corpus_file(std::string_view name) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) return std::nullopt;
  std::ifstream file(std::filesystem::path(root) / "mtasts-tlsrpt-dane" / name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t from = text.find(before);
  if (from == text.npos) return {};
  const std::size_t start = from + before.size();
  return std::string{text.substr(start, text.find(after, start) - start)};
}

std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == 'n') {
      plain += '\n';
      ++at;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

struct World {
  std::map<std::string, std::vector<std::string>> records;              ///< by domain
  std::map<std::string, std::expected<Policy, PolicyFault>> documents;  ///< by domain

  World(std::string_view dns, std::string_view web) {
    for (std::size_t at = 0; (at = dns.find("\ntxt-record=_mta-sts.", at)) != dns.npos; ++at) {
      const std::string line = between(dns.substr(at), "_mta-sts.", "\n");
      records[line.substr(0, line.find(','))].push_back(between(line, "\"", "\""));
    }
    for (std::size_t at = 0; (at = web.find("server_name mta-sts.", at)) != web.npos; ++at) {
      const std::size_t end = std::min(web.find("server_name mta-sts.", at + 1), web.size());
      const std::string_view server = web.substr(at, end - at);
      std::string body = unescaped(between(server, "return 200 \"", "\""));
      int status = 200;
      if (server.contains("content_by_lua_block")) {
        for (std::size_t say = 0; (say = server.find("ngx.say(\"", say)) != server.npos; ++say)
          body += between(server.substr(say), "(\"", "\"") + '\n';
        for (int i = 0; i <= 2048; ++i) body += between(server, "ngx.print(\"", "\"");
      } else if (body.empty()) {
        status = std::stoi(between(server, "return ", " "));
        body = unescaped(between(server, " \"version", "\""));
      }
      const std::string_view type = server.contains("text/html txt;") ? "text/html" : "text/plain";
      documents.emplace(between(server, "mta-sts.", ";"), parse_policy_response(status, type, body));
    }
  }
  /// The policy of a domain, if all is well.
  const Policy* policy_of(const std::string& domain) const {
    const auto found = records.find(domain);
    const auto document = documents.find(domain);
    if (found == records.end() || !parse_sts_records(found->second) || document == documents.end() || !document->second)
      return nullptr;
    return &*document->second;
  }
};

TEST(Corpus, a_test_world_of_records_and_documents) {
  const auto dns = corpus_file("postfix-mta-sts-resolver/dnsmasq.conf.appendix"),
             web = corpus_file("postfix-mta-sts-resolver/nginx.conf");
  const auto wanted = corpus_file("postfix-mta-sts-resolver/refdata_nosni.tsv");
  if (!dns) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  const World world(*dns, *web);
  EXPECT_GE(world.records.size(), 15U);
  EXPECT_GE(world.documents.size(), 15U);
  for (const auto& [domain, document] : world.documents) {
    if (domain.starts_with("bad-policy")) EXPECT_FALSE(document) << domain;
    if (domain.ends_with("overlength.loc")) EXPECT_EQ(document.error(), PolicyFault::too_large) << domain;
  }
  // What its resolver answers for a domain: a policy that is enforced, or nothing. Brackets, ports and a leading dot are its own
  // syntax, and whether a certificate is good is not for us to say here.
  std::istringstream lines(*wanted);
  int checked = 0;
  for (std::string table, domain, answer; lines >> table >> domain && std::getline(lines, answer);) {
    if (domain.ends_with('.')) domain.pop_back();
    if (domain.find_first_of("[]:") != domain.npos || domain.starts_with('.') || domain.starts_with("bad-cert")) continue;
    const Policy* policy = world.policy_of(domain);
    const bool enforced = policy && policy->mode == Mode::enforce;
    EXPECT_EQ(enforced, answer.contains("OK secure")) << domain;
    if (enforced) EXPECT_TRUE(matches(*policy, between(answer + ' ', "match=", " "))) << domain;
    ++checked;
  }
  EXPECT_GE(checked, 9);
}

template <typename Enum, int kCount>
Enum named(std::string_view name) {
  for (int value = 0; value < kCount; ++value)
    if (name_of(static_cast<Enum>(value)) == name) return static_cast<Enum>(value);
  ADD_FAILURE() << name;
  return {};
}

/// The report as a value, and `json` in our spelling of it: addresses in their shortest form, "mx-host" an array.
TlsReport read_report(nlohmann::json& json) {
  const auto text = [](const nlohmann::json& object, const char* key) { return object.value(key, std::string{}); };
  const auto address = [](nlohmann::json& object, const char* key) -> std::optional<IpAddress> {
    if (!object.contains(key)) return std::nullopt;
    // Our parser refuses leading zeros; RFC 8460's own example has some.
    std::string spelling = object[key];
    for (std::size_t zero; (zero = spelling.find(":0")) != spelling.npos && spelling.contains("::");) spelling.erase(zero + 1, 1);
    const std::optional<IpAddress> parsed = IpAddress::parse(spelling);
    EXPECT_TRUE(parsed) << object[key];
    object[key] = parsed->text();
    return parsed;
  };
  TlsReport report{.organization = json["organization-name"], .contact = json["contact-info"], .id = json["report-id"]};
  report.day = std::chrono::floor<std::chrono::days>(*parse_utc(json["date-range"]["start-datetime"].get<std::string>()));
  for (auto& entry : json["policies"]) {
    auto& policy = entry["policy"];
    PolicyReport one{.type = named<PolicyType, 3>(policy["policy-type"].get<std::string>()),
                     .strings = policy["policy-string"],
                     .domain = policy["policy-domain"],
                     .successful_sessions = entry["summary"]["total-successful-session-count"],
                     .failed_sessions = entry["summary"]["total-failure-session-count"]};
    if (policy.contains("mx-host")) {
      if (policy["mx-host"].is_string()) policy["mx-host"] = nlohmann::json::array({policy["mx-host"]});
      one.mx_hosts = policy["mx-host"];
    }
    for (auto& failure : entry["failure-details"])
      one.failures.push_back({.type = named<ResultType, 11>(failure["result-type"].get<std::string>()),
                              .sending_mta_ip = address(failure, "sending-mta-ip"),
                              .receiving_mx_hostname = text(failure, "receiving-mx-hostname"),
                              .receiving_mx_helo = text(failure, "receiving-mx-helo"),
                              .receiving_ip = address(failure, "receiving-ip"),
                              .sessions = failure["failed-session-count"],
                              .additional_information = text(failure, "additional-information"),
                              .reason_code = text(failure, "failure-reason-code")});
    report.policies.push_back(std::move(one));
  }
  return report;
}

TEST(Corpus, reports_of_others_come_out_of_our_writer_as_they_are) {
  for (const char* name : {"parsedmarc/smtp_tls/rfc8460.json", "parsedmarc/smtp_tls/smtp_tls.json"}) {
    const auto file = corpus_file(name);
    if (!file) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
    nlohmann::json json = nlohmann::json::parse(*file);
    const TlsReport report = read_report(json);
    EXPECT_EQ(nlohmann::json::parse(format_report(report)), json) << name;
    // The policies they quote are policies.
    for (const PolicyReport& policy : report.policies) {
      std::string document;
      for (const std::string& line : policy.strings) document += line + '\n';
      EXPECT_TRUE(parse_policy(document)) << document;
    }
  }
}

}  // namespace
}  // namespace ringpost::transport
