#include "ringpost/tokens/introspection.hh"

#include <vector>

#include "tokens/claims.hh"

namespace ringpost::tokens {

namespace {

bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

}  // namespace

SecretBytes introspection_form(std::string_view token) {
  constexpr std::string_view kBefore = "token=", kBehind = "&token_type_hint=access_token", kHex = "0123456789ABCDEF";
  std::vector<std::byte> form;
  form.reserve(kBefore.size() + 3 * token.size() + kBehind.size());
  const auto add = [&](std::string_view text) {
    for (std::byte b : as_bytes(text)) form.push_back(b);
  };
  add(kBefore);
  for (char c : token) {
    const auto value = static_cast<unsigned char>(c);
    const char escape[] = {'%', kHex[value >> 4], kHex[value & 15]};
    add(stands_for_itself(c) ? std::string_view{&c, 1} : std::string_view{escape, 3});
  }
  add(kBehind);
  return SecretBytes{std::move(form)};
}

std::expected<Owner, TokenFault> read_introspection(std::string_view body, const Demands& demands) {
  if (body.size() > kAnswerBytesMax) return std::unexpected(TokenFault::malformed);
  const std::optional<nlohmann::json> answer = parse_object(body);
  if (!answer) return std::unexpected(TokenFault::malformed);
  const auto active = answer->find("active");
  if (active == answer->end() || !active->is_boolean()) return std::unexpected(TokenFault::malformed);
  if (*active != true) return std::unexpected(TokenFault::inactive);
  return owner_of(*answer, demands, Source::introspection);
}

}  // namespace ringpost::tokens
