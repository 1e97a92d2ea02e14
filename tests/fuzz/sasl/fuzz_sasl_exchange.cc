// A hostile client: a mechanism, then its lines. Whatever it says gets a step; nobody is let in without an answer of ours, and no
// name handed out holds what a name may not.
#include <algorithm>
#include <string_view>

#include "../../unit/sasl/support.hh"

using namespace ringpost;
using namespace ringpost::sasl;

namespace {

void check_name(std::string_view name) {
  RP_ASSERT(name.size() <= kIdentityBytesMax);
  RP_ASSERT(std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
}

/// The next line, or nothing when there are no more.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

ScramKeys some_keys() {
  const std::byte salt[16] = {};
  const std::byte key[32] = {std::byte{7}};
  return {4096, {salt, salt + 16}, Key256{Bytes{key}}, Key256{Bytes{key}}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};
  const bool plus = (data[1] & 1) != 0, encoded = (data[1] & 2) != 0, willing = (data[1] & 4) != 0, initial = (data[1] & 8) != 0;
  Circumstances here{.server_nonce = kNonce, .plus_offered = plus};
  if (plus) here.channel_binding.emplace();
  Exchange exchange{kMechanisms[data[0] % std::size(kMechanisms)], here};

  const auto line = [&] { return encoded ? parse_response(next_line(text)) : says(next_line(text)); };
  Step step;
  if (!initial)
    step = exchange.start({});
  else
    step = exchange.start(encoded ? parse_initial_response(next_line(text)) : says(next_line(text)));
  bool accepted = false;
  for (int calls = 0;; ++calls) {
    RP_ASSERT(calls < 8);
    if (std::holds_alternative<Challenge>(step)) {
      step = exchange.respond(line());
    } else if (const auto* keys = std::get_if<FetchKeys>(&step)) {
      check_name(keys->login);
      check_name(keys->identity);
      RP_ASSERT(!keys->login.empty());
      step = exchange.give_keys(some_keys(), "login");
    } else if (const auto* success = std::get_if<Success>(&step)) {
      RP_ASSERT(accepted && success->login == "login");
      check_name(success->identity);
      return 0;
    } else if (std::holds_alternative<Failure>(step)) {
      return 0;
    } else {
      if (const auto* password = std::get_if<CheckPassword>(&step)) {
        check_name(password->login);
        check_name(password->identity);
        RP_ASSERT(!password->login.empty() && !password->password.empty() &&
                  password->password.find('\0') == std::string_view::npos);
      } else if (const auto* token = std::get_if<CheckToken>(&step)) {
        check_name(token->identity);
        RP_ASSERT(!token->token.empty() && std::ranges::all_of(token->token, [](char c) { return c > 0x20 && c < 0x7f; }));
      } else {
        check_name(std::get<CheckCertificate>(step).identity);
      }
      accepted = willing;
      step = willing ? exchange.accept("login") : exchange.refuse();
    }
  }
}
