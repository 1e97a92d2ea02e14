#include "ringpost/accounts/password.hh"

#include <argon2.h>

#include <charconv>

#include "ringpost/base/base64.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/sasl/saslprep.hh"

namespace ringpost::accounts {

namespace {

constexpr std::string_view kPrefix = "$argon2id$v=19$m=";

Result<Secret<kTagBytes>> argon2id(Bytes password, const std::array<std::byte, kSaltBytes>& salt, const Cost& cost) {
  Secret<kTagBytes> tag;
  argon2_context context{};
  context.out = reinterpret_cast<std::uint8_t*>(tag.mutable_view().data());
  context.outlen = kTagBytes;
  // The library takes pointers to what it could change, and changes neither without a flag to.
  context.pwd = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(password.data()));
  context.pwdlen = static_cast<std::uint32_t>(password.size());
  context.salt = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(salt.data()));
  context.saltlen = kSaltBytes;
  context.t_cost = cost.passes;
  context.m_cost = cost.memory_kib;
  context.lanes = cost.lanes;
  context.threads = 1;  // lanes are computed one behind the other: a log-in must not take all cores
  context.version = ARGON2_VERSION_13;
  const int outcome = argon2_ctx(&context, Argon2_id);
  if (outcome == ARGON2_MEMORY_ALLOCATION_ERROR) return std::unexpected(Error{Errc::no_memory});
  RP_ASSERT(outcome == ARGON2_OK);
  return tag;
}

/// A number of digits without leading zeros, taken off `text` together with `separator`.
std::optional<std::uint32_t> cut_number(std::string_view& text, std::string_view separator) {
  std::uint32_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || text.starts_with('0')) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(separator)) return std::nullopt;
  text.remove_prefix(separator.size());
  return number;
}

/// All of `text` is exactly `target.size()` bytes.
bool decode(std::string_view text, MutableBytes target) {
  return base64_bytes_max(text.size()) == target.size() && decode_base64(text, target, Base64::bare) == target.size();
}

}  // namespace

bool Cost::sane() const {
  return lanes >= 1 && lanes <= 16 && passes >= 1 && passes <= 64 && memory_kib >= 8 * lanes && memory_kib <= 1024 * 1024;
}

Result<PasswordHash> hash_password(std::string_view password, const std::array<std::byte, kSaltBytes>& salt, const Cost& cost) {
  const std::optional<SecretBytes> prepared = sasl::saslprep(password);
  if (!prepared || !cost.sane()) return std::unexpected(Error{Errc::invalid});
  Result<Secret<kTagBytes>> tag = argon2id(prepared->view(), salt, cost);
  if (!tag) return std::unexpected(tag.error());
  return PasswordHash{cost, salt, std::move(*tag)};
}

Result<bool> is_password(const PasswordHash& hash, std::string_view password) {
  const std::optional<SecretBytes> prepared = sasl::saslprep(password);
  const Result<Secret<kTagBytes>> tag = argon2id(prepared ? prepared->view() : Bytes{}, hash.salt, hash.cost);
  if (!tag) return std::unexpected(tag.error());
  return crypto::equal_constant_time(tag->view(), hash.tag.view()) && prepared;
}

std::string format_hash(const PasswordHash& hash) {
  return std::string{kPrefix} + std::to_string(hash.cost.memory_kib) + ",t=" + std::to_string(hash.cost.passes) +
         ",p=" + std::to_string(hash.cost.lanes) + '$' + encode_base64(hash.salt, Base64::bare) + '$' +
         encode_base64(hash.tag.view(), Base64::bare);
}

std::optional<PasswordHash> parse_hash(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const std::optional<std::uint32_t> memory = cut_number(text, ",t=");
  if (!memory) return std::nullopt;
  const std::optional<std::uint32_t> passes = cut_number(text, ",p=");
  if (!passes) return std::nullopt;
  const std::optional<std::uint32_t> lanes = cut_number(text, "$");
  if (!lanes) return std::nullopt;
  const std::size_t dollar = text.find('$');
  if (dollar == text.npos) return std::nullopt;
  PasswordHash hash{.cost = {*memory, *passes, *lanes}};
  if (!hash.cost.sane() || !decode(text.substr(0, dollar), hash.salt) ||
      !decode(text.substr(dollar + 1), hash.tag.mutable_view()))
    return std::nullopt;
  return hash;
}

}  // namespace ringpost::accounts
