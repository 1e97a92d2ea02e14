// Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, which it came from.
#include <algorithm>
#include <charconv>

#include "sasl/machine.hh"

namespace ringpost::sasl {

namespace {

constexpr char kSeparator = '\x01';

/// "Bearer TOKEN": the scheme in any case, the token as RFC 6750 section 2.1 has it.
std::optional<std::string_view> bearer_token(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if ((i < 6 ? value[i] | 0x20 : value[i]) != kScheme[i]) return std::nullopt;
  value.remove_prefix(kScheme.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  const std::string_view digits = value.substr(0, value.find_last_not_of('=') + 1);
  if (digits.empty()) return std::nullopt;
  for (char c : digits) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view{"-._~+/"}.find(c) == std::string_view::npos) return std::nullopt;
  }
  return value;
}

/// "key=value" pairs, each ended by ^A, one more ^A behind the last.
class Token : public Exchange::Machine {
 public:
  Step take(SecretBytes response) override {
    // What the client says to the error does not matter: RFC 7628 section 3.2.3 has ^A, XOAUTH2 nothing.
    if (refused_) return Failure{FailureKind::rejected};
    if (response.empty()) return Failure{FailureKind::empty};
    response_ = std::move(response);
    std::string_view text = response_.text();
    if (std::optional<FailureKind> failure = read_start(text)) return Failure{*failure};
    if (std::optional<FailureKind> failure = read_pairs(text)) return Failure{*failure};
    return CheckToken{.token = token_, .identity = identity_.text(), .host = host_, .port = port_};
  }
  Step accept(std::string_view login) override { return succeed(login); }
  Step refuse() override {
    refused_ = true;
    return Challenge{as_bytes(error())};
  }

 private:
  /// Takes what stands before the pairs off `text`.
  virtual std::optional<FailureKind> read_start(std::string_view& text) = 0;
  virtual std::string_view error() const = 0;

  std::optional<FailureKind> read_pairs(std::string_view text) {
    while (!text.empty() && text[0] != kSeparator) {
      const std::size_t end = text.find(kSeparator), equals = text.find('=');
      if (end == text.npos || equals >= end) return FailureKind::malformed;
      const std::string_view key = text.substr(0, equals), value = text.substr(equals + 1, end - equals - 1);
      text.remove_prefix(end + 1);
      for (char c : value)
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n') return FailureKind::malformed;
      if (key == "auth") {
        const std::optional<std::string_view> token = bearer_token(value);
        if (!token || !token_.empty()) return FailureKind::malformed;
        token_ = *token;
      } else if (key == "host") {
        host_ = value;
      } else if (key == "port") {
        const auto [stop, fault] = std::from_chars(value.data(), value.data() + value.size(), port_);
        if (fault != std::errc{} || stop != value.data() + value.size()) return FailureKind::malformed;
      }
    }
    return text.size() == 1 && !token_.empty() ? std::nullopt : std::optional{FailureKind::malformed};
  }

  SecretBytes response_;  ///< the views below are of it
  std::string_view token_, host_;
  std::uint16_t port_ = 0;
  bool refused_ = false;
};

class OauthBearer final : public Token {
  /// A GS2 header without channel binding, and ^A.
  std::optional<FailureKind> read_start(std::string_view& text) override {
    const std::size_t end = text.find(kSeparator);
    if (end == text.npos) return FailureKind::malformed;
    std::string_view header = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (header.starts_with("p=")) return FailureKind::channel_binding;
    if ((!header.starts_with("n,") && !header.starts_with("y,")) || !header.ends_with(',') || header.size() < 3)
      return FailureKind::malformed;
    header = header.substr(2, header.size() - 3);
    if (header.empty()) return std::nullopt;
    if (!header.starts_with("a=") || header.find(',') != header.npos) return FailureKind::malformed;
    return keep_saslname(header.substr(2), identity_);
  }
  std::string_view error() const override { return R"({"status":"invalid_token"})"; }
};

class Xoauth2 final : public Token {
  /// "user=" and a name as it is, and ^A.
  std::optional<FailureKind> read_start(std::string_view& text) override {
    const std::size_t end = text.find(kSeparator);
    if (end == text.npos || !text.starts_with("user=")) return FailureKind::malformed;
    const std::string_view name = text.substr(5, end - 5);
    text.remove_prefix(end + 1);
    return keep_name(name, identity_);
  }
  std::string_view error() const override { return R"({"status":"401","schemes":"Bearer"})"; }
};

}  // namespace

std::unique_ptr<Exchange::Machine> make_oauthbearer() { return std::make_unique<OauthBearer>(); }
std::unique_ptr<Exchange::Machine> make_xoauth2() { return std::make_unique<Xoauth2>(); }

}  // namespace ringpost::sasl
