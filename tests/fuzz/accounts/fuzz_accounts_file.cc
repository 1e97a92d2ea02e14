// A file of accounts that somebody spoiled: any bytes get a verdict, and what is taken has one written form.
#include <string>

#include "ringpost/accounts/verify.hh"

using namespace ringpost;
using namespace ringpost::accounts;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  // Without its first line nothing is read: it stands there anyway.
  for (const std::string& file : {std::string{text}, "ringpost-accounts 1\naccount a\n" + std::string{text}}) {
    const std::expected<Accounts, ParseError> found = Accounts::parse(file);
    if (!found) {
      RP_ASSERT(found.error().line >= 1 && !found.error().why.empty());
      continue;
    }
    const SecretBytes written = found->format();
    const std::expected<Accounts, ParseError> again = Accounts::parse(written.text());
    RP_ASSERT(again && again->format().text() == written.text() && again->all().size() == found->all().size());
    for (const Account& account : found->all()) {
      RP_ASSERT(found->find(account.login) == &account);
      RP_ASSERT(admit(*found, account.login).outcome == (account.disabled ? Outcome::disabled : Outcome::ok));
      may_send_as(senders_of(account), text);
    }
    scram_keys(*found, text, Key256{});
  }
  return 0;
}
