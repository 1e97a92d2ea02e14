// What the fuzz targets of this module share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/prng.hh"

#define FUZZ_CHECK(condition) RP_ASSERT(condition)

namespace ringpost::smtp::fuzz {

/// Takes the first eight bytes of the fuzzer's input as a seed and leaves the rest.
inline Prng take_seed(std::string_view& input) {
  std::uint64_t seed = 0;
  std::size_t size = input.size() < 8 ? input.size() : 8;
  for (char c : input.substr(0, size)) seed = seed << 8 | static_cast<unsigned char>(c);
  input.remove_prefix(size);
  return Prng(seed);
}

/// Cuts `text` into pieces, each in memory of its own; sometimes into few large ones, sometimes into single bytes.
inline std::vector<std::vector<std::byte>> cut(std::string_view text, Prng& random) {
  std::vector<std::vector<std::byte>> pieces;
  std::size_t most = random.one_in(3) ? 1 : random.one_in(2) ? 5 : 1 + text.size();
  while (!text.empty()) {
    std::size_t size = std::min<std::size_t>(text.size(), 1 + random.below(most));
    Bytes piece = as_bytes(text.substr(0, size));
    pieces.emplace_back(piece.begin(), piece.end());
    text.remove_prefix(size);
  }
  return pieces;
}

}  // namespace ringpost::smtp::fuzz
