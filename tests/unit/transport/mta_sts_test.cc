#include "ringpost/transport/mta_sts.hh"

#include <gtest/gtest.h>

namespace ringpost::transport {
namespace {

std::string id_in(std::vector<std::string> records) {
  const auto id = parse_sts_records(records);
  if (id) return *id;
  return id.error() == RecordFault::none_there ? "(none)" : id.error() == RecordFault::several ? "(several)" : "(syntax)";
}

TEST(StsRecord, its_id_is_found_among_the_records) {
  EXPECT_EQ(id_in({"v=STSv1; id=20160831085700Z;"}), "20160831085700Z");  // RFC 8461 section 3.1
  EXPECT_EQ(id_in({"v=STSv1;id=a"}), "a");
  EXPECT_EQ(id_in({"v=STSv1 ;\tid=a ; x.y-z_1=!$%;"}), "a");
  EXPECT_EQ(id_in({"v=STSv1; new=1; id=b; "}), "b");
  EXPECT_EQ(id_in({"v=spf1 -all", "v=STSv1; id=a", "v=STSv12; id=b", "v=STSv1 id=c", "V=STSv1; id=d", " v=STSv1; id=e"}), "a");
  EXPECT_EQ(id_in({"v=STSv1; id=12345678901234567890123456789012"}), "12345678901234567890123456789012");
}

TEST(StsRecord, none_or_two_or_a_broken_one_are_no_record) {
  EXPECT_EQ(id_in({}), "(none)");
  EXPECT_EQ(id_in({"id=a; v=STSv1;", "", "v=STSv1", "v=stsv1; id=a"}), "(none)");
  EXPECT_EQ(id_in({"v=STSv1; id=a", "v=STSv1; id=a"}), "(several)");
  EXPECT_EQ(id_in({"v=STSv1; id=a", "v=STSv1; nonsense"}), "(several)");
  for (const char* bad : {"v=STSv1;",
                          "v=STSv1; ",
                          "v=STSv1; ;",
                          "v=STSv1;; id=a",
                          "v=STSv1; id=a;;",
                          "v=STSv1; id",
                          "v=STSv1; id=",
                          "v=STSv1; id= a",
                          "v=STSv1; id =a",
                          "v=STSv1; x=1",
                          "v=STSv1; id=a b",
                          "v=STSv1; id=a-b",
                          "v=STSv1; id=a_b",
                          "v=STSv1; id=a=b",
                          "v=STSv1; id=123456789012345678901234567890123",
                          "v=STSv1; id=a; id=b",
                          "v=STSv1; id=a; -x=1",
                          "v=STSv1; id=a; x=",
                          "v=STSv1; id=a; x=\xc3\xa4",
                          "v=STSv1; id=a; x=\x01",
                          "v=STSv1; id=a\r\n"})
    EXPECT_EQ(id_in({bad}), "(syntax)") << bad;
  EXPECT_EQ(id_in({std::string("v=STSv1; id=a\0", 14)}), "(syntax)");
}

std::string fault_of(std::string_view text) {
  const auto policy = parse_policy(text);
  return policy ? "good" : std::string{name_of(policy.error())};
}

TEST(StsPolicy, the_standards_example) {  // RFC 8461 section 3.2
  const auto policy = parse_policy(
      "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\n"
      "max_age: 604800\r\n");
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->mode, Mode::enforce);
  EXPECT_EQ(policy->max_age_s, 604800U);
  EXPECT_EQ(policy->mx, (std::vector<std::string>{"mail.example.com", "*.example.net", "backupmx.example.com"}));
  EXPECT_EQ(policy->lines, (std::vector<std::string>{"version: STSv1", "mode: enforce", "mx: mail.example.com",
                                                     "mx: *.example.net", "mx: backupmx.example.com", "max_age: 604800"}));
}

TEST(StsPolicy, line_ends_order_blanks_and_unknown_fields_do_not_matter) {
  for (const char* text :
       {"max_age:86400\nmx:MAIL.example.com\nmode:testing\nversion:STSv1",
        "version: STSv1\nmode: testing \nmx: \t mail.example.com\t\nmax_age: 86400\n",
        "version: STSv1\r\n\r\nmode: testing\nmx: mail.example.com\nmax_age: 86400\r\n\n\n",
        "version: STSv1\nnew-field.2_x: \xc3\xa4 : anything\nmode: testing\nmx: mail.example.com\nmax_age: 86400\n"}) {
    const auto policy = parse_policy(text);
    ASSERT_TRUE(policy) << text;
    EXPECT_EQ(policy->mode, Mode::testing);
    EXPECT_EQ(policy->max_age_s, 86400U);
    EXPECT_EQ(policy->mx, std::vector<std::string>{"mail.example.com"});
  }
}

TEST(StsPolicy, of_repeated_fields_the_first_counts) {
  const auto policy = parse_policy("version: STSv1\nversion: STSv2\nmode: none\nmode: nonsense\nmax_age: 1\nmax_age: x\n");
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->mode, Mode::none);
  EXPECT_EQ(policy->max_age_s, 1U);
  EXPECT_EQ(fault_of("version: STSv2\nversion: STSv1\nmode: none\nmax_age: 1\n"), "version");
}

