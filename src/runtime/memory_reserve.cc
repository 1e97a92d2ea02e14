#include "ringpost/runtime/memory_reserve.hh"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>

namespace ringpost::runtime {

namespace {

constinit std::mutex guard;  // of the two below; nothing allocates while it is held
void* kept = nullptr;
std::size_t kept_bytes = 0;

std::atomic<bool> spent = false;
std::atomic<std::uint64_t> releases = 0;
/// How many releases this thread knew of when an allocation of its failed last.
thread_local constinit std::uint64_t releases_seen = 0;

bool put_aside(std::size_t bytes) {
  std::lock_guard lock{guard};
  if (kept) return true;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  kept = memory;
  kept_bytes = bytes;
  spent.store(false, std::memory_order_relaxed);
  return true;
}

bool give_back() {
  std::lock_guard lock{guard};
  if (!kept) return false;
  ::munmap(kept, kept_bytes);
  kept = nullptr;
  return true;
}

}  // namespace

bool MemoryReserve::open() {
  if (!put_aside(kBytes)) return false;
  std::set_new_handler(&spend);
  return true;
}

void MemoryReserve::close() {
  std::set_new_handler(nullptr);
  give_back();
  spent.store(false, std::memory_order_relaxed);
}

void MemoryReserve::spend() {
  spent.store(true, std::memory_order_relaxed);
  if (give_back()) {
    releases_seen = releases.fetch_add(1) + 1;
    return;
  }
  // Another thread may have spent it after this one's allocation failed: that is worth one more try.
  if (std::uint64_t now = releases.load(); now != releases_seen) {
    releases_seen = now;
    return;
  }
  constexpr std::string_view kLastWords = "out of memory, and the reserve is spent: ending\n";
  (void)!::write(STDERR_FILENO, kLastWords.data(), kLastWords.size());
  std::abort();
}

bool MemoryReserve::is_spent() { return spent.load(std::memory_order_relaxed); }

bool MemoryReserve::refill() {
  for (std::size_t bytes = kBytes; bytes >= kBytesMin; bytes /= 2)
    if (put_aside(bytes)) return true;
  return false;
}

}  // namespace ringpost::runtime
