// The file of accounts as it stands on disk now.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "ringpost/accounts/accounts.hh"
#include "ringpost/base/log.hh"
#include "ringpost/helperd/watched_file.hh"

namespace ringpost::helperd {

/// Blocks, and is meant for the workers' threads. A file that cannot be read or parsed leaves what was there before in force, and
/// says so in the log once.
class AccountsFile {
 public:
  AccountsFile(Log& log, std::string path);

  /// Looks whether the file is another one than last time. Null: there was never a sound one.
  std::shared_ptr<const accounts::Accounts> current();

 private:
  Log& log_;
  std::mutex mutex_;
  WatchedFile file_;
  std::shared_ptr<const accounts::Accounts> accounts_;
};

}  // namespace ringpost::helperd
