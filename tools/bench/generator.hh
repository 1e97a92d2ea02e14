// Messages made up from a seed: the same seed, run and number give the same bytes, on any machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ringpost/base/prng.hh"

namespace ringpost::bench {

/// Both ends included.
struct Range {
  std::uint64_t min = 1, max = 1;
  std::uint64_t draw(Prng& prng) const { return min == max ? min : min + prng.below(max - min + 1); }
};

/// Less has no room for the token.
inline constexpr std::uint64_t kMessageBytesMin = 128;
/// Of a run's name, so that token and number fit into a token.
inline constexpr std::size_t kRunBytesMax = 40;

struct GeneratorOptions {
  std::string run;  ///< is_token, at most kRunBytesMax
  std::uint64_t seed = 1;
  Range bytes{4096, 4096};  ///< of the whole message, header included; at least kMessageBytesMin
  Range recipients{1, 1};
  bool eight_bit = false;  ///< the body holds octets above 127
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
