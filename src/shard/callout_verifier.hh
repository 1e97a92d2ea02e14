// What a RCPT is answered by what its next hop said.
#pragma once

#include <memory>

#include "ringpost/config/settings.hh"
#include "ringpost/deliver/callouts.hh"
#include "ringpost/receive/verifier.hh"

namespace ringpost::shard {

/// `callouts` outlives it.
class CalloutVerifier final : public receive::RecipientVerifier {
 public:
  CalloutVerifier(deliver::Callouts& callouts, std::shared_ptr<const config::Settings> settings)
      : callouts_(callouts), settings_(std::move(settings)) {}

  runtime::Task<smtp::Reply> verify(std::string address) override;
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }

 private:
  deliver::Callouts& callouts_;
  std::shared_ptr<const config::Settings> settings_;
};

}  // namespace ringpost::shard
