// The index of any bytes keeps its invariants and does not depend on the split.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../unit/mime/support.hh"

using ringpost::mime::Index;
using ringpost::mime::Limits;
namespace testing = ringpost::mime::testing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // The first byte picks the limits, the second how the rest is cut.
  const Limits tight{
      .parts_max = 4, .depth_max = 2, .fields_max = 6, .header_bytes_max = 200, .field_bytes_max = 2048, .boundary_bytes_max = 8};
  const Limits small{.parts_max = 100, .depth_max = 8, .fields_max = 200, .header_bytes_max = 4096, .field_bytes_max = 2048};
  const Limits& limits = (data[0] & 1) != 0 ? tight : small;
  const std::size_t step = 1 + data[1] % 61U;
  const std::string_view message(reinterpret_cast<const char*>(data) + 2, size - 2);

  std::vector<std::size_t> cuts;
  for (std::size_t at = step; at < message.size(); at += step) cuts.push_back(at);
  const Index whole = testing::index_of(message, limits);
  const Index pieces = testing::index_of_pieces(message, cuts, limits);
  const std::string broken = testing::broken_invariant(whole, message.size());
  if (whole == pieces && broken.empty()) return 0;
  std::fprintf(stderr, "%s\nwhole:\n%s\nin steps of %zu:\n%s", broken.c_str(), testing::describe(whole, message).c_str(), step,
               testing::describe(pieces, message).c_str());
  std::abort();
}
