// Filters of operators: what they mean, and that nothing else is understood.
#include "ringpost/control/filter.hh"

#include <gtest/gtest.h>

namespace ringpost::control {
namespace {

TEST(Filter, every_word_has_its_place) {
  const auto filter = parse_filter("id=000102030405060708090a0b0c0d0e0f sender= recipient=b%20c%40x.example domain=*.example.org "
                                   "destination=192.0.2.1:25 reason=timed_out state=deferred older=90 younger=3600");
  ASSERT_TRUE(filter) << filter.error();
  EXPECT_EQ(hex(*filter->id), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(filter->sender, "");
  EXPECT_EQ(filter->recipient, "b c@x.example");
  EXPECT_EQ(filter->domain, "*.example.org");
  EXPECT_EQ(filter->destination, "192.0.2.1:25");
  EXPECT_EQ(filter->reason, "timed_out");
  EXPECT_EQ(filter->state, "deferred");
  EXPECT_EQ(filter->older, std::chrono::seconds(90));
  EXPECT_EQ(filter->younger, std::chrono::hours(1));
  EXPECT_TRUE(filter->names_addresses());
  EXPECT_NE(*filter, QueueFilter{});
}

TEST(Filter, no_word_means_everything) {
  EXPECT_EQ(parse_filter(""), QueueFilter{});
  EXPECT_EQ(parse_filter("  "), QueueFilter{});
}

TEST(Filter, what_is_not_understood_is_refused) {
  for (const char* words : {"state", "colour=red", "id=12", "id=zz", "older=soon", "older=", "older=-1", "younger=1h", "older=99999999999999999999",
                            "sender=%", "sender=%4", "sender=%zz"})
    EXPECT_FALSE(parse_filter(words)) << words;
  std::string name, value;
  EXPECT_TRUE(parse_filter("to=a%40b state=held", &name, &value));
  EXPECT_EQ(name, "to");
  EXPECT_EQ(value, "a@b");
  std::string first, second;
  EXPECT_FALSE(parse_filter("to=a from=b", &first, &second));
}

TEST(Filter, addresses_and_domains_fit_in_any_case_and_whole) {
  EXPECT_TRUE(address_fits("Anna@Example.ORG", "anna@example.org"));
  EXPECT_TRUE(address_fits("@example.org", "anna@Example.org"));
  EXPECT_FALSE(address_fits("@example.org", "anna@sub.example.org"));
  EXPECT_FALSE(address_fits("@example.org", "anna"));
  EXPECT_TRUE(address_fits("", ""));
  EXPECT_FALSE(address_fits("", "anna@example.org"));
  EXPECT_TRUE(address_fits("@b", "\"x@a\"@b"));
  EXPECT_TRUE(domain_fits("*.example.org", "a.b.EXAMPLE.org"));
  EXPECT_FALSE(domain_fits("*.example.org", "example.org"));
  EXPECT_FALSE(domain_fits("*.example.org", "badexample.org"));
}

}  // namespace
}  // namespace ringpost::control
