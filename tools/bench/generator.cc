#include "bench/generator.hh"

#include <algorithm>
#include <cstring>
#include <utility>

#include "bench/content_digest.hh"

namespace ringpost::bench {

namespace {

constexpr std::size_t kTextBytes = 256 * 1024;
constexpr std::uint64_t kLineCharsMax = 76;  // without its newline
constexpr std::string_view kLetters = "etaoinshrdlu etaoinshrdlu cmfwyp vbgkjqxz ETAOIN 0123456789 ,:;-";

/// As of wrapped text: most lines nearly full, some the ends of paragraphs, some empty.
std::uint64_t line_chars(Prng& prng) {
  constexpr std::uint64_t kMost = kLineCharsMax - 3;  // dots may stand before them
  if (prng.one_in(8)) return 0;
  return prng.one_in(4) ? prng.below(kMost) + 1 : kMost - prng.below(10);
}

std::string make_text(Prng prng, bool eight_bit, std::vector<std::uint32_t>& line_starts) {
  std::string text;
  text.reserve(kTextBytes + kLineCharsMax + 2);
  while (text.size() < kTextBytes) {
    line_starts.push_back(static_cast<std::uint32_t>(text.size()));
    // Lines that a careless end-of-data scanner stumbles over: ".", "..", ".text". So few that a server is busy with the rest.
    if (prng.one_in(32)) text.append(prng.below(3) + 1, '.');
    std::uint64_t chars = line_chars(prng);
    for (std::uint64_t i = 0; i < chars; ++i) {
      bool high = eight_bit && prng.one_in(8);
      text.push_back(high ? static_cast<char>(0x80 + prng.below(0x80)) : kLetters[prng.below(kLetters.size())]);
    }
    text.append("\r\n");
  }
  return text;
}

}  // namespace

Generator::Generator(GeneratorOptions options) : options_(std::move(options)) {
  text_ = make_text(Prng{options_.seed}, options_.eight_bit, line_starts_);
}

void Generator::make(std::uint64_t number, GeneratedMessage& into) const {
  Prng prng{options_.seed * 0x9e3779b97f4a7c15u + number};
  std::size_t bytes = options_.kept ? 0 : options_.bytes.draw(prng);
  into.recipients = static_cast<std::uint32_t>(options_.recipients.draw(prng));
  into.token.assign(options_.run).append(1, '-').append(std::to_string(number));

  std::string& content = into.content;
  content.assign(kTokenField).append(": ").append(into.token).append("\r\n");
  if (options_.kept) {
    content.append((*options_.kept)[number % options_.kept->size()]);
    return;
  }
  std::string_view fields = options_.eight_bit
                                ? "From: Bench <bench@example.org>\r\nTo: undisclosed-recipients:;\r\nSubject: A message of a "
                                  "benchmark\r\nMIME-Version: 1.0\r\n"
                                  "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n"
                                : "From: Bench <bench@example.org>\r\nTo: undisclosed-recipients:;\r\nSubject: A message of a "
                                  "benchmark\r\nMIME-Version: 1.0\r\n"
                                  "Content-Type: text/plain; charset=us-ascii\r\n";
  constexpr std::size_t kEnds = 4;  // the empty line, and the body's last CRLF
  if (content.size() + fields.size() + kEnds <= bytes) content.append(fields);
  content.append("\r\n");
  std::size_t header = content.size();
  // The size it passes is the capacity with some versions of libstdc++.
  content.resize_and_overwrite(bytes, [&](char* to, std::size_t) {
    fill_body(prng, to + header, bytes - header);
    return bytes;
  });
}

// A window into the text that begins with a line, wraps around, and ends with CRLF wherever it is cut.
void Generator::fill_body(Prng& prng, char* to, std::size_t bytes) const {
  std::size_t from = line_starts_[prng.below(line_starts_.size())];
  for (std::size_t done = 0; done < bytes;) {
    std::size_t count = std::min(bytes - done, text_.size() - from);
    std::memcpy(to + done, text_.data() + from, count);
    done += count;
    from = 0;
  }
  if (bytes >= 3 && to[bytes - 3] == '\r') to[bytes - 3] = '-';
  to[bytes - 2] = '\r';
  to[bytes - 1] = '\n';
}

}  // namespace ringpost::bench
