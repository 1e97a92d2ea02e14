// The order of calls, and what all mechanisms share.
#include "ringpost/sasl/exchange.hh"

#include "ringpost/sasl/saslprep.hh"
#include "sasl/machine.hh"

namespace ringpost::sasl {

namespace {

using Awaits = Exchange::Machine::Awaits;

std::unique_ptr<Exchange::Machine> make_machine(Mechanism mechanism, const Circumstances& circumstances) {
  switch (mechanism) {
    case Mechanism::plain: return make_plain();
    case Mechanism::login: return make_login();
    case Mechanism::scram_sha_256: return make_scram(false, circumstances);
    case Mechanism::scram_sha_256_plus: return make_scram(true, circumstances);
    case Mechanism::external: return make_external();
    case Mechanism::oauthbearer: return make_oauthbearer();
    case Mechanism::xoauth2: return make_xoauth2();
  }
  RP_ASSERT(false);
}

Awaits next_call(const Step& step) {
  if (std::holds_alternative<Challenge>(step)) return Awaits::response;
  if (std::holds_alternative<FetchKeys>(step)) return Awaits::keys;
  if (std::holds_alternative<Success>(step) || std::holds_alternative<Failure>(step)) return Awaits::nothing;
  return Awaits::verdict;
}

Step taken(Exchange::Machine& machine, Response response) {
  switch (response.kind) {
    case Response::Kind::absent: return machine.begin();
    case Response::Kind::data: return machine.take(std::move(response.bytes));
    case Response::Kind::cancelled: return Failure{FailureKind::cancelled};
    case Response::Kind::malformed: return Failure{FailureKind::not_base64};
  }
  RP_ASSERT(false);
}

Step noted(Exchange::Machine& machine, Step step) {
  machine.awaits = next_call(step);
  return step;
}

}  // namespace

std::string_view name_of(FailureKind kind) {
  switch (kind) {
    case FailureKind::malformed: return "malformed";
    case FailureKind::empty: return "empty";
    case FailureKind::not_base64: return "not_base64";
    case FailureKind::cancelled: return "cancelled";
    case FailureKind::rejected: return "rejected";
    case FailureKind::downgraded: return "downgraded";
    case FailureKind::channel_binding: return "channel_binding";
    case FailureKind::too_long: return "too_long";
  }
  RP_ASSERT(false);
}

std::optional<FailureKind> keep_name(std::string_view text, SecretBytes& target) {
  if (text.size() > kIdentityBytesMax) return FailureKind::too_long;
  std::optional<SecretBytes> prepared = saslprep(text);
  if (!prepared) return FailureKind::malformed;
  if (prepared->view().size() > kIdentityBytesMax) return FailureKind::too_long;
  target = std::move(*prepared);
  return std::nullopt;
}

std::optional<FailureKind> keep_saslname(std::string_view text, SecretBytes& target) {
  std::vector<std::byte> plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '=') {
      const std::string_view escape = text.substr(at, 3);
      if (escape != "=2C" && escape != "=3D") return FailureKind::malformed;
      c = escape == "=2C" ? ',' : '=';
      at += 2;
    }
    plain.push_back(static_cast<std::byte>(c));
  }
  return keep_name(as_text(plain), target);
}

Step Exchange::Machine::accept(std::string_view) { RP_ASSERT(false); }
Step Exchange::Machine::refuse() { return Failure{FailureKind::rejected}; }
Step Exchange::Machine::give_keys(ScramKeys, std::string_view) { RP_ASSERT(false); }

Step Exchange::Machine::succeed(std::string_view login) {
  RP_ASSERT(!login.empty() && login.size() <= kIdentityBytesMax);
  success_login_ = login;
  // Who names itself twice, in whatever spelling, wants to act as nobody else.
  const bool itself = identity_.empty() || identity_.text() == login_.text();
  success_identity_ = itself ? login : identity_.text();
  return Success{.login = success_login_, .identity = success_identity_};
}

Exchange::Exchange(Mechanism mechanism, const Circumstances& circumstances)
    : mechanism_(mechanism), machine_(make_machine(mechanism, circumstances)) {}
Exchange::Exchange(Exchange&&) noexcept = default;
Exchange& Exchange::operator=(Exchange&&) noexcept = default;
Exchange::~Exchange() = default;

Mechanism Exchange::mechanism() const { return mechanism_; }

Step Exchange::start(Response initial) {
  RP_ASSERT(machine_->awaits == Awaits::start && initial.kind != Response::Kind::cancelled);
  return noted(*machine_, taken(*machine_, std::move(initial)));
}

Step Exchange::respond(Response response) {
  RP_ASSERT(machine_->awaits == Awaits::response && response.kind != Response::Kind::absent);
  return noted(*machine_, taken(*machine_, std::move(response)));
}

Step Exchange::accept(std::string_view login) {
  RP_ASSERT(machine_->awaits == Awaits::verdict);
  return noted(*machine_, machine_->accept(login));
}

Step Exchange::refuse() {
  RP_ASSERT(machine_->awaits == Awaits::verdict);
  return noted(*machine_, machine_->refuse());
}

Step Exchange::give_keys(ScramKeys keys, std::string_view login) {
  RP_ASSERT(machine_->awaits == Awaits::keys);
  return noted(*machine_, machine_->give_keys(std::move(keys), login));
}

}  // namespace ringpost::sasl
