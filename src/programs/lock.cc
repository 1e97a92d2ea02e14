#include "programs/lock.hh"

#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace ringpost::programs {

namespace {

using Clock = std::chrono::steady_clock;

/// A process that was killed lets go within milliseconds, on a busy machine a little later.
constexpr auto kKilledPatience = std::chrono::milliseconds(800);
/// One that was asked to stop takes up to five seconds.
constexpr auto kEndingPatience = std::chrono::milliseconds(6000);
constexpr auto kPoll = std::chrono::milliseconds(10);
constexpr char kEndingName[] = "ringpostd-stops";  // 15 characters, all that a process's name may have

/// Process id of the holder, 0 when the kernel does not say. proc_locks(5): "1: FLOCK ADVISORY WRITE 4711 fe:00:12345 0 EOF".
int holder_of(int file) {
  struct stat info{};
  if (::fstat(file, &info) != 0) return 0;
  const std::string inode = ":" + std::to_string(info.st_ino);
  std::ifstream locks{"/proc/locks"};
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words{line};
    std::string number, kind, enforcement, mode, place;
    int process = 0;
    if (words >> number >> kind >> enforcement >> mode >> process >> place && kind == "FLOCK" && place.ends_with(inode))
      return process;
  }
  return 0;
}

bool is_ending(int process) {
  std::ifstream file{"/proc/" + std::to_string(process) + "/comm"};
  std::string name;
  return !std::getline(file, name) || name == kEndingName;
}

}  // namespace

std::expected<void, std::string> lock_for_us(int file) {
  const auto began = Clock::now();
  for (;;) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) {
      const bool has_locks = errno != EBADF && errno != EOPNOTSUPP && errno != ENOLCK && errno != EINVAL;
      if (!has_locks) return {};
      return std::unexpected(std::string{std::strerror(errno)});
    }
    const int holder = holder_of(file);
    const auto waited = Clock::now() - began;
    if (waited >= (holder != 0 && is_ending(holder) ? kEndingPatience : kKilledPatience))
      return std::unexpected(holder != 0 ? "process " + std::to_string(holder) : std::string{"another process"});
    std::this_thread::sleep_for(kPoll);
  }
}

void say_that_we_end() { ::prctl(PR_SET_NAME, kEndingName); }

}  // namespace ringpost::programs
