#include "programs/directories.hh"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace ringpost::programs {

namespace {

using harden::Identity;

constexpr mode_t kPrivate = 0700, kPublic = 0755;

std::unexpected<std::string> failure(const std::string& path, const std::string& why) {
  return std::unexpected(path + ": " + why);
}
std::unexpected<std::string> failure(const std::string& path) {
  const std::string why = std::strerror(errno);
  if (errno == EACCES || errno == EPERM)
    return failure(path, why + ": this user may not make or enter it; start as root, or choose a directory of this user's own");
  if (errno == EROFS) return failure(path, why + ": choose a directory on a filesystem that can be written");
  return failure(path, why);
}

/// "user ringpost (991)".
std::string name_of(uid_t user) {
  const std::string number = std::to_string(user);
  const passwd* entry = ::getpwuid(user);
  return entry ? std::string{"user "} + entry->pw_name + " (" + number + ")" : "user " + number;
}

/// Gives what root owns below `directory` to `owner`. Only for a directory that was root's until now: nobody else can have
/// planted anything in it. Takes the descriptor.
void hand_over(int directory, const Identity& owner, int depth = 0) {
  DIR* entries = ::fdopendir(directory);
  if (!entries) {
    ::close(directory);
    return;
  }
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    struct stat info{};
    const bool ours =
        name != "." && name != ".." && ::fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_uid == 0;
    if (!ours) continue;
    if (S_ISREG(info.st_mode) && info.st_nlink == 1) {
      static_cast<void>(::fchownat(directory, entry->d_name, owner.user, owner.group, AT_SYMLINK_NOFOLLOW));
    } else if (S_ISDIR(info.st_mode) && depth < 4) {
      const int below = ::openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below < 0) continue;
      static_cast<void>(::fchown(below, owner.user, owner.group));
      hand_over(below, owner, depth + 1);
    }
  }
  ::closedir(entries);
}

std::expected<void, std::string> make_parents(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), kPublic) != 0 && errno != EEXIST) return failure(parent);
  }
  return {};
}

/// Opens it, follows no link, and tells whose it is.
std::expected<Claimed, std::string> open_directory(const std::string& path, struct stat& info) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) {
    const bool is_other = errno == ELOOP || errno == ENOTDIR;
    return is_other ? failure(path, "is not a directory (links are not followed)") : failure(path);
  }
  if (::fstat(descriptor, &info) == 0) return Claimed{.path = path, .descriptor = descriptor};
  const auto failed = failure(path);
  ::close(descriptor);
  return failed;
}

std::string belongs_to_another(uid_t owner, uid_t wanted) {
  return "belongs to " + name_of(owner) + ", not to " + name_of(wanted) +
         ", who alone may use it; choose another directory, or give it away with chown";
}

}  // namespace

std::expected<Claimed, std::string> find_directory(const std::string& path, const std::optional<Identity>& owner) {
  struct stat info{};
  auto found = open_directory(path, info);
  if (!found) return found;
  const uid_t wanted = owner ? owner->user : ::geteuid();
  if (info.st_uid != wanted) {
    ::close(found->descriptor);
    return failure(path, belongs_to_another(info.st_uid, wanted));
  }
  if (owner) found->reachable = is_reachable_for(*owner, path, R_OK | X_OK);
  return found;
}

std::expected<Claimed, std::string> claim_directory(const std::string& path, const std::optional<Identity>& owner) {
  if (auto made = make_parents(path); !made) return std::unexpected(made.error());
  if (::mkdir(path.c_str(), kPrivate) != 0 && errno != EEXIST) return failure(path);
  struct stat info{};
  auto opened = open_directory(path, info);
  if (!opened) return opened;
  Claimed& claimed = *opened;
  const int descriptor = claimed.descriptor;
  const auto refuse = [&](const std::string& why) {
    ::close(descriptor);
    return failure(path, why);
  };
  const uid_t wanted = owner ? owner->user : ::geteuid();
  const bool was_roots = owner && info.st_uid == 0;
  if (info.st_uid != wanted && !was_roots) return refuse(belongs_to_another(info.st_uid, wanted));
  if (was_roots) hand_over(::openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), *owner);
  if (was_roots && ::fchown(descriptor, owner->user, owner->group) != 0) return refuse(std::strerror(errno));
  if ((info.st_mode & 07777) != kPrivate && ::fchmod(descriptor, kPrivate) != 0) return refuse(std::strerror(errno));
  if (owner) claimed.reachable = is_reachable_for(*owner, path, R_OK | W_OK | X_OK);
  return claimed;
}

bool lies_in_memory(int directory) {
  struct statfs info{};
  return ::fstatfs(directory, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

bool is_reachable_for(const Identity& user, const std::string& path, int permissions) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(harden::become(user) && ::access(path.c_str(), permissions) == 0 ? 0 : 1);
  int status = 1;
  if (child > 0) ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string name_by_descriptor(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

std::string past_link(const std::string& directory) {
  return directory.starts_with("/proc/self/fd/") ? directory + "/." : directory;
}

std::string moved_with(const std::string& path, const std::string& directory, const std::string& name) {
  if (path == directory) return name;
  if (path.starts_with(directory + "/")) return name + path.substr(directory.size());
  return path;
}

std::expected<void, std::string> make_public_directory(const std::string& path) {
  if (auto made = make_parents(path); !made) return made;
  if (::mkdir(path.c_str(), kPublic) != 0 && errno != EEXIST) return failure(path);
  return {};
}

}  // namespace ringpost::programs
