// Lines that Dovecot sends, or somebody in its place: any bytes get a verdict, and who has logged in has a name that can be one.
#include <algorithm>

#include "ringpost/base/assert.hh"
#include "ringpost/helperd/dovecot_protocol.hh"

using namespace ringpost;
using namespace ringpost::helperd::dovecot;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = parse_line({reinterpret_cast<const char*>(data), size});
  const auto* answer = message ? std::get_if<Answer>(&*message) : nullptr;
  if (!answer) return 0;
  RP_ASSERT((answer->outcome == Answer::Outcome::ok) == !answer->user.empty() && answer->user.size() <= 255);
  RP_ASSERT(std::ranges::none_of(answer->user, [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
  return 0;
}
