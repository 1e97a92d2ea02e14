// A file as it stands on disk now.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::helperd {

/// Blocks, and is meant for the workers' threads, one at a time.
class WatchedFile {
 public:
  WatchedFile(Log& log, std::string path, std::size_t bytes_max) : log_(log), path_(std::move(path)), bytes_max_(bytes_max) {}

  /// What stands in it, when it is another file than last time. Nothing: it is the same, or cannot be read, which the log says once.
  std::optional<SecretBytes> renewed();
  const std::string& path() const { return path_; }

 private:
  struct Mark {  // tells one state of a file from another
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t modified_s = 0, modified_ns = 0;
    friend bool operator==(const Mark&, const Mark&) = default;
  };

  Log& log_;
  const std::string path_;
  const std::size_t bytes_max_;
  Mark mark_;
  int trouble_ = 0;  // errno that was told
};

}  // namespace ringpost::helperd
