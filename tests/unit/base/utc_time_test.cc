#include "ringpost/base/utc_time.hh"

#include <gtest/gtest.h>

namespace ringpost {
namespace {

std::chrono::sys_seconds second(std::int64_t since_1970) { return std::chrono::sys_seconds{std::chrono::seconds{since_1970}}; }

TEST(UtcTime, text_and_seconds_go_both_ways) {
  const std::pair<std::int64_t, const char*> cases[] = {{0, "1970-01-01T00:00:00Z"},
                                                        {951827696, "2000-02-29T12:34:56Z"},
                                                        {1801353600, "2027-01-31T00:00:00Z"},
                                                        {4107542400, "2100-03-01T00:00:00Z"},
                                                        {253402300799, "9999-12-31T23:59:59Z"}};
  for (const auto& [seconds, text] : cases) {
    EXPECT_EQ(format_utc(second(seconds)), text);
    EXPECT_EQ(parse_utc(text), second(seconds));
  }
}

TEST(UtcTime, other_forms_and_impossible_times_are_refused) {
  for (const char* bad :
       {"", "2027-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z",
        "2027-01-00T00:00:00Z", "2027-01-31T24:00:00Z", "2027-01-31T00:60:00Z", "2027-01-31T00:00:60Z", "1969-12-31T23:59:59Z",
        "2027-01-31t00:00:00z", "2027-01-31 00:00:00Z", "2027-01-31T00:00:00+00:00", "2027-01-31T00:00:00.0Z",
        "2027-01-31T00:00:00", "2027-1-31T00:00:00Z", "+027-01-31T00:00:00Z", "2027-01-31T00:00:-1Z"})
    EXPECT_FALSE(parse_utc(bad)) << bad;
}

TEST(UtcTime, any_date_time_of_rfc_3339) {
  const std::pair<const char*, const char*> cases[] = {{"2027-01-31T00:00:00Z", "2027-01-31T00:00:00Z"},
                                                       {"2027-01-31t00:00:00z", "2027-01-31T00:00:00Z"},
                                                       {"2027-01-31T00:00:00+00:00", "2027-01-31T00:00:00Z"},
                                                       {"2027-01-31T00:30:00+01:00", "2027-01-30T23:30:00Z"},
                                                       {"2027-01-31T23:30:00-01:30", "2027-02-01T01:00:00Z"},
                                                       {"2027-01-31T00:00:00.000Z", "2027-01-31T00:00:00Z"},
                                                       {"2027-01-31T00:00:00.001Z", "2027-01-31T00:00:01Z"},
                                                       {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
                                                       {"2016-12-31T23:59:60.5-00:00", "2017-01-01T00:00:00Z"}};
  for (const auto& [text, same] : cases) EXPECT_EQ(parse_date_time(text), parse_utc(same)) << text;
  for (const char* bad : {"", "Z", "2027-01-31T00:00:00", "2027-01-31T00:00:00.Z", "2027-01-31T00:00:00.1", "2027-01-31T00:00:00+24:00",
                          "2027-01-31T00:00:00+00:60", "2027-01-31T00:00:00+0000", "2027-01-31T00:00:00+00:00Z", "2027-01-31T00:00:00ZZ",
                          "2027-02-29T00:00:00Z", "2027-01-31 00:00:00Z", "2027-01-31T00:00:61Z", "1801353600", "2027-01-31"})
    EXPECT_FALSE(parse_date_time(bad)) << bad;
}

}  // namespace
}  // namespace ringpost