TEST(StsPolicy, every_fault_has_its_name) {
  EXPECT_EQ(fault_of(""), "version");
  EXPECT_EQ(fault_of("garbage"), "syntax");
  EXPECT_EQ(fault_of("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\nno field\n"), "syntax");
  EXPECT_EQ(fault_of("version: STSv1\n mode: enforce\nmx: a.example\nmax_age: 1\n"), "syntax");
  EXPECT_EQ(fault_of("version: STSv1\nmode : enforce\nmx: a.example\nmax_age: 1\n"), "syntax");
  EXPECT_EQ(fault_of("version: STSv1\rmode: none\rmax_age: 1\r"), "syntax");
  EXPECT_EQ(fault_of(std::string_view("version: STSv1\nmode: none\0\nmax_age: 1\n", 38)), "syntax");
  EXPECT_EQ(fault_of("Version: STSv1\nmode: none\nmax_age: 1\n"), "version");
  EXPECT_EQ(fault_of("version: STSv1.0\nmode: none\nmax_age: 1\n"), "version");
  EXPECT_EQ(fault_of("version: STSv1\nmax_age: 1\n"), "mode");
  EXPECT_EQ(fault_of("version: STSv1\nmode: Enforce\nmax_age: 1\n"), "mode");
  EXPECT_EQ(fault_of("version: STSv1\nmode: none\n"), "max_age");
  for (const char* bad : {"", "x", "-1", "+1", "1.5", "1 2", "31557601", "00000000001", "99999999999999999999"})
    EXPECT_EQ(fault_of("version: STSv1\nmode: none\nmax_age: " + std::string{bad} + "\n"), "max_age") << bad;
  for (const char* good : {"0", "31557600", "0000000001"})
    EXPECT_EQ(fault_of("version: STSv1\nmode: none\nmax_age: " + std::string{good} + "\n"), "good") << good;
  EXPECT_EQ(fault_of("version: STSv1\nmode: enforce\nmax_age: 1\n"), "mx");
  EXPECT_EQ(fault_of("version: STSv1\nmode: testing\nmax_age: 1\n"), "mx");
  for (const char* bad : {"", "*", "*.", "*a.example", "a.*.example", "*.*.example", "a_b.example", "a.example.", "192.0.2.1:25",
                          "a.example b.example", ".example", "m\xc3\xa4.example"})
    EXPECT_EQ(fault_of("version: STSv1\nmode: none\nmax_age: 1\nmx: " + std::string{bad} + "\n"), "mx") << bad;
}

TEST(StsPolicy, a_document_is_bounded) {  // attack T8: 64 KiB and more
  std::string text = "version: STSv1\nmode: none\nmax_age: 1\nx: ";
  text.append(kPolicyBytesMax - text.size(), 'a');
  EXPECT_EQ(fault_of(text), "good");
  EXPECT_EQ(fault_of(text + "a"), "too_large");
}

