#include "ringpost/base/log.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace ringpost {
namespace {

enum class Weather : std::uint8_t { sun, rain };
Literal log_name(Weather weather) { return weather == Weather::sun ? Literal{"sun"} : Literal{"rain"}; }

class LogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe2(ends_, O_NONBLOCK), 0); }
  void TearDown() override {
    ::close(ends_[0]);
    if (ends_[1] >= 0) ::close(ends_[1]);
  }
  std::string written() {
    std::string text(128 * 1024, '\0');
    ssize_t size = ::read(ends_[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }
  int ends_[2] = {-1, -1};
};

TEST_F(LogTest, one_entry_is_one_line_with_its_fields) {
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  MessageId id;
  id.bytes[0] = std::byte{0xab};
  log.warning("message deferred", {{"message", id},
                                   {"attempt", 3},
                                   {"big", UINT64_MAX},
                                   {"low", INT64_MIN},
                                   {"host", *IpAddress::parse("2001:db8::1")},
                                   {"next_hop", *SocketAddress::parse("192.0.2.1:25")},
                                   {"error", Error{Errc::no_space, 28}},
                                   {"after", Duration{1'234'567}},
                                   {"hold", true},
                                   {"weather", Weather::rain}});
  EXPECT_EQ(written(),
            "warning message deferred message=ab000000000000000000000000000000 attempt=3 big=18446744073709551615 "
            "low=-9223372036854775808 host=2001:db8::1 next_hop=192.0.2.1:25 error=no_space(28) after=1.234ms hold=yes "
            "weather=rain\n");
}

TEST_F(LogTest, operator_texts_name_paths_as_they_are_configured) {
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  PathNames names;
  names.add("/proc/self/fd/6", "/srv/keys");
  log.show_paths(std::move(names));
  log.info("opened", {{"file", OperatorText{"/proc/self/fd/6/kek"}}, {"other", OperatorText{"/proc/self/fd/61"}}});
  EXPECT_EQ(written(), "info opened file=/srv/keys/kek other=/proc/self/fd/61\n");
}

TEST(PathNames, what_was_handed_over_reads_as_it_is_configured) {
  PathNames names;
  names.add("/proc/self/fd/6", "/srv/keys");
  names.add("/proc/self/fd/5/.", "/srv/spool");
  EXPECT_EQ(names.readable("/proc/self/fd/6"), "/srv/keys");
  EXPECT_EQ(names.readable("/proc/self/fd/6/kek: no such file"), "/srv/keys/kek: no such file");
  EXPECT_EQ(names.readable("/proc/self/fd/5/./store and /proc/self/fd/6/kek"), "/srv/spool/store and /srv/keys/kek");
  EXPECT_EQ(names.readable("/proc/self/fd/61/kek"), "/proc/self/fd/61/kek");
  EXPECT_EQ(names.readable(""), "");
}

TEST_F(LogTest, the_journal_gets_syslog_levels) {
  Log log{LogLevel::debug, LogStyle::journal, ends_[1]};
  log.error("a");
  log.warning("b");
  log.info("c");
  log.debug("d");
  EXPECT_EQ(written(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}

TEST_F(LogTest, automatic_style_asks_for_the_journal) {
  ::setenv("JOURNAL_STREAM", "8:1", 1);
  Log{LogLevel::info, LogStyle::automatic, ends_[1]}.info("a");
  ::unsetenv("JOURNAL_STREAM");
  Log{LogLevel::info, LogStyle::automatic, ends_[1]}.info("b");
  EXPECT_EQ(written(), "<6>a\ninfo b\n");
}

TEST_F(LogTest, levels_below_the_chosen_one_are_silent) {
  Log log{LogLevel::warning, LogStyle::plain, ends_[1]};
  log.info("hidden");
  log.set_level(LogLevel::info);
  log.info("seen");
  EXPECT_EQ(written(), "info seen\n");
}

TEST_F(LogTest, operator_text_cannot_break_a_line_or_drive_a_terminal) {
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  log.info(
      "reload",
      {{"file", OperatorText{"/etc/a b\n<3>fake\x1b[2J\"\\\xc3\xa9"}}, {"key", OperatorText{"a.b"}}, {"none", OperatorText{""}}});
  EXPECT_EQ(written(), "info reload file=\"/etc/a b\\x0a<3>fake\\x1b[2J\\\"\\\\\\xc3\\xa9\" key=a.b none=\"\"\n");
}

TEST_F(LogTest, a_long_line_is_cut_and_says_so) {
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  std::string path(5000, 'x');
  log.info("path", {{"file", OperatorText{path}}});
  std::string line = written();
  EXPECT_EQ(line.size(), Log::kLineMax);
  EXPECT_TRUE(line.ends_with("x...\n"));
}

TEST_F(LogTest, a_full_pipe_drops_lines_instead_of_waiting) {
  // The writing end blocks, as standard error does.
  ASSERT_EQ(::fcntl(ends_[1], F_SETFL, 0), 0);
  ASSERT_GT(::fcntl(ends_[1], F_SETPIPE_SZ, 4096), 0);
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  std::string path(900, 'x');
  for (int i = 0; i < 100; ++i) log.info("path", {{"file", OperatorText{path}}});
  EXPECT_GE(log.lines_dropped(), 90u);
  EXPECT_LE(log.lines_dropped(), 99u);
  EXPECT_TRUE(written().starts_with("info path file=xxx"));
}

TEST_F(LogTest, a_closed_reader_is_no_signal) {
  ::close(ends_[0]);
  ends_[0] = ::open("/dev/null", O_RDONLY);
  Log log{LogLevel::info, LogStyle::plain, ends_[1]};
  log.info("nobody reads");
  EXPECT_EQ(log.lines_dropped(), 1u);
}

TEST_F(LogTest, a_full_socket_drops_lines_instead_of_waiting) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Log log{LogLevel::info, LogStyle::plain, pair[1]};
  std::string path(900, 'x');
  for (int i = 0; i < 5000; ++i) log.info("path", {{"file", OperatorText{path}}});
  EXPECT_GT(log.lines_dropped(), 0u);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(LogLimit, admits_a_burst_then_one_each_interval_and_counts_the_rest) {
  using std::chrono::seconds;
  LogLimit limit{2, seconds{10}};
  Instant start{seconds{1000}};
  EXPECT_EQ(limit.admit(start), 0u);
  EXPECT_EQ(limit.admit(start), 0u);
  EXPECT_FALSE(limit.admit(start));
  EXPECT_FALSE(limit.admit(start + seconds{9}));
  EXPECT_EQ(limit.admit(start + seconds{10}), 2u);
  EXPECT_FALSE(limit.admit(start + seconds{19}));
  // A long silence earns no more than one burst.
  EXPECT_EQ(limit.admit(start + seconds{100'000}), 1u);
  EXPECT_EQ(limit.admit(start + seconds{100'000}), 0u);
  EXPECT_FALSE(limit.admit(start + seconds{100'000}));
}

// What must not compile stays out of a log by type: text made at run time and pointers are no values.
static_assert(!std::is_constructible_v<LogValue, std::string>);
static_assert(!std::is_constructible_v<LogValue, std::string_view>);
static_assert(!std::is_constructible_v<LogValue, const char*>);
static_assert(!std::is_constructible_v<LogValue, Bytes>);

}  // namespace
}  // namespace ringpost
