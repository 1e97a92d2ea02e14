// Whatever a client brings as a token, and an issuer as keys or an answer: any bytes get a verdict, and no token is good that
// nobody signed.
#include <string>

#include "ringpost/base/assert.hh"
#include "ringpost/base/base64.hh"
#include "ringpost/tokens/introspection.hh"
#include "ringpost/tokens/jwt.hh"

using namespace ringpost;
using namespace ringpost::tokens;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static const std::vector<Key> kKeys =
      *parse_key_set(R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
  const Demands demands{
      .issuer = "i", .audience = "a", .login_claim = "sub", .now = std::chrono::sys_seconds{std::chrono::seconds{1000}}};
  const auto check = [&](std::string_view token) {
    const auto owner = check_jwt(token, kKeys, demands);
    RP_ASSERT(!owner && !name_of(owner.error()).empty());
  };
  check(text);
  // The input is a header and a payload, too, which would rarely come out of random base64.
  const std::size_t half = text.find('\n') == text.npos ? size / 2 : text.find('\n');
  check(encode_base64(as_bytes(text.substr(0, half)), Base64::url) + '.' +
        encode_base64(as_bytes(text.substr(half)), Base64::url) + '.' + std::string(86, 'A'));
  if (const auto keys = parse_key_set(text)) RP_ASSERT(keys->size() <= kKeysMax);
  if (const auto owner = read_introspection(text, demands)) RP_ASSERT(!owner->login.empty() && owner->login.size() <= 255);
  return 0;
}
