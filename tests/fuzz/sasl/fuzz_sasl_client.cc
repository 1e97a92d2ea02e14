// A hostile server: its challenges, one a line. Whatever it says gets an answer, the work asked for is bounded, and nothing but the right
// signature makes a client of SCRAM believe it.
#include <string_view>

#include "ringpost/sasl/client.hh"
#include "ringpost/sasl/scram.hh"

using namespace ringpost;
using namespace ringpost::sasl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  constexpr Mechanism kAll[] = {Mechanism::plain, Mechanism::login, Mechanism::scram_sha_256, Mechanism::scram_sha_256_plus};
  const Mechanism mechanism = kAll[data[0] % 4];
  const bool is_scram = mechanism == Mechanism::scram_sha_256 || mechanism == Mechanism::scram_sha_256_plus;
  std::optional<ScramClientKeys> kept;
  ClientExchange client{mechanism, {"user", "pencil"}, {.client_nonce = "rOprNGfwEbeRWgbNEkqO", .channel_binding = std::array<std::byte, 32>{}, .kept = kept}};
  ClientExchange::Next next = client.start();
  for (int challenges = 0; next == ClientExchange::Next::say; ++challenges) {
    RP_ASSERT(challenges < 4 && (!is_scram || !client.complete()));
    const std::size_t end = std::min(text.find('\n'), text.size());
    next = client.take(as_bytes(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    for (std::uint32_t done = 0; next == ClientExchange::Next::work; done += 100'000) {
      RP_ASSERT(done <= kScramIterationsMax);
      next = client.work(100'000);
      if (next == ClientExchange::Next::work) return 0;  // a fuzzer has no time for more
    }
  }
  (void)client.failure();
  return 0;
}
