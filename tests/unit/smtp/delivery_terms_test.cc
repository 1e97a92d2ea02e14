#include "ringpost/smtp/delivery_terms.hh"

#include "ringpost/base/utc_time.hh"
#include "ringpost/smtp/command.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

const CommandRules kOffered{.future_release = true, .priority = true, .deliver_by = true, .deliver_by_min_s = 60};

Command parsed(std::string_view line) { return parse_command(as_bytes(line), kOffered); }
int code(std::string_view line, const CommandRules& rules = {}) { return parse_command(as_bytes(line), rules).refusal.code; }

TEST(DeliveryTerms, how_long_and_until_when) {
  Command command = parsed("MAIL FROM:<a@b> HOLDFOR=3600");
  ASSERT_TRUE(command.ok() && command.mail.terms.release);
  EXPECT_EQ(command.mail.terms.release->hold_s, 3600u);
  command = parsed("MAIL FROM:<a@b> holduntil=2027-01-31T01:00:00+01:00");
  ASSERT_TRUE(command.ok() && command.mail.terms.release);
  EXPECT_EQ(command.mail.terms.release->hold_s, 0u);
  EXPECT_EQ(format_utc(command.mail.terms.release->until), "2027-01-31T00:00:00Z");
}

TEST(DeliveryTerms, by_when_and_what_then) {
  const auto by = [](std::string_view value) {
    const auto parsed = parse_deliver_by(value);
    return parsed ? deliver_by_text(*parsed) : "none";
  };
  EXPECT_EQ(by("120;R"), "120;R");
  EXPECT_EQ(by("+120;nt"), "120;NT");
  EXPECT_EQ(by("-999999999;N"), "-999999999;N");
  EXPECT_EQ(by("0;N"), "0;N");
  EXPECT_EQ(by("000000001;rT"), "1;RT");
}

TEST(DeliveryTerms, are_kept_as_they_came) {
  for (const std::string kept : {"HOLDFOR=3600", "HOLDUNTIL=2027-01-31T01:00:00+01:00"}) {
    const std::string both = "RET=FULL " + kept;
    std::string again = "RET=FULL";
    append_parameters(read_delivery_terms(both), again);
    EXPECT_EQ(again, both);
  }
  std::string nothing;
  append_parameters(read_delivery_terms("RET=FULL HOLDFOR=x HOLDUNTIL= ="), nothing);
  EXPECT_EQ(nothing, "");
}

TEST(Attacks, C14_future_release_malformed_doubled_and_unknown) {
  const auto mail = [](std::string parameters) { return code("MAIL FROM:<a@b> " + parameters, kOffered); };
  for (auto text : {"HOLDFOR=1", "HOLDFOR=999999999", "HOLDUNTIL=1970-01-01T00:00:00Z", "HOLDUNTIL=9999-12-31T23:59:59Z"}) EXPECT_EQ(mail(text), 0) << text;
  for (auto text : {"HOLDFOR", "HOLDFOR=", "HOLDFOR=0", "HOLDFOR=01", "HOLDFOR=-1", "HOLDFOR=+1", "HOLDFOR=1x", "HOLDFOR=1.5", "HOLDFOR=1000000000",
                    "HOLDFOR=9223372036854775808", "HOLDFOR=18446744073709551616", "HOLDUNTIL", "HOLDUNTIL=", "HOLDUNTIL=1801353600",
                    "HOLDUNTIL=2027-02-29T00:00:00Z", "HOLDUNTIL=2027-01-31", "HOLDUNTIL=2027-01-31T00:00:00", "HOLDUNTIL=\xc3\xbc",
                    "HOLDFOR=1 HOLDFOR=1", "HOLDUNTIL=2027-01-31T00:00:00Z HOLDUNTIL=2027-01-31T00:00:00Z",
                    "HOLDFOR=1 HOLDUNTIL=2027-01-31T00:00:00Z", "HOLDUNTIL=2027-01-31T00:00:00Z HOLDFOR=1"})
    EXPECT_EQ(mail(text), 501) << text;
  EXPECT_EQ(mail("HOLDUNTIL=2027-01-31T00:00:00." + std::string(13, '0') + "Z"), 0);
  EXPECT_EQ(mail("HOLDUNTIL=2027-01-31T00:00:00." + std::string(14, '0') + "Z"), 501) << "what is kept is bounded";
  EXPECT_EQ(code("MAIL FROM:<a@b> HOLDFOR=1"), 555) << "where it is not offered";
  EXPECT_EQ(code("MAIL FROM:<a@b> HOLDUNTIL=2027-01-31T00:00:00Z"), 555);
  EXPECT_EQ(code("MAIL FROM:<a@b> HOLDFOR=1", {.extended = false, .future_release = true}), 555) << "after HELO";
  EXPECT_EQ(code("RCPT TO:<a@b> HOLDFOR=1", kOffered), 555);
}

TEST(Attacks, C14_deliver_by_malformed_doubled_and_unknown) {
  const auto mail = [](std::string parameters) { return code("MAIL FROM:<a@b> " + parameters, kOffered); };
  for (auto text : {"BY=60;R", "BY=999999999;RT", "by=+60;r", "BY=-1;N", "BY=0;NT", "BY=1;N"}) EXPECT_EQ(mail(text), 0) << text;
  for (auto text : {"BY", "BY=", "BY=60", "BY=60;", "BY=;R", "BY=60;X", "BY=60;RR", "BY=60;RTT", "BY=60;TR", "BY=60;R;T", "BY=6 0;R", "BY=x;R", "BY=0;R",
                    "BY=-1;R", "BY=--1;N", "BY=+-1;N", "BY=1000000000;N", "BY=0000000001;N", "BY=9223372036854775808;N", "BY=60;R BY=60;R", "BY=60;N BY=60;R"})
    EXPECT_EQ(mail(text), 501) << text;
  EXPECT_EQ(mail("BY=59;R"), 555) << "less than is promised";
  EXPECT_EQ(code("MAIL FROM:<a@b> BY=60;R"), 555) << "where it is not offered";
  EXPECT_EQ(code("RCPT TO:<a@b> BY=60;R", kOffered), 555);
}

TEST(Attacks, C14_priority_malformed_doubled_and_unknown) {
  const auto mail = [](std::string parameters) { return code("MAIL FROM:<a@b> " + parameters, kOffered); };
  for (int priority = -9; priority <= 9; ++priority) {
    const Command command = parsed("MAIL FROM:<a@b> mt-priority=" + std::to_string(priority));
    EXPECT_TRUE(command.ok());
    EXPECT_EQ(command.mail.terms.priority, priority);
  }
  for (auto text : {"MT-PRIORITY", "MT-PRIORITY=", "MT-PRIORITY=-", "MT-PRIORITY=-0", "MT-PRIORITY=+1", "MT-PRIORITY=01", "MT-PRIORITY=10", "MT-PRIORITY=-10",
                    "MT-PRIORITY=1.0", "MT-PRIORITY=x", "MT-PRIORITY=--1", "MT-PRIORITY=9223372036854775808", "MT-PRIORITY=1 MT-PRIORITY=1"})
    EXPECT_EQ(mail(text), 501) << text;
  EXPECT_EQ(code("MAIL FROM:<a@b> MT-PRIORITY=1"), 555) << "where it is not offered";
  EXPECT_EQ(code("RCPT TO:<a@b> MT-PRIORITY=1", kOffered), 555);
}

}  // namespace
}  // namespace ringpost::smtp
