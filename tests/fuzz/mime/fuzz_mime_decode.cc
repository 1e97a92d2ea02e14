// Decoders stay inside their output, use up their input or say so, and make valid UTF-8 where they promise it.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "ringpost/mime/decode.hh"
#include "ringpost/mime/parameters.hh"

namespace mime = ringpost::mime;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Structure only: lead bytes with as many continuation bytes as they announce.
bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const int more = byte < 0x80 ? 0 : (byte & 0xe0) == 0xc0 ? 1 : (byte & 0xf0) == 0xe0 ? 2 : (byte & 0xf8) == 0xf0 ? 3 : -1;
    if (more < 0) return false;
    for (int i = 0; i < more; ++i) {
      if (++at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

/// Decoding in small steps gives what decoding at once gives.
template <typename Decode>
void decode_in_steps(Decode decode, std::string_view in, std::size_t cap) {
  std::string whole(in.size() * 64 + 64, '\0');
  const mime::Decoded once = decode(in, whole);
  require(!once.truncated && once.consumed == in.size() && once.written <= whole.size());
  whole.resize(once.written);

  std::string joined;
  std::string out(cap, '\0');
  for (;;) {
    const mime::Decoded piece = decode(in, out);
    require(piece.written <= cap && piece.consumed <= in.size());
    joined.append(out, 0, piece.written);
    if (!piece.truncated) break;
    require(piece.consumed > 0);
    in.remove_prefix(piece.consumed);
  }
  require(joined == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t cap = 64 + data[0];
  const std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  decode_in_steps(mime::decode_base64, in, cap);
  decode_in_steps(mime::decode_quoted_printable, in, cap);
  decode_in_steps(mime::decode_uuencode, in, cap);

  std::string out(data[0], '\0');
  const mime::Text words = mime::decode_words(in, out);
  require(words.text.size() <= out.size() && is_utf8(words.text));
  const mime::Text name = mime::decode_parameter(in, "name", out);
  require(name.text.size() <= out.size() && is_utf8(name.text));

  mime::ParameterScanner scanner(in);
  mime::Parameter parameter;
  while (scanner.next(parameter)) {
    require(!parameter.name.empty() && parameter.section >= -1);
    require(parameter.value.empty() ||
            (parameter.value.data() >= in.data() && parameter.value.data() + parameter.value.size() <= in.data() + in.size()));
  }
  return 0;
}