TEST(StsPolicy, only_a_plain_text_that_was_not_redirected_is_one) {  // attack T8: redirect, wrong content type
  const auto fault = [](int status, std::string_view type) {
    const auto policy = parse_policy_response(status, type, "version: STSv1\nmode: none\nmax_age: 1\n");
    return policy ? "good" : std::string{name_of(policy.error())};
  };
  for (const char* type : {"text/plain", "Text/Plain", "text/plain; charset=utf-8", " text/plain ;charset=us-ascii"})
    EXPECT_EQ(fault(200, type), "good") << type;
  for (const char* type : {"", "text/html", "text/plainx", "text", "application/octet-stream", "text/html; text/plain"})
    EXPECT_EQ(fault(200, type), "content_type") << type;
  for (int status : {0, 100, 201, 204, 206, 301, 302, 303, 304, 307, 308, 404, 500})
    EXPECT_EQ(fault(status, "text/plain"), "status") << status;
}

TEST(StsPolicy, a_wildcard_stands_for_exactly_one_label) {  // RFC 8461 section 4.1; attack T8: wildcard depth
  const Policy policy{.mode = Mode::enforce, .mx = {"mail.example.com", "*.example.net"}};
  for (const char* host : {"mail.example.com", "MAIL.Example.COM", "mail.example.com.", "a.example.net", "A.EXAMPLE.NET."})
    EXPECT_TRUE(matches(policy, host)) << host;
  for (const char* host : {"", ".", "example.com", "a.mail.example.com", "xmail.example.com", "mail.example.com..", "example.net",
                           ".example.net", "a.b.example.net", "aexample.net", "*.example.org", "a.example.net.evil.example"})
    EXPECT_FALSE(matches(policy, host)) << host;
  EXPECT_FALSE(matches(Policy{.mode = Mode::none}, "mail.example.com"));
}

std::chrono::sys_seconds second(std::int64_t since_1970) { return std::chrono::sys_seconds{std::chrono::seconds{since_1970}}; }

TEST(StsCache, what_is_valid_holds_whatever_is_said_now) {  // attack T8: blocked fetch, id unchanged
  const CachedPolicy cached{
      .policy = {.mode = Mode::enforce, .max_age_s = 1000, .mx = {"a.example"}}, .id = "one", .fetched = second(5000)};
  const auto told = [&](std::optional<std::string> record, std::int64_t now) {
    const Lookup lookup = look_up(&cached, record, second(now));
    return std::string{lookup.use_cached ? "cached" : ""} + (lookup.fetch ? " fetch" : "");
  };
  EXPECT_EQ(told("one", 5000), "cached");
  EXPECT_EQ(told("one", 5499), "cached");
  EXPECT_EQ(told("two", 5001), "cached fetch");   // and holds if the fetch fails
  EXPECT_EQ(told(std::nullopt, 5999), "cached");  // DNS blocked, or the record taken away
  EXPECT_EQ(told("one", 5500), "cached fetch");   // before it runs out
  EXPECT_EQ(told("one", 4000), "cached");         // the clock was set back
  EXPECT_EQ(told("one", 6000), " fetch");
  EXPECT_EQ(told(std::nullopt, 6000), "");
  const Lookup first = look_up(nullptr, "one", second(1));
  EXPECT_TRUE(!first.use_cached && first.fetch);
  const Lookup nothing = look_up(nullptr, std::nullopt, second(1));
  EXPECT_TRUE(!nothing.use_cached && !nothing.fetch);
}

TEST(StsCache, the_longest_policy_ends) {  // attack T8: max_age huge
  const CachedPolicy cached{
      .policy = {.mode = Mode::enforce, .max_age_s = kMaxAgeMax_s, .mx = {"a.example"}}, .id = "one", .fetched = second(0)};
  EXPECT_TRUE(cached.is_valid(second(kMaxAgeMax_s - 1)));
  EXPECT_FALSE(cached.is_valid(second(kMaxAgeMax_s)));
}

}  // namespace
}  // namespace ringpost::transport
