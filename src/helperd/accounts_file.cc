#include "ringpost/helperd/accounts_file.hh"

namespace ringpost::helperd {

namespace {
constexpr std::size_t kBytesMax = 64 * 1024 * 1024;
}

AccountsFile::AccountsFile(Log& log, std::string path) : log_(log), file_(log, std::move(path), kBytesMax) {}

std::shared_ptr<const accounts::Accounts> AccountsFile::current() {
  std::lock_guard lock{mutex_};
  const auto text = file_.renewed();
  if (!text) return accounts_;
  auto parsed = accounts::Accounts::parse(text->text());
  if (!parsed) {
    log_.error("the file of accounts has an error, and the accounts stay as they were",
               {{"file", OperatorText{file_.path()}}, {"line", parsed.error().line}, {"why", OperatorText{parsed.error().why}}});
    return accounts_;
  }
  log_.info("accounts were read", {{"file", OperatorText{file_.path()}}, {"accounts", parsed->all().size()}});
  accounts_ = std::make_shared<accounts::Accounts>(std::move(*parsed));
  return accounts_;
}

}  // namespace ringpost::helperd
