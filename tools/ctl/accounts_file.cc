#include "accounts_file.hh"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ringpost/harden/privileges.hh"
#include "server.hh"

namespace ringpost::ctl {

namespace {

constexpr mode_t kMode = 0640;

[[noreturn]] void fail(const std::string& what) { throw Failure{kNotAsked, what + ": " + std::strerror(errno)}; }

/// A descriptor that is closed when it goes.
struct File {
  int number = -1;
  ~File() {
    if (number >= 0) ::close(number);
  }
};

void write_all(int file, Bytes bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) fail(path);
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// helperd reads it as a user of its own, and nobody else does.
void give_to_helper(int file, const std::string& path, const std::string& before) {
  struct stat old{};
  if (::stat(before.c_str(), &old) == 0) {
    if (::fchown(file, old.st_uid, old.st_gid) != 0 || ::fchmod(file, old.st_mode & 07777) != 0) fail(path);
    return;
  }
  const auto helper = harden::find_user("ringpost-helper");
  if (harden::is_root() && helper && ::fchown(file, 0, helper->group) != 0) fail(path);
}

}  // namespace

AccountsFile::AccountsFile(std::string path) : path_(std::move(path)) {
  const std::string lock_path = path_ + ".lock";
  lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock_ < 0) fail(lock_path + " (auth.password_file is " + path_ + ")");
  while (::flock(lock_, LOCK_EX) != 0)
    if (errno != EINTR) fail(lock_path);
  const File file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0 && errno == ENOENT) return;  // the first account makes it
  if (file.number < 0) fail(path_);
  std::vector<std::byte> bytes;
  std::byte block[65536];
  for (ssize_t got; (got = ::read(file.number, block, sizeof block)) != 0;) {
    if (got < 0) fail(path_);
    bytes.insert(bytes.end(), block, block + got);
  }
  const SecretBytes text{std::move(bytes)};
  auto parsed = accounts::Accounts::parse(text.text());
  if (!parsed)
    throw Failure{kNotAsked, path_ + ":" + std::to_string(parsed.error().line) + ": " + std::string{parsed.error().why} + "; put that right first"};
  accounts_ = std::move(*parsed);
}

AccountsFile::~AccountsFile() {
  if (lock_ >= 0) ::close(lock_);
}

void AccountsFile::write() {
  const std::string next = path_ + ".new";
  ::unlink(next.c_str());
  {
    const File file{::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode)};
    if (file.number < 0) fail(next);
    give_to_helper(file.number, next, path_);
    const SecretBytes text = accounts_.format();
    write_all(file.number, text.view(), next);
    if (::fsync(file.number) != 0) fail(next);
  }
  if (::rename(next.c_str(), path_.c_str()) != 0) fail(path_);
  const std::string parent = std::filesystem::absolute(path_).parent_path();
  const File directory{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.number < 0 || ::fsync(directory.number) != 0) fail(parent);
}

}  // namespace ringpost::ctl
