// The file of accounts, changed by one operator at a time.
#pragma once

#include <string>

#include "ringpost/accounts/accounts.hh"

namespace ringpost::ctl {

/// Holds a lock on `path`.lock for as long as it lives, so that two changes follow each other. Everything throws Failure.
class AccountsFile {
 public:
  explicit AccountsFile(std::string path);
  AccountsFile(const AccountsFile&) = delete;
  ~AccountsFile();

  accounts::Accounts& accounts() { return accounts_; }
  /// Puts a new file in the old one's place: whoever reads sees the one or the other. It belongs to whom the old one belonged to; a
  /// first one to root and, where there is one, the group ringpost-helper.
  void write();

 private:
  const std::string path_;
  int lock_ = -1;
  accounts::Accounts accounts_;
};

}  // namespace ringpost::ctl
