// Frames from a sibling that has gone bad: any bytes get a verdict, and what is accepted has one form only.
#include "../../unit/keys/samples.hh"

using namespace ringpost;
using namespace ringpost::keys::protocol;

namespace {

void check(Bytes frame) {
  const std::vector<std::byte> again = canonical(frame);
  RP_ASSERT(again.empty() || as_text(again) == as_text(frame));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input{reinterpret_cast<const std::byte*>(data), size};
  check(input);
  if (input.empty()) return 0;
  // A good frame, changed as the input says: random bytes alone would rarely get past a header.
  std::vector<std::byte> frame = sample_frame(kKinds[data[0] % std::size(kKinds)], (data[0] & 4) != 0);
  for (Bytes changes = input.subspan(1); changes.size() >= 3; changes = changes.subspan(3))
    frame[load_le<std::uint16_t>(changes.data()) % frame.size()] ^= changes[2];
  check(frame);
  return 0;
}
