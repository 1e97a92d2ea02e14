// Whether a recipient exists, where only its next hop knows: the seam between the conversation and delivery.
#pragma once

#include <string>

#include "ringpost/runtime/task.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::receive {

class RecipientVerifier {
 public:
  virtual ~RecipientVerifier() = default;
  /// What a RCPT for the mailbox `address` (no brackets) is answered. Code 0: it is welcome.
  /// Lifetime: the reply's text is a literal.
  virtual runtime::Task<smtp::Reply> verify(std::string address) = 0;
};

}  // namespace ringpost::receive
