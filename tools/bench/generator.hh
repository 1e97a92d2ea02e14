// Messages by number: made up from a seed (the same seed, run and number give the same bytes, on any machine), or kept ones.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/distribution.hh"
#include "bench/mailbox.hh"
#include "ringpost/base/prng.hh"

namespace ringpost::bench {

/// Less has no room for the token.
inline constexpr std::uint64_t kMessageBytesMin = 128;
/// Of a run's name, so that token and number fit into a token.
inline constexpr std::size_t kRunBytesMax = 40;

struct GeneratorOptions {
  std::string run;  ///< is_token, at most kRunBytesMax
  std::uint64_t seed = 1;
  Distribution bytes = Range{4096, 4096};  ///< of the whole message, header included; at least kMessageBytesMin
  Range recipients{1, 1};
  bool eight_bit = false;  ///< the body holds octets above 127
  std::shared_ptr<const Messages> kept;  ///< these are sent, one after the other and again, with the token in front; null: made-up ones
};

struct GeneratedMessage {
  std::string token;    ///< RUN-NUMBER
  std::string content;  ///< header and body, CRLF, no dots added; ends with CRLF
  std::uint32_t recipients = 1;
};

/// Threads: make() may run in many at once.
class Generator {
 public:
  explicit Generator(GeneratorOptions options);
  /// Message `number`, into memory that is used again.
  void make(std::uint64_t number, GeneratedMessage& into) const;
  const GeneratorOptions& options() const { return options_; }

 private:
  void fill_body(Prng& prng, char* to, std::size_t bytes) const;

  GeneratorOptions options_;
  std::string text_;  // lines of all lengths, some of them dots; bodies are windows into it
  std::vector<std::uint32_t> line_starts_;
};

}  // namespace ringpost::bench
