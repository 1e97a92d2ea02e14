#include "ringpost/sasl/mechanism.hh"

#include <utility>
#include <vector>

#include "ringpost/base/ascii.hh"
#include "ringpost/base/base64.hh"

namespace ringpost::sasl {

namespace {

Response decode(std::string_view text) {
  std::vector<std::byte> bytes(base64_bytes_max(text.size()));
  const std::optional<std::size_t> size = decode_base64(text, bytes);
  if (!size) {
    wipe(bytes);
    return {.kind = Response::Kind::malformed};
  }
  bytes.resize(*size);
  return {.kind = Response::Kind::data, .bytes = SecretBytes{std::move(bytes)}};
}

}  // namespace

std::optional<Mechanism> mechanism_named(std::string_view name) {
  for (Mechanism mechanism : kMechanisms)
    if (equal_ignoring_case(name, name_of(mechanism))) return mechanism;
  return std::nullopt;
}

std::string_view name_of(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::plain: return "PLAIN";
    case Mechanism::login: return "LOGIN";
    case Mechanism::scram_sha_256: return "SCRAM-SHA-256";
    case Mechanism::scram_sha_256_plus: return "SCRAM-SHA-256-PLUS";
    case Mechanism::external: return "EXTERNAL";
    case Mechanism::oauthbearer: return "OAUTHBEARER";
    case Mechanism::xoauth2: return "XOAUTH2";
  }
  RP_ASSERT(false);
}

bool reveals_secret(Mechanism mechanism) {
  return mechanism == Mechanism::plain || mechanism == Mechanism::login || mechanism == Mechanism::oauthbearer ||
         mechanism == Mechanism::xoauth2;
}

bool needs_tls(Mechanism mechanism) { return mechanism == Mechanism::scram_sha_256_plus || mechanism == Mechanism::external; }

Response parse_initial_response(std::string_view text) {
  if (text.empty()) return {};
  if (text == "=") return {.kind = Response::Kind::data};
  return decode(text);
}

Response parse_response(std::string_view line) {
  if (line == "*") return {.kind = Response::Kind::cancelled};
  return decode(line);
}

}  // namespace ringpost::sasl
