#include "ringpost/tokens/introspection.hh"

#include <vector>

#include "tokens/claims.hh"

namespace ringpost::tokens {

namespace {

bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

/// application/x-www-form-urlencoded, in memory that is wiped. `bytes_max` is never exceeded: nothing is moved and left behind.
class Form {
 public:
  explicit Form(std::size_t bytes_max) { bytes_.reserve(bytes_max); }
  void add(std::string_view text) {
    for (std::byte b : as_bytes(text)) bytes_.push_back(b);
  }
  void add_encoded(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (char c : text) {
      const auto value = static_cast<unsigned char>(c);
      const char escape[] = {'%', kHex[value >> 4], kHex[value & 15]};
      add(stands_for_itself(c) ? std::string_view{&c, 1} : std::string_view{escape, 3});
    }
  }
  SecretBytes finish() { return SecretBytes{std::move(bytes_)}; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

SecretBytes introspection_form(std::string_view token) {
  constexpr std::string_view kBefore = "token=", kBehind = "&token_type_hint=access_token";
  Form form{kBefore.size() + 3 * token.size() + kBehind.size()};
  form.add(kBefore);
  form.add_encoded(token);
  form.add(kBehind);
  return form.finish();
}

SecretBytes introspection_credentials(std::string_view id, std::string_view secret) {
  Form both{3 * id.size() + 3 * secret.size() + 2};
  both.add_encoded(id);
  both.add(":");
  both.add_encoded(secret);
  both.add(std::string_view{"\0", 1});
  return both.finish();
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
