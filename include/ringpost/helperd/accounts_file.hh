// The file of accounts as it stands on disk now.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "ringpost/accounts/accounts.hh"
#include "ringpost/base/log.hh"

namespace ringpost::helperd {

/// Blocks, and is meant for the workers' threads. A file that cannot be read or parsed leaves what was there before in force, and
/// says so in the log once.
class AccountsFile {
 public:
  AccountsFile(Log& log, std::string path) : log_(log), path_(std::move(path)) {}

  /// Looks whether the file is another one than last time. Null: there was never a sound one.
  std::shared_ptr<const accounts::Accounts> current();

 private:
  struct Mark {  // tells one state of a file from another
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t modified_s = 0, modified_ns = 0;
    friend bool operator==(const Mark&, const Mark&) = default;
  };
  std::shared_ptr<const accounts::Accounts> read(int file);

  Log& log_;
  const std::string path_;
  std::mutex mutex_;
  Mark mark_;
  int trouble_ = 0;  // errno that was told
  std::shared_ptr<const accounts::Accounts> accounts_;
};

}  // namespace ringpost::helperd
