// Keys that name domains, and which entry a domain belongs to.
#include <fstream>
#include <sstream>

#include "helpers.hh"
#include "ringpost/config/domains.hh"

namespace ringpost::config {
namespace {

std::string found(const std::vector<std::string>& entries, std::string_view domain) {
  auto entry = most_specific(entries, LowerDomain{domain}.text());
  return entry ? *entry : "";
}

TEST(Domains, the_longest_match_counts_and_a_star_stands_for_what_is_below) {
  const std::vector<std::string> entries{"*.b.example", "*.example", "a.b.example", "corp.", "example"};
  EXPECT_EQ(found(entries, "a.b.example"), "a.b.example");
  EXPECT_EQ(found(entries, "A.B.Example"), "a.b.example");
  EXPECT_EQ(found(entries, "x.y.b.example"), "*.b.example");
  EXPECT_EQ(found(entries, "b.example"), "*.example");
  EXPECT_EQ(found(entries, "example"), "example");
  EXPECT_EQ(found(entries, "corp"), "corp.");
  for (std::string_view other : {"xexample", "example.com", "", "a.corp", "[192.0.2.1]"}) EXPECT_EQ(found(entries, other), "") << other;
  EXPECT_EQ(found(entries, std::string(300, 'a') + ".example"), "");
  EXPECT_EQ(found({}, "example"), "");
}

TEST(DomainKeys, are_read_listed_and_changed_like_others) {
  Configuration configuration = accepted("route.b.example = reject gone\nroute.*.example = smtp://192.0.2.7\nroute.corp. = hold\n"
                                         "recipients.b.example = file:/etc/b\nrelay.domains = b.example\n");
  const Settings& settings = configuration.settings();
  ASSERT_EQ(settings.route.domains.size(), 3u);
  EXPECT_EQ(settings.route.domains[0].domain, "*.example");
  EXPECT_EQ(settings.route.domains[0].route.port, 25);
  EXPECT_EQ(settings.recipients.at(0).value.path, "/etc/b");
  EXPECT_EQ(configuration.get("route.b.example")->value, "reject gone");
  EXPECT_EQ(configuration.get("route.c.example").error().text(), "route.c.example: there is no route c.example");
  const std::string dump = configuration.dump();
  EXPECT_TRUE(Configuration::changes(configuration, accepted(dump)).empty());
  EXPECT_NE(dump.find("\nroute.*.example = smtp://192.0.2.7:25  # no default, from ringpost.conf:2\n"), std::string::npos) << dump;
  Configuration more = *configuration.with("route.c.example = hold");
  EXPECT_EQ(Configuration::changes(configuration, more).size(), 1u);
  EXPECT_EQ(more.without("route.c.example")->settings().route.domains.size(), 3u);
}

TEST(DomainKeys, a_slip_is_no_domain) {
  EXPECT_EQ(problems_of("route.defualt = hold\n"), "ringpost.conf:1: route.defualt: unknown key; nearest valid key: route.default\n");
  EXPECT_EQ(problems_of("route.Example.ORG = hold\n"),
            "ringpost.conf:1: route.Example.ORG: unknown key; nearest valid key: route.example.org\n");
  EXPECT_EQ(problems_of("route.a..b = hold\n"), "ringpost.conf:1: route.a..b: unknown key; nearest valid key: route.DOMAIN\n");
  EXPECT_EQ(problems_of("recipient.example.org = any\n"),
            "ringpost.conf:1: recipient.example.org: unknown key; nearest valid key: recipients.example.org\n");
}

TEST(DestinationKeys, the_shipped_limits_are_a_configuration) {
  std::ifstream file{RP_DOCS "/../conf/destinations.conf"};
  std::stringstream text;
  text << file.rdbuf();
  Configuration configuration = accepted(text.str());
  const auto& all = configuration.settings().destinations;
  ASSERT_GT(all.size(), 5u);
  auto limits = most_specific(all, "customer.mail.protection.outlook.com", &DestinationLimits::domain);
  ASSERT_NE(limits, nullptr);
  EXPECT_GT(limits->connections_max, 0u);
  EXPECT_EQ(configuration.get("destination.*.google.com.rate")->value, "none");
}

RecipientList list(std::string_view text, std::string_view domain = "example.org") {
  auto parsed = RecipientList::parse(text, domain);
  EXPECT_TRUE(parsed) << parsed.error().reason;
  return parsed ? std::move(*parsed) : RecipientList{};
}

TEST(RecipientFiles, hold_addresses_and_local_parts) {
  const RecipientList users = list("# staff\nJohn\r\n  mary@Example.ORG  # director\n\n\"o d d\"\njohn\nc#\nb\xc3\xbc\n");
  EXPECT_EQ(users.size(), 5u);
  for (std::string_view local : {"john", "JOHN", "\"john\"", "mary", "\"o d d\"", "\"o\\ d d\"", "c#", "b\xc3\xbc"})
    EXPECT_TRUE(users.contains(local, "example.ORG")) << local;
  for (std::string_view local : {"joh", "johnx", "", "\"\"", "ma", "o d", "\"mary@example.org\"", "b\xc3\x9c"})
    EXPECT_FALSE(users.contains(local, "example.org")) << local;
  EXPECT_TRUE(users.contains("john", "other.example")) << "a local part stands for that of every domain of the list";
  EXPECT_FALSE(users.contains("mary", "other.example"));
  EXPECT_EQ(list("").size(), 0u);
  EXPECT_FALSE(list("").contains("a", "example.org"));
}

TEST(RecipientFiles, an_address_of_another_domain_is_a_slip) {
  auto fault = [](std::string_view text, std::string_view domain) {
    auto parsed = RecipientList::parse(text, domain);
    return parsed ? std::string{"none"} : std::to_string(parsed.error().line) + ": " + parsed.error().reason;
  };
  EXPECT_EQ(fault("a\n\nb@example.com\n", "example.org"), "3: \"b@example.com\" is not of example.org");
  EXPECT_EQ(fault("b@x.example.org", "*.example.org"), "none");
  EXPECT_EQ(fault("b@example.org", "*.example.org").substr(0, 2), "1:");
  EXPECT_EQ(fault("a, b", "example.org").substr(0, 2), "1:");
  EXPECT_EQ(fault("a\x1b[2J", "example.org").substr(0, 2), "1:");
  EXPECT_EQ(fault("@example.org", "example.org").substr(0, 2), "1:");
  EXPECT_EQ(fault(std::string(65, 'a'), "example.org").substr(0, 2), "1:");
}

}  // namespace
}  // namespace ringpost::config
