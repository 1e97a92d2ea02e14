// PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login-00) and EXTERNAL (RFC 4422 appendix A).
#include "ringpost/sasl/saslprep.hh"
#include "sasl/machine.hh"

namespace ringpost::sasl {

namespace {

std::optional<FailureKind> keep_password(std::string_view text, SecretBytes& target) {
  if (text.size() > kPreparedBytesMax) return FailureKind::too_long;
  std::optional<SecretBytes> prepared = saslprep(text);
  if (!prepared) return FailureKind::malformed;
  target = std::move(*prepared);
  return std::nullopt;
}

class Plain final : public Exchange::Machine {
 public:
  /// [identity] NUL login NUL password, and not one NUL more.
  Step take(SecretBytes response) override {
    if (response.empty()) return Failure{FailureKind::empty};
    const std::string_view text = response.text();
    const std::size_t first = text.find('\0');
    const std::size_t second = first == text.npos ? text.npos : text.find('\0', first + 1);
    if (second == text.npos || text.find('\0', second + 1) != text.npos) return Failure{FailureKind::malformed};
    std::optional<FailureKind> failure;
    if (first > 0) failure = keep_name(text.substr(0, first), identity_);
    if (!failure) failure = keep_name(text.substr(first + 1, second - first - 1), login_);
    if (!failure) failure = keep_password(text.substr(second + 1), password_);
    if (failure) return Failure{*failure};
    return CheckPassword{.login = login_.text(), .password = password_.text(), .identity = identity_.text()};
  }
  Step accept(std::string_view login) override { return succeed(login); }

 private:
  SecretBytes password_;
};

class Login final : public Exchange::Machine {
 public:
  Step begin() override { return Challenge{as_bytes("Username:")}; }
  Step take(SecretBytes response) override {
    if (response.empty()) return Failure{FailureKind::empty};
    if (login_.empty()) {
      if (std::optional<FailureKind> failure = keep_name(response.text(), login_)) return Failure{*failure};
      return Challenge{as_bytes("Password:")};
    }
    if (std::optional<FailureKind> failure = keep_password(response.text(), password_)) return Failure{*failure};
    return CheckPassword{.login = login_.text(), .password = password_.text()};
  }
  Step accept(std::string_view login) override { return succeed(login); }

 private:
  SecretBytes password_;
};

class External final : public Exchange::Machine {
 public:
  Step take(SecretBytes response) override {
    if (!response.empty())
      if (std::optional<FailureKind> failure = keep_name(response.text(), identity_)) return Failure{*failure};
    return CheckCertificate{.identity = identity_.text()};
  }
  Step accept(std::string_view login) override { return succeed(login); }
};

}  // namespace

std::unique_ptr<Exchange::Machine> make_plain() { return std::make_unique<Plain>(); }
std::unique_ptr<Exchange::Machine> make_login() { return std::make_unique<Login>(); }
std::unique_ptr<Exchange::Machine> make_external() { return std::make_unique<External>(); }

}  // namespace ringpost::sasl
