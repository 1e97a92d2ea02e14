#include <algorithm>
#include <charconv>

#include "ringpost/base/base64.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/sasl/saslprep.hh"
#include "ringpost/sasl/scram.hh"
#include "sasl/stretch.hh"

namespace ringpost::sasl {

namespace {

constexpr std::string_view kPrefix = "SCRAM-SHA-256$";

/// What stands before `separator`; it and the separator are taken off `text`. Nothing: there is none.
std::optional<std::string_view> cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == text.npos) return std::nullopt;
  const std::string_view field = text.substr(0, at);
  text.remove_prefix(at + 1);
  return field;
}

std::optional<Key256> decode_key(std::string_view text) {
  std::byte bytes[33];
  std::optional<Key256> key;
  if (base64_bytes_max(text.size()) > sizeof bytes) return key;
  if (decode_base64(text, bytes) == 32U) key.emplace(Bytes{bytes}.first(32));
  wipe(bytes);
  return key;
}

}  // namespace

bool in_bounds(std::size_t salt_bytes, std::uint32_t iterations) {
  return salt_bytes >= kScramSaltBytesMin && salt_bytes <= kScramSaltBytesMax && iterations >= kScramIterationsMin &&
         iterations <= kScramIterationsMax;
}

Stretch::Stretch(Bytes password, Bytes salt, std::uint32_t iterations) : password_(password), left_(iterations - 1) {
  static constexpr std::byte kFirstBlock[4] = {{}, {}, {}, std::byte{1}};
  round_ = sum_ = crypto::hmac_sha256(password, {salt, Bytes{kFirstBlock}});
}

Stretch::~Stretch() {
  wipe(round_);
  wipe(sum_);
}

bool Stretch::work(std::uint32_t iterations) {
  for (std::uint32_t i = std::min(iterations, left_); i > 0; --i, --left_) {
    round_ = crypto::hmac_sha256(password_, {round_});
    for (std::size_t at = 0; at < sum_.size(); ++at) sum_[at] ^= round_[at];
  }
  return left_ == 0;
}

std::optional<ScramKeys> make_scram_keys(std::string_view password, Bytes salt, std::uint32_t iterations) {
  if (!in_bounds(salt.size(), iterations)) return std::nullopt;
  const std::optional<SecretBytes> prepared = saslprep(password);
  if (!prepared) return std::nullopt;
  Stretch salted{prepared->view(), salt, iterations};
  RP_ASSERT(salted.work(iterations));
  crypto::Digest256 client = crypto::hmac_sha256(salted.result(), {as_bytes("Client Key")});
  crypto::Digest256 stored = crypto::sha256({client}), server = crypto::hmac_sha256(salted.result(), {as_bytes("Server Key")});
  ScramKeys keys{iterations, {salt.begin(), salt.end()}, Key256{stored}, Key256{server}};
  wipe(client);
  wipe(stored);
  wipe(server);
  return keys;
}

std::string format_scram_keys(const ScramKeys& keys) {
  return std::string{kPrefix} + std::to_string(keys.iterations) + ':' + encode_base64(keys.salt) + '$' +
         encode_base64(keys.stored_key.view()) + ':' + encode_base64(keys.server_key.view());
}

std::optional<ScramKeys> parse_scram_keys(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const std::optional<std::string_view> iterations = cut(text, ':');
  if (!iterations) return std::nullopt;
  const std::optional<std::string_view> salt = cut(text, '$');
  if (!salt) return std::nullopt;
  const std::optional<std::string_view> stored = cut(text, ':');
  if (!stored) return std::nullopt;

  std::uint32_t count = 0;
  const auto [end, fault] = std::from_chars(iterations->data(), iterations->data() + iterations->size(), count);
  if (fault != std::errc{} || end != iterations->data() + iterations->size() || iterations->starts_with('0')) return std::nullopt;
  if (salt->size() > 2 * kScramSaltBytesMax) return std::nullopt;
  std::vector<std::byte> salt_bytes(base64_bytes_max(salt->size()));
  const std::optional<std::size_t> salt_size = decode_base64(*salt, salt_bytes);
  if (!salt_size || !in_bounds(*salt_size, count)) return std::nullopt;
  salt_bytes.resize(*salt_size);
  std::optional<Key256> stored_key = decode_key(*stored), server_key = decode_key(text);
  if (!stored_key || !server_key) return std::nullopt;
  return ScramKeys{count, std::move(salt_bytes), std::move(*stored_key), std::move(*server_key)};
}

}  // namespace ringpost::sasl
