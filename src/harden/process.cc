#include "ringpost/harden/process.hh"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace ringpost::harden {

namespace {

/// Small files of /proc and /sys, whole; empty when there is none.
std::string read_text(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 4096> part;
  for (ssize_t count = 0; (count = ::read(file, part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(count));
  ::close(file);
  return text;
}

Result<std::uint64_t> raise(__rlimit_resource resource, std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return std::unexpected(error_from_errno(errno));
  rlimit raised = limit;
  if (::geteuid() == 0) raised.rlim_max = std::max<rlim_t>(limit.rlim_max, wanted);
  raised.rlim_cur = raised.rlim_max;
  if (::setrlimit(resource, &raised) == 0) return raised.rlim_cur;
  limit.rlim_cur = limit.rlim_max;  // a container's root may raise the soft limit only
  if (::setrlimit(resource, &limit) != 0) return std::unexpected(error_from_errno(errno));
  return limit.rlim_cur;
}

/// A dm-crypt device, or compressed memory without a disk behind it.
bool is_safe_device(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISBLK(info.st_mode)) return false;
  const std::string device = "/sys/dev/block/" + std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev));
  if (read_text(device + "/dm/uuid").starts_with("CRYPT-")) return true;
  const std::string backing = read_text(device + "/backing_dev");
  return backing.starts_with("none");  // only zram has such a file
}

/// MemorySwapMax=0 of our own cgroup (version 2).
bool cgroup_forbids_swap() {
  const std::string own = read_text("/proc/self/cgroup");
  const std::size_t at = own.find("0::/");
  if (at == std::string::npos) return false;
  const std::size_t begin = at + 3;
  const std::string path = own.substr(begin, own.find('\n', begin) - begin);
  return read_text("/sys/fs/cgroup" + path + "/memory.swap.max").starts_with("0\n");
}

}  // namespace

Result<> forbid_core_dumps() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return std::unexpected(error_from_errno(errno));
  return {};
}

Result<std::uint64_t> raise_open_files(std::uint64_t wanted) { return raise(RLIMIT_NOFILE, wanted); }
Result<std::uint64_t> raise_locked_memory(std::uint64_t wanted) { return raise(RLIMIT_MEMLOCK, wanted); }

std::vector<std::string> parse_swaps(std::string_view text) {
  std::vector<std::string> names;
  bool is_heading = true;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string_view name = line.substr(0, line.find_first_of(" \t"));
    if (!is_heading && !name.empty()) names.emplace_back(name);
    is_heading = false;
  }
  return names;
}

bool swap_is_exposed(std::vector<SwapArea>* areas) {
  bool exposed = false;
  for (const std::string& name : parse_swaps(read_text("/proc/swaps"))) {
    const bool encrypted = is_safe_device(name);
    exposed |= !encrypted;
    if (areas) areas->push_back({name, encrypted});
  }
  return exposed && !cgroup_forbids_swap();
}

}  // namespace ringpost::harden
