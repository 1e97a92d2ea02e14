// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's part (RFC 5802, RFC 7677, RFC 9266).
#include <charconv>
#include <string>

#include "ringpost/base/base64.hh"
#include "ringpost/crypto/hash.hh"
#include "sasl/client_machine.hh"
#include "sasl/scram_grammar.hh"
#include "sasl/stretch.hh"

namespace ringpost::sasl {

namespace {

using Next = ClientExchange::Next;

/// A saslname (RFC 5802 section 5.1).
std::string escaped(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c == ',') out += "=2C";
    else if (c == '=') out += "=3D";
    else out += c;
  }
  return out;
}

class ClientScram final : public ClientExchange::Machine {
 public:
  ClientScram(bool plus, const Login& login, const ClientCircumstances& circumstances)
      : password_(login.password), kept_(circumstances.kept), nonce_(circumstances.client_nonce) {
    RP_ASSERT(nonce_.size() >= kNonceBytesMin && nonce_.size() <= kNonceBytesMax && is_nonce(nonce_));
    RP_ASSERT(!plus || circumstances.channel_binding);
    // "y": we could have bound it, and saw no -PLUS; a server that offered one knows then that somebody took it away (section 6).
    const std::string header = plus ? "p=" + std::string{kBinding} + ",," : circumstances.channel_binding ? "y,," : "n,,";
    std::string bound = header;
    if (plus) bound += as_text(*circumstances.channel_binding);
    binding_ = encode_base64(as_bytes(bound));
    conversation_ = "n=" + escaped(login.name) + ",r=" + nonce_;
    first_ = header + conversation_;
  }

  Next start() override { return say({first_}); }

  Next take(Bytes challenge) override {
    switch (stage_) {
      case Stage::first: return take_first(as_text(challenge));
      case Stage::proved: return take_final(as_text(challenge));
      default: return fail(ClientFailure::malformed);
    }
  }

  Next work(std::uint32_t iterations) override {
    if (!stretch_->work(iterations)) return Next::work;
    ScramClientKeys keys{.iterations = iterations_, .salt = salt_};
    crypto::Digest256 client = crypto::hmac_sha256(stretch_->result(), {as_bytes("Client Key")});
    crypto::Digest256 server = crypto::hmac_sha256(stretch_->result(), {as_bytes("Server Key")});
    keys.client_key = Key256{client};
    keys.server_key = Key256{server};
    wipe(client);
    wipe(server);
    stretch_.reset();
    kept_ = std::move(keys);
    return prove();
  }

  bool complete() const override { return stage_ == Stage::verified; }

 private:
  enum class Stage : std::uint8_t { first, proved, verified };

  /// nonce, salt, iterations, extensions.
  Next take_first(std::string_view text) {
    std::string_view rest = text;
    const std::string_view nonce = next_field(rest), salt = next_field(rest), count = next_field(rest);
    if (!nonce.starts_with("r=") || !salt.starts_with("s=") || !count.starts_with("i=")) return fail(ClientFailure::malformed);
    const auto end = static_cast<std::size_t>(count.data() + count.size() - text.data());
    if (!are_extensions(text.substr(end))) return fail(ClientFailure::malformed);
    const std::string_view both = nonce.substr(2);
    // Some of it must be the server's own, or it could say again what it heard before.
    if (!is_nonce(both) || !both.starts_with(nonce_) || both.size() <= nonce_.size() || both.size() > nonce_.size() + kNonceBytesMax)
      return fail(ClientFailure::malformed);
    const std::string_view digits = count.substr(2);
    const auto [number_end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), iterations_);
    if (number_end != digits.data() + digits.size() || digits.empty() || digits[0] == '0') return fail(ClientFailure::malformed);
    if (fault == std::errc::result_out_of_range || iterations_ > kScramIterationsMax) return fail(ClientFailure::too_costly);
    if (salt.size() > 2 + 2 * kScramSaltBytesMax) return fail(ClientFailure::too_costly);
    salt_.resize(base64_bytes_max(salt.size() - 2));
    const auto salt_bytes = decode_base64(salt.substr(2), salt_);
    if (!salt_bytes) return fail(ClientFailure::malformed);
    salt_.resize(*salt_bytes);
    if (salt_.size() > kScramSaltBytesMax) return fail(ClientFailure::too_costly);
    if (!in_bounds(salt_.size(), iterations_)) return fail(ClientFailure::too_weak);

    without_proof_ = "c=" + binding_ + "," + std::string{nonce};
    conversation_.append(",").append(text).append(",").append(without_proof_);
    if (kept_ && kept_->iterations == iterations_ && kept_->salt == salt_) return prove();
    stretch_.emplace(as_bytes(password_), salt_, iterations_);
    return Next::work;
  }

  Next prove() {
    const crypto::Digest256 stored = crypto::sha256({kept_->client_key.view()});
    crypto::Digest256 proof = crypto::hmac_sha256(stored, {as_bytes(conversation_)});
    for (std::size_t at = 0; at < proof.size(); ++at) proof[at] ^= kept_->client_key.view()[at];
    signature_ = encode_base64(crypto::hmac_sha256(kept_->server_key.view(), {as_bytes(conversation_)}));
    stage_ = Stage::proved;
    return say({without_proof_, ",p=", encode_base64(proof)});
  }

  /// The server's signature, or its word for what is wrong.
  Next take_final(std::string_view text) {
    const std::string_view said = next_field(text);
    if (said.starts_with("e=")) return fail(ClientFailure::refused);
    if (!said.starts_with("v=")) return fail(ClientFailure::malformed);
    if (!crypto::equal_constant_time(as_bytes(said.substr(2)), as_bytes(signature_))) return fail(ClientFailure::forged);
    stage_ = Stage::verified;
    return say({});
  }

  std::string_view password_;
  std::optional<ScramClientKeys>& kept_;
  std::string nonce_, binding_, first_;
  std::string conversation_;  ///< AuthMessage, as far as it has been spoken
  std::string without_proof_, signature_;
  std::uint32_t iterations_ = 0;
  std::vector<std::byte> salt_;
  std::optional<Stretch> stretch_;
  Stage stage_ = Stage::first;
};

}  // namespace

std::unique_ptr<ClientExchange::Machine> make_client_scram(bool plus, const Login& login, const ClientCircumstances& circumstances) {
  return std::make_unique<ClientScram>(plus, login, circumstances);
}

}  // namespace ringpost::sasl
