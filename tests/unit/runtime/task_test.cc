// Tasks, frames and chunks without a kernel.
#include "ringpost/runtime/task.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace ringpost::runtime {
namespace {

/// Runs a task to its first suspension.
struct Runner {
  struct promise_type {
    Runner get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};
template <typename T>
Runner run(Task<T> task, std::optional<T>& result) {
  result.emplace(co_await task);
}

/// Tells when it dies.
struct Mark {
  explicit Mark(int& count) : deaths(&count) {}
  Mark(Mark&& other) noexcept : deaths(std::exchange(other.deaths, nullptr)) {}
  ~Mark() {
    if (deaths) ++*deaths;
  }
  int* deaths;
};

Task<std::unique_ptr<std::string>> make_text(std::string text) { co_return std::make_unique<std::string>(text + "!"); }
Task<std::string> twice(std::string text) {
  auto one = co_await make_text(text);
  auto two = co_await make_text(*one);
  co_return *one + *two;
}
Task<int> keep(Mark, bool& started) {
  started = true;
  co_return 7;
}
Task<int> add_up(int from, int to) {
  if (to - from == 1) co_return from;
  int middle = from + (to - from) / 2;
  int left = co_await add_up(from, middle);
  int right = co_await add_up(middle, to);
  co_return left + right;
}

TEST(Tasks, hand_values_to_their_awaiters) {
  std::optional<std::string> text;
  run(twice("a"), text);
  EXPECT_EQ(text, "a!a!!");
  std::optional<int> sum;
  run(add_up(0, 1000), sum);
  EXPECT_EQ(sum, 499'500);
}

TEST(Tasks, start_only_when_awaited_and_die_once) {
  int deaths = 0;
  bool started = false;
  {
    Task<int> never = keep(Mark(deaths), started);
    Task<int> moved = std::move(never);
    EXPECT_FALSE(started);
  }
  EXPECT_FALSE(started);
  EXPECT_EQ(deaths, 1);
  std::optional<int> result;
  run(keep(Mark(deaths), started), result);
  EXPECT_EQ(result, 7);
  EXPECT_EQ(deaths, 2);
}

TEST(Frames, are_distinct_while_in_use) {
  constexpr std::size_t kSizes[] = {1, 64, 65, 1000, 8127, 8128, 8191, 8192, 100'000};
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<unsigned char*, std::size_t>> frames;
    for (std::size_t size : kSizes) {
      for (int i = 0; i < 3; ++i) {
        auto* frame = static_cast<unsigned char*>(FramePool::allocate(size));
        std::memset(frame, static_cast<int>(frames.size()), size);
        frames.emplace_back(frame, size);
      }
    }
    for (std::size_t i = 0; i < frames.size(); ++i) {
      auto [frame, size] = frames[i];
      EXPECT_TRUE(std::all_of(frame, frame + size, [&](unsigned char byte) { return byte == i; })) << size;
    }
    for (auto [frame, size] : frames) FramePool::release(frame, size);
  }
  FramePool::trim();
}

TEST(Frames, go_back_to_the_heap_at_the_end_of_a_thread) {
  std::thread other([] {
    std::optional<int> sum;
    run(add_up(0, 100), sum);
    EXPECT_EQ(sum, 4950);
    void* frame = FramePool::allocate(500);
    FramePool::release(frame, 500);
    FramePool::trim();
    FramePool::trim();
  });
  other.join();  // LeakSanitizer and valgrind see what is left
}

}  // namespace
}  // namespace ringpost::runtime
