#include "shard/callout_verifier.hh"

namespace ringpost::shard {

runtime::Task<smtp::Reply> CalloutVerifier::verify(std::string address) {
  using Verdict = deliver::CalloutResult::Verdict;
  const deliver::CalloutResult result = co_await callouts_.ask(std::move(address));
  switch (result.verdict) {
    case Verdict::exists: break;
    case Verdict::unsure:
      if (settings_->callout.when_unsure == config::WhenUnsure::defer) co_return smtp::replies::kCannotTell;
      break;
    case Verdict::does_not:
      // X.1.* is about the address (RFC 3463 section 3.2); whatever else it has against this recipient, the client may know it.
      if (result.enhanced.klass != 5 || result.enhanced.subject == 1) co_return smtp::replies::kNoSuchUser;
      co_return smtp::Reply{550, result.enhanced, "The next hop refuses this recipient"};
  }
  co_return smtp::Reply{};
}

}  // namespace ringpost::shard
