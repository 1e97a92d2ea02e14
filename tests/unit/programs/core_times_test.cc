// What the kernel says of the time of threads and cores.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "programs/core_times.hh"

namespace ringpost::programs {
namespace {

using Ticks = std::vector<std::uint64_t>;

TEST(CoreTimes, a_thread_has_run_and_waited) {
  EXPECT_EQ(thread_ns("1500 700 3\n"), 2200u);
  EXPECT_EQ(thread_ns("1500 0 1"), 1500u);
  EXPECT_EQ(thread_ns("0 0 0\n"), std::nullopt) << "a kernel that does not count";
  EXPECT_EQ(thread_ns(""), std::nullopt);
  EXPECT_EQ(thread_ns("nothing"), std::nullopt);
}

TEST(CoreTimes, a_core_was_idle_or_waited_for_a_disk) {
  EXPECT_EQ(idle_ticks("cpu  10 20 30 400 50 6 7 8 9 10\n"
                       "cpu0 1 2 3 40 5 6 7 8 9 10\n"
                       "cpu1 1 2 3 70 0 6 7 8 9 10\n"
                       "intr 1 2 3\n"),
            (Ticks{45, 70}));
}

TEST(CoreTimes, cores_that_are_off_leave_gaps) {
  EXPECT_EQ(idle_ticks("cpu  1 1 1 1 1\ncpu0 1 2 3 4 5\ncpu3 1 2 3 6 7\nintr 1\n"), (Ticks{9, 0, 0, 13}));
}

TEST(CoreTimes, what_is_cut_off_is_not_read) {
  EXPECT_EQ(idle_ticks("cpu  1 1 1 1 1\ncpu0 1 2 3 4 5\ncpu1 1 2 3 4"), (Ticks{9}));
  EXPECT_EQ(idle_ticks("cpu  1 1 1 1 1\ncpu0 1 2 3 4\ncpu1 1 2 3 7 0\n"), (Ticks{4, 7})) << "nor the next line for it";
  EXPECT_EQ(idle_ticks("cpu  1 1 1 1 1\ncpu99999999999999999999 1 2 3 4 5\ncpu1 1 2 3 7 0\n"), (Ticks{9, 7}));
  EXPECT_EQ(idle_ticks("cpu  1 1"), Ticks{});
  EXPECT_EQ(idle_ticks(""), Ticks{});
}

std::string content(const char* path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(CoreTimes, as_this_kernel_writes_them) {
  const Ticks ticks = idle_ticks(content("/proc/stat"));
  EXPECT_GE(ticks.size(), static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  // Added up when the thread is put aside or at a tick of the clock.
  volatile unsigned sum = 0;
  const auto compute = [&] {
    for (unsigned i = 0; i < 50'000'000; ++i) sum = sum + i;
    return thread_ns(content("/proc/thread-self/schedstat"));
  };
  const auto before = compute();
  if (!before) GTEST_SKIP() << "this kernel does not count the time of threads (CONFIG_SCHED_INFO)";
  EXPECT_GT(compute().value_or(0), *before);
}

}  // namespace
}  // namespace ringpost::programs
