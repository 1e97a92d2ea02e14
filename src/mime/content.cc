#include "content.hh"

#include <utility>

#include "assemble.hh"
#include "digits.hh"
#include "ringpost/mime/parameters.hh"
#include "scan.hh"

namespace ringpost::mime {
namespace {

template <typename Value>
struct Word {
  std::string_view text;
  Value value;
};

constexpr Word<MediaType> kMediaTypes[] = {
    {"text", MediaType::text},
    {"multipart", MediaType::multipart},
    {"message", MediaType::message},
    {"image", MediaType::image},
    {"audio", MediaType::audio},
    {"video", MediaType::video},
    {"application", MediaType::application},
};
constexpr Word<Encoding> kEncodings[] = {
    {"7bit", Encoding::seven_bit},    {"8bit", Encoding::eight_bit},
    {"binary", Encoding::binary},     {"quoted-printable", Encoding::quoted_printable},
    {"base64", Encoding::base64},     {"x-uuencode", Encoding::uuencode},
    {"uuencode", Encoding::uuencode}, {"x-uue", Encoding::uuencode},
};
constexpr Word<Disposition> kDispositions[] = {
    {"inline", Disposition::inline_}, {"attachment", Disposition::attachment}, {"form-data", Disposition::form_data}};

template <typename Value>
Value look_up(std::span<const Word<Value>> words, std::string_view text, Value otherwise) {
  for (const Word<Value>& word : words) {
    if (equal_ignoring_case(word.text, text)) return word.value;
  }
  return otherwise;
}

/// Places views into the value back into the message.
class Locator {
 public:
  Locator(std::string_view value, std::uint64_t begin) : value_(value), begin_(begin) {}
  Extent operator()(std::string_view inside) const {
    if (inside.empty()) return {};
    return {begin_ + static_cast<std::uint64_t>(inside.data() - value_.data()), static_cast<std::uint32_t>(inside.size())};
  }

 private:
  std::string_view value_;
  std::uint64_t begin_;
};

/// The first mention of a parameter is noted, a further one is flagged unless it is another piece of the same.
void note(Part& part, Extent& place, const Parameter& parameter, std::string_view text, const Locator& locate, bool& plain_seen) {
  const bool plain = parameter.section < 0 && !parameter.extended;
  if (plain && plain_seen) part.flags.set(Flag::duplicate_parameter);
  plain_seen |= plain;
  if (!place) place = locate(text);
}

/// Writes the boundary without quotes, escapes, folds, continuations and trailing blanks (RFC 2046: it cannot end in one).
void read_boundary(std::string_view value, Part& part, Content& content, std::span<char> out) {
  const Pieces pieces = collect_pieces(value, "boundary");
  if (pieces.duplicate) part.flags.set(Flag::duplicate_parameter);
  std::size_t length = 0;
  bool fits = true;
  const auto put = [&](char c) {
    if (length == out.size()) return fits = false;
    out[length++] = c;
    return true;
  };
  if (pieces.plain) {
    put_unescaped(*pieces.plain, pieces.plain->word(), put);
  } else {
    bool first = true;
    for (const Parameter& piece : pieces.in_order()) {
      std::string_view text = piece.word();
      if (piece.extended && first) {
        const std::size_t language = text.find('\'');
        const std::size_t begin = language == kNowhere ? kNowhere : text.find('\'', language + 1);
        if (begin != kNowhere) text.remove_prefix(begin + 1);
      }
      first = false;
      if (!piece.extended) {
        put_unescaped(piece, text, put);
        continue;
      }
      for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escaped = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        put(escaped ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i]);
        if (escaped) i += 2;
      }
    }
  }
  if (!fits) {
    part.flags.set(Flag::boundary_too_long);
    return;
  }
  content.boundary_length = static_cast<std::uint32_t>(trim_right({out.data(), length}).size());
}

void read_type(std::string_view value, const Locator& locate, Part& part, Content& content, std::span<char> boundary) {
  ParameterScanner scanner(value);
  part.type_name = locate(scanner.first());
  part.subtype = locate(scanner.second());
  // RFC 2045 section 5.2: what is no media type counts as text/plain.
  if (scanner.first().empty() || scanner.second().empty()) part.flags.set(Flag::bad_content_type);
  if (!scanner.first().empty()) part.type = look_up<MediaType>(kMediaTypes, scanner.first(), MediaType::other);
  content.holds_message = part.type == MediaType::message &&
                          (equal_ignoring_case(scanner.second(), "rfc822") || equal_ignoring_case(scanner.second(), "global"));
  content.digest = part.type == MediaType::multipart && equal_ignoring_case(scanner.second(), "digest");

  bool charset_seen = false;
  bool name_seen = false;
  bool boundary_seen = false;
  Parameter parameter;
  while (scanner.next(parameter)) {
    if (equal_ignoring_case(parameter.name, "charset")) {
      note(part, part.charset, parameter, parameter.word(), locate, charset_seen);
    } else if (equal_ignoring_case(parameter.name, "name")) {
      note(part, part.name, parameter, parameter.value, locate, name_seen);
    } else if (equal_ignoring_case(parameter.name, "boundary")) {
      note(part, part.boundary, parameter, parameter.word(), locate, boundary_seen);
    }
  }
  if (part.type == MediaType::multipart && part.boundary) read_boundary(value, part, content, boundary);
}

void read_disposition(std::string_view value, const Locator& locate, Part& part) {
  ParameterScanner scanner(value);
  part.disposition = look_up<Disposition>(kDispositions, scanner.first(), Disposition::other);
  bool filename_seen = false;
  Parameter parameter;
  while (scanner.next(parameter)) {
    if (equal_ignoring_case(parameter.name, "filename")) {
      note(part, part.filename, parameter, parameter.value, locate, filename_seen);
    }
  }
}

/// True the first time; after that the part gets the flag.
bool first_time(bool& seen, Part& part, Flag duplicate) {
  if (seen) part.flags.set(duplicate);
  return !std::exchange(seen, true);
}

}  // namespace

void read_content_field(HeaderId id, std::string_view value, std::uint64_t value_begin, Part& part, Content& content,
                        std::span<char> boundary) {
  const Locator locate(value, value_begin);
  if (id == HeaderId::content_type) {
    if (first_time(content.type_seen, part, Flag::duplicate_content_type)) read_type(value, locate, part, content, boundary);
  } else if (id == HeaderId::content_transfer_encoding) {
    if (!first_time(content.encoding_seen, part, Flag::duplicate_encoding)) return;
    const std::string_view word = ParameterScanner(value).first();
    part.encoding = look_up<Encoding>(kEncodings, word, Encoding::unknown);
  } else if (id == HeaderId::content_disposition) {
    if (first_time(content.disposition_seen, part, Flag::duplicate_disposition)) read_disposition(value, locate, part);
  }
}

}  // namespace ringpost::mime
