// How large messages are: a number, a range, or several of them by weight.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/prng.hh"

namespace ringpost::bench {

/// A decimal number, times 1024 with k behind it, 1,048,576 with M. Errors: none fits.
std::expected<std::uint64_t, std::string> parse_number(std::string_view text);

/// Both ends included.
struct Range {
  std::uint64_t min = 1, max = 1;
  std::uint64_t draw(Prng& prng) const { return min == max ? min : min + prng.below(max - min + 1); }
  /// NUMBER or MIN-MAX within the bounds. Errors: what is wrong, in words.
  static std::expected<Range, std::string> parse(std::string_view text, std::uint64_t min, std::uint64_t max);
};

class Distribution {
 public:
  Distribution(Range range) : parts_{{range, 1}}, weight_(1) {}
  /// RANGE or RANGE:WEIGHT, separated by commas; "1k-8k:80,64k:15,1M-5M:5". Errors: what is wrong, in words.
  static std::expected<Distribution, std::string> parse(std::string_view text, std::uint64_t min, std::uint64_t max);

  std::uint64_t draw(Prng& prng) const;
  std::string text() const;

 private:
  Distribution() = default;
  struct Part {
    Range range;
    std::uint64_t weight;
  };
  std::vector<Part> parts_;
  std::uint64_t weight_ = 0;
};

}  // namespace ringpost::bench
