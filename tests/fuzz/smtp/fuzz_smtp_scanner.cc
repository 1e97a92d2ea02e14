// Every implementation of the scanner against the plain one.
#include "fuzz_support.hh"
#include "ringpost/smtp/scanner.hh"

using namespace ringpost;
using namespace ringpost::smtp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Prng random = fuzz::take_seed(text);
  TextState start{.line_start = random.one_in(2)};
  if (!start.line_start) start.line_bytes = start.longest_line = random.below(2000);
  const Scanner& plain = scanners().front();
  for (const Scanner& scanner : scanners()) {
    // From several starts, so that every byte is met at every place of a block.
    for (std::size_t from = 0; from < text.size() && from < 66; from += 13) {
      Bytes rest = as_bytes(text.substr(from));
      FUZZ_CHECK(scanner.find_line_end(rest) == plain.find_line_end(rest));
      for (Dots dots : {Dots::pass, Dots::stop}) {
        TextState expected = start, state = start;
        FUZZ_CHECK(scanner.scan_text(rest, state, dots) == plain.scan_text(rest, expected, dots));
        FUZZ_CHECK(state == expected);
      }
    }
  }
  return 0;
}
