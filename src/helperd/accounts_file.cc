#include "ringpost/helperd/accounts_file.hh"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ringpost::helperd {

namespace {
constexpr std::size_t kBytesMax = 64 * 1024 * 1024;
}

std::shared_ptr<const accounts::Accounts> AccountsFile::current() {
  std::lock_guard lock{mutex_};
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (file < 0 || ::fstat(file, &info) != 0) {
    const int why = errno;
    if (std::exchange(trouble_, why) != why)
      log_.error("the file of accounts cannot be read", {{"file", OperatorText{path_}}, {"error", error_from_errno(why)}});
    if (file >= 0) ::close(file);
    return accounts_;
  }
  trouble_ = 0;
  const Mark mark{info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  if (mark != mark_) {
    mark_ = mark;
    if (auto renewed = read(file)) accounts_ = std::move(renewed);
  }
  ::close(file);
  return accounts_;
}

std::shared_ptr<const accounts::Accounts> AccountsFile::read(int file) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(mark_.size));
  if (bytes.size() > kBytesMax) {
    log_.error("the file of accounts is too large", {{"file", OperatorText{path_}}});
    return nullptr;
  }
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(file, bytes.data() + size, bytes.size() - size);
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  const SecretBytes text{std::move(bytes)};
  auto parsed = accounts::Accounts::parse(text.text());
  if (!parsed) {
    log_.error("the file of accounts has an error, and the accounts stay as they were",
               {{"file", OperatorText{path_}}, {"line", parsed.error().line}, {"why", OperatorText{parsed.error().why}}});
    return nullptr;
  }
  log_.info("accounts were read", {{"file", OperatorText{path_}}, {"accounts", parsed->all().size()}});
  return std::make_shared<accounts::Accounts>(std::move(*parsed));
}

}  // namespace ringpost::helperd
