#include "ringpost/sasl/saslprep.hh"

#include <stringprep.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ringpost/base/ascii.hh"

namespace ringpost::sasl {

namespace {

SecretBytes copy_of(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  return SecretBytes{std::vector<std::byte>(bytes.begin(), bytes.end())};
}

}  // namespace

std::optional<SecretBytes> saslprep(std::string_view text) {
  if (text.empty() || text.size() > kPreparedBytesMax) return std::nullopt;
  if (std::ranges::any_of(text, is_control)) return std::nullopt;  // RFC 4013 section 2.3; NUL would end the library's string
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return copy_of(text);
  char buffer[kPreparedBytesMax + 1];
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  std::optional<SecretBytes> prepared;
  if (::stringprep(buffer, sizeof buffer, static_cast<Stringprep_profile_flags>(0), stringprep_saslprep) == STRINGPREP_OK &&
      buffer[0] != '\0')
    prepared = copy_of(buffer);
  wipe(std::as_writable_bytes(std::span{buffer}));
  return prepared;
}

}  // namespace ringpost::sasl
