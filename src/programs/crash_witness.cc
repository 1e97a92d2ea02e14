#include "programs/crash_witness.hh"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "ringpost/shard/work_table.hh"

namespace ringpost::programs {

namespace {

thread_local std::byte* own_table = nullptr;

extern "C" void note_crash(int signal) {
  if (own_table) shard::WorkTable::blame(own_table);
  ::raise(signal);  // deadly as soon as this returns: the handler is gone
}

}  // namespace

Result<MutableBytes> map_file(const std::string& path, std::size_t bytes) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return std::unexpected(error_from_errno(errno));
  struct stat info;
  int error = ::fstat(file, &info) != 0 ? errno : !S_ISREG(info.st_mode) ? EINVAL : 0;
  if (error == 0 && static_cast<std::size_t>(info.st_size) < bytes) error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* memory = error == 0 ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (error == 0 && memory == MAP_FAILED) error = errno;
  ::close(file);
  if (error != 0) return std::unexpected(error_from_errno(error));
  return MutableBytes{static_cast<std::byte*>(memory), bytes};
}

void watch_for_crashes() {
  struct sigaction action{};
  action.sa_handler = note_crash;
  action.sa_flags = SA_RESETHAND;
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) ::sigaction(signal, &action, nullptr);
}

void blame_on(MutableBytes work_table) { own_table = work_table.data(); }

}  // namespace ringpost::programs
