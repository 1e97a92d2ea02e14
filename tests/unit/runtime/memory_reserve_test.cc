#include "ringpost/runtime/memory_reserve.hh"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

namespace ringpost::runtime {
namespace {

struct Reserve {
  Reserve() { EXPECT_TRUE(MemoryReserve::open()); }
  ~Reserve() { MemoryReserve::close(); }
};

TEST(MemoryReserve, H12_it_is_spent_once_and_put_aside_again) {
  Reserve reserve;
  EXPECT_FALSE(MemoryReserve::is_spent());
  EXPECT_TRUE(MemoryReserve::refill());
  std::get_new_handler()();
  EXPECT_TRUE(MemoryReserve::is_spent());
  EXPECT_TRUE(MemoryReserve::refill());
  EXPECT_FALSE(MemoryReserve::is_spent());
}

TEST(MemoryReserve, H12_a_thread_whose_allocation_failed_before_another_spent_it_tries_again) {
  Reserve reserve;
  std::thread{[] { std::get_new_handler()(); }}.join();
  EXPECT_TRUE(MemoryReserve::is_spent());
  std::get_new_handler()();  // returns: there may be memory now
  EXPECT_TRUE(MemoryReserve::is_spent());
}

TEST(MemoryReserveDeathTest, H12_without_a_reserve_left_the_process_ends_and_says_why) {
  EXPECT_DEATH(
      {
        MemoryReserve::open();
        std::get_new_handler()();
        std::get_new_handler()();
      },
      "out of memory, and the reserve is spent");
}

#if !defined(__SANITIZE_ADDRESS__) && !(defined(__has_feature) && __has_feature(address_sanitizer))
/// Address space of this process, in bytes.
rlim_t mapped() {
  unsigned long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * 4096;
}

[[noreturn]] void use_up_memory() {
  MemoryReserve::open();
  const rlimit limit{mapped(), RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  while (!MemoryReserve::is_spent()) static_cast<char*>(::operator new(1 << 20))[0] = 1;
  std::exit(0);
}

TEST(MemoryReserveDeathTest, H12_an_allocation_that_fails_succeeds_out_of_the_reserve) {
  EXPECT_EXIT(use_up_memory(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace ringpost::runtime
