// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; the grammar is RFC 5802 section 7).
#include <algorithm>

#include "ringpost/base/base64.hh"
#include "ringpost/crypto/hash.hh"
#include "sasl/machine.hh"
#include "sasl/scram_grammar.hh"

namespace ringpost::sasl {

namespace {

class Scram final : public Exchange::Machine {
 public:
  Scram(bool plus, const Circumstances& circumstances)
      : plus_(plus),
        plus_offered_(circumstances.plus_offered),
        binding_(circumstances.channel_binding),
        nonce_(circumstances.server_nonce) {
    RP_ASSERT(nonce_.size() >= kNonceBytesMin && nonce_.size() <= kNonceBytesMax && is_nonce(nonce_));
  }

  Step take(SecretBytes response) override {
    if (proved_) return response.empty() ? succeed(account_) : Failure{FailureKind::malformed};
    if (response.empty()) return Failure{FailureKind::empty};
    const std::optional<FailureKind> failure = keys_ ? check_final(response.text()) : read_first(response.text());
    if (failure) return Failure{*failure};
    if (!keys_) return FetchKeys{.login = login_.text(), .identity = identity_.text()};
    proved_ = true;
    const crypto::Digest256 signature = crypto::hmac_sha256(keys_->server_key.view(), {as_bytes(conversation_)});
    message_ = "v=" + encode_base64(signature);
    return Challenge{as_bytes(message_)};
  }

  Step give_keys(ScramKeys keys, std::string_view login) override {
    RP_ASSERT(!login.empty() && login.size() <= kIdentityBytesMax);
    account_ = login;
    keys_ = std::move(keys);
    message_ = "r=" + nonce_ + ",s=" + encode_base64(keys_->salt) + ",i=" + std::to_string(keys_->iterations);
    conversation_ += ',' + message_;
    return Challenge{as_bytes(message_)};
  }

 private:
  std::optional<FailureKind> read_first(std::string_view text);
  std::optional<FailureKind> check_final(std::string_view text);

  const bool plus_;
  const bool plus_offered_;
  const std::optional<std::array<std::byte, 32>> binding_;
  std::string nonce_;         ///< ours; once the client has spoken, its own and ours
  std::string header_;        ///< the GS2 header, as sent
  std::string conversation_;  ///< AuthMessage, as far as it has been spoken
  std::string message_;       ///< the last challenge
  std::string account_;
  std::optional<ScramKeys> keys_;
  bool proved_ = false;
};

/// gs2-header, username, nonce, extensions.
std::optional<FailureKind> Scram::read_first(std::string_view text) {
  std::string_view rest = text;
  const std::string_view flag = next_field(rest);
  if (flag.starts_with("p=")) {
    if (!plus_ || !binding_ || flag.substr(2) != kBinding) return FailureKind::channel_binding;
  } else if (flag == "y") {
    if (plus_) return FailureKind::malformed;
    if (plus_offered_) return FailureKind::downgraded;
  } else if (flag != "n" || plus_) {
    return FailureKind::malformed;
  }
  const std::size_t comma = rest.find(',');
  if (comma == rest.npos) return FailureKind::malformed;
  if (const std::string_view identity = next_field(rest); !identity.empty()) {
    if (!identity.starts_with("a=")) return FailureKind::malformed;
    if (std::optional<FailureKind> failure = keep_saslname(identity.substr(2), identity_)) return failure;
  }
  header_ = text.substr(0, text.size() - rest.size());
  const std::string_view bare = rest;

  // A mandatory extension ("m=") would stand here; we know none.
  const std::string_view name = next_field(rest), nonce = next_field(rest);
  if (!name.starts_with("n=") || !nonce.starts_with("r=") || !is_nonce(nonce.substr(2))) return FailureKind::malformed;
  if (nonce.size() - 2 > kNonceBytesMax) return FailureKind::too_long;
  const auto nonce_end = static_cast<std::size_t>(nonce.data() + nonce.size() - bare.data());
  if (!are_extensions(bare.substr(nonce_end))) return FailureKind::malformed;
  if (std::optional<FailureKind> failure = keep_saslname(name.substr(2), login_)) return failure;

  nonce_.insert(0, nonce.substr(2));
  conversation_ = bare;
  return std::nullopt;
}

/// channel-binding, nonce, extensions, proof.
std::optional<FailureKind> Scram::check_final(std::string_view text) {
  const std::size_t proof_at = text.rfind(",p=");
  if (proof_at == text.npos) return FailureKind::malformed;
  const std::string_view without_proof = text.substr(0, proof_at);
  std::byte proof[33];
  const std::string_view proof_text = text.substr(proof_at + 3);
  if (base64_bytes_max(proof_text.size()) > sizeof proof || decode_base64(proof_text, proof) != 32U)
    return FailureKind::malformed;

  std::string_view rest = without_proof;
  const std::string_view binding = next_field(rest), nonce = next_field(rest);
  if (!binding.starts_with("c=") || !nonce.starts_with("r=")) return FailureKind::malformed;
  const auto nonce_end = static_cast<std::size_t>(nonce.data() + nonce.size() - without_proof.data());
  if (!are_extensions(without_proof.substr(nonce_end))) return FailureKind::malformed;
  std::string wanted = header_;
  if (plus_) wanted += as_text(*binding_);
  if (!crypto::equal_constant_time(as_bytes(binding.substr(2)), as_bytes(encode_base64(as_bytes(wanted)))))
    return FailureKind::channel_binding;
  if (!crypto::equal_constant_time(as_bytes(nonce.substr(2)), as_bytes(nonce_))) return FailureKind::rejected;

  conversation_ += ',';
  conversation_ += without_proof;
  crypto::Digest256 client_key = crypto::hmac_sha256(keys_->stored_key.view(), {as_bytes(conversation_)});
  for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= proof[i];
  const crypto::Digest256 stored_key = crypto::sha256({client_key});
  wipe(client_key);
  if (!crypto::equal_constant_time(stored_key, keys_->stored_key.view())) return FailureKind::rejected;
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Exchange::Machine> make_scram(bool plus, const Circumstances& circumstances) {
  return std::make_unique<Scram>(plus, circumstances);
}

}  // namespace ringpost::sasl
