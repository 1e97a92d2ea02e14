// A client's words for an Exchange, and what came of them in one line.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringpost/base/base64.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/sasl/exchange.hh"

namespace ringpost::sasl {

using namespace std::string_view_literals;

inline constexpr std::string_view kNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";  // RFC 7677 section 3

inline Response says(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  return {.kind = Response::Kind::data, .bytes = SecretBytes{std::vector<std::byte>(bytes.begin(), bytes.end())}};
}

/// "challenge r=...", "password alice/secret as bob", "success alice as bob", "failure malformed".
inline std::string told(const Step& step) {
  struct Teller {
    std::string operator()(const Challenge& s) const { return "challenge " + std::string{as_text(s.bytes)}; }
    std::string operator()(const CheckPassword& s) const { return "password " + joined(s.login, s.password) + as(s.identity); }
    std::string operator()(const FetchKeys& s) const { return "keys " + std::string{s.login} + as(s.identity); }
    std::string operator()(const CheckToken& s) const {
      return "token " + joined(s.token, s.host) + ':' + std::to_string(s.port) + as(s.identity);
    }
    std::string operator()(const CheckCertificate& s) const { return "certificate" + as(s.identity); }
    std::string operator()(const Success& s) const { return "success " + std::string{s.login} + as(s.identity); }
    std::string operator()(const Failure& s) const { return "failure " + std::string{name_of(s.kind)}; }
    static std::string joined(std::string_view a, std::string_view b) { return std::string{a} + '/' + std::string{b}; }
    static std::string as(std::string_view identity) { return " as " + std::string{identity}; }
  };
  return std::visit(Teller{}, step);
}

/// The client's half of SCRAM-SHA-256, with a password already made into keys' raw material.
class ScramClient {
 public:
  /// `header`: the GS2 header; `binding`: what a -PLUS exchange is bound to.
  ScramClient(std::string_view header, std::string_view name, std::string_view password, std::string_view binding = {})
      : header_(header), password_(password), binding_(binding), bare_("n=" + std::string{name} + ",r=rOprNGfwEbeRWgbNEkqO") {}

  std::string first() const { return header_ + bare_; }
  std::string final(std::string_view server_first) {
    const std::size_t salt_at = server_first.find(",s=") + 3, count_at = server_first.find(",i=", salt_at);
    const std::string_view salt_text = server_first.substr(salt_at, count_at - salt_at);
    std::vector<std::byte> salt(base64_bytes_max(salt_text.size()));
    salt.resize(*decode_base64(salt_text, salt));
    // Hi(), and the client's key from it.
    std::vector<std::byte> block = salt;
    block.insert(block.end(), {{}, {}, {}, std::byte{1}});
    crypto::Digest256 round = crypto::hmac_sha256(as_bytes(password_), {Bytes{block}}), salted = round;
    for (int i = std::stoi(std::string{server_first.substr(count_at + 3)}); i > 1; --i) {
      round = crypto::hmac_sha256(as_bytes(password_), {round});
      for (std::size_t at = 0; at < salted.size(); ++at) salted[at] ^= round[at];
    }
    crypto::Digest256 key = crypto::hmac_sha256(salted, {as_bytes("Client Key")});
    const std::string without_proof =
        "c=" + encode_base64(as_bytes(header_ + binding_)) + ',' + std::string{server_first.substr(0, server_first.find(','))};
    conversation_ = bare_ + ',' + std::string{server_first} + ',' + without_proof;
    const crypto::Digest256 signature = crypto::hmac_sha256(crypto::sha256({key}), {as_bytes(conversation_)});
    for (std::size_t i = 0; i < key.size(); ++i) key[i] ^= signature[i];
    server_signature_ =
        encode_base64(crypto::hmac_sha256(crypto::hmac_sha256(salted, {as_bytes("Server Key")}), {as_bytes(conversation_)}));
    return without_proof + ",p=" + encode_base64(key);
  }
  /// What the server must answer to final().
  std::string server_final() const { return "v=" + server_signature_; }

 private:
  std::string header_, password_, binding_, bare_, conversation_, server_signature_;
};

}  // namespace ringpost::sasl
