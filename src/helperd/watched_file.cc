#include "ringpost/helperd/watched_file.hh"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace ringpost::helperd {

std::optional<SecretBytes> WatchedFile::renewed() {
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (file < 0 || ::fstat(file, &info) != 0) {
    const int why = errno;
    if (std::exchange(trouble_, why) != why)
      log_.error("a file cannot be read", {{"file", OperatorText{path_}}, {"error", error_from_errno(why)}});
    if (file >= 0) ::close(file);
    return std::nullopt;
  }
  trouble_ = 0;
  const Mark mark{info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  std::optional<SecretBytes> content;
  if (std::exchange(mark_, mark) != mark) {
    if (static_cast<std::size_t>(mark.size) > bytes_max_) {
      log_.error("a file is too large", {{"file", OperatorText{path_}}});
    } else {
      std::vector<std::byte> bytes(static_cast<std::size_t>(mark.size));
      std::size_t size = 0;
      while (size < bytes.size()) {
        const ssize_t got = ::read(file, bytes.data() + size, bytes.size() - size);
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
      }
      bytes.resize(size);
      content.emplace(std::move(bytes));
    }
  }
  ::close(file);
  return content;
}

}  // namespace ringpost::helperd
