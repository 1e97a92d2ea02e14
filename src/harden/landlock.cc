// Landlock through its system calls: Debian 12's headers know the first two versions only, so the rest is named here.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "ringpost/harden/sandbox.hh"

namespace ringpost::harden {

namespace {

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadAll = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14;     // version 3
constexpr std::uint64_t kIoctlDevice = std::uint64_t{1} << 15;  // version 5
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr std::uint64_t kRefer = std::uint64_t{1} << 13;  // version 2: links and renames between directories
constexpr std::uint64_t kWriteAll = kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                    kRefer;
/// All that the first version knows; what no rule allows is forbidden.
constexpr std::uint64_t kVersion1 = (std::uint64_t{1} << 13) - 1;
constexpr std::uint64_t kScopeAbstractSockets = 1, kScopeSignals = 2;  // version 6

/// landlock_ruleset_attr of version 6.
struct RulesetAttributes {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

std::uint64_t handled(unsigned version) {
  std::uint64_t rights = kVersion1;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kIoctlDevice;
  return rights;
}

Result<> add_rule(int ruleset, const PathRule& rule, std::uint64_t known) {
  landlock_path_beneath_attr attributes{};
  attributes.parent_fd = ::open(rule.path.c_str(), O_PATH | O_CLOEXEC);
  if (attributes.parent_fd < 0) {
    if (errno == ENOENT || errno == EACCES) return {};  // what we cannot come to needs no permission
    return std::unexpected(error_from_errno(errno));
  }
  struct stat info{};
  const bool is_directory = ::fstat(attributes.parent_fd, &info) == 0 && S_ISDIR(info.st_mode);
  const bool writes = rule.access == Access::write;
  const std::uint64_t wanted = is_directory ? kReadAll | (writes ? kWriteAll : 0) : kReadFile | (writes ? kWriteFile : 0);
  attributes.allowed_access = wanted & known;
  const long result = ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attributes, 0);
  const int error = errno;
  ::close(attributes.parent_fd);
  if (result != 0) return std::unexpected(error_from_errno(error));
  return {};
}

}  // namespace

Result<unsigned> restrict_paths(std::span<const PathRule> rules) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) {
    const bool absent = errno == ENOSYS || errno == EOPNOTSUPP;
    if (absent) return 0u;
    return std::unexpected(error_from_errno(errno));
  }
  const auto known = static_cast<unsigned>(version);
  RulesetAttributes attributes{.handled_access_fs = handled(known)};
  if (known >= 6) attributes.scoped = kScopeAbstractSockets | kScopeSignals;
  const std::size_t size = known >= 6 ? sizeof attributes : sizeof attributes.handled_access_fs;
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  if (ruleset < 0) return std::unexpected(error_from_errno(errno));

  Result<> done;
  for (const PathRule& rule : rules) {
    if (done) done = add_rule(ruleset, rule, attributes.handled_access_fs);
  }
  if (done && (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0))
    done = std::unexpected(error_from_errno(errno));
  ::close(ruleset);
  if (!done) return std::unexpected(done.error());
  return known;
}

}  // namespace ringpost::harden
