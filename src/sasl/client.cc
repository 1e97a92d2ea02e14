// Which mechanism, the order of calls, and the mechanisms that say the password: PLAIN (RFC 4616) and LOGIN.
#include "ringpost/sasl/client.hh"

#include <algorithm>
#include <iterator>

#include "sasl/client_machine.hh"

namespace ringpost::sasl {

namespace {

using Next = ClientExchange::Next;

class Plain final : public ClientExchange::Machine {
 public:
  explicit Plain(const Login& login) : login_(login) {}
  Next start() override { return say({std::string_view{"\0", 1}, login_.name, std::string_view{"\0", 1}, login_.password}); }
  Next take(Bytes) override { return fail(ClientFailure::malformed); }
  bool complete() const override { return true; }

 private:
  Login login_;
};

/// The server asks twice, in words that differ from one to the other: the name is first, and the password second.
class LoginMachine final : public ClientExchange::Machine {
 public:
  explicit LoginMachine(const Login& login) : login_(login) {}
  Next start() override { return Next::say; }
  Next take(Bytes) override {
    switch (++asked_) {
      case 1: return say({login_.name});
      case 2: return say({login_.password});
      default: return fail(ClientFailure::malformed);
    }
  }
  bool complete() const override { return asked_ == 2; }

 private:
  Login login_;
  int asked_ = 0;
};

std::unique_ptr<ClientExchange::Machine> make_machine(Mechanism mechanism, const Login& login, const ClientCircumstances& circumstances) {
  switch (mechanism) {
    case Mechanism::plain: return std::make_unique<Plain>(login);
    case Mechanism::login: return std::make_unique<LoginMachine>(login);
    case Mechanism::scram_sha_256: return make_client_scram(false, login, circumstances);
    case Mechanism::scram_sha_256_plus: return make_client_scram(true, login, circumstances);
    default: RP_ASSERT(false);
  }
}

Next noted(ClientExchange::Machine& machine, Next next) {
  machine.works = next == Next::work;
  machine.failed = next == Next::failed;
  return next;
}

}  // namespace

std::optional<Mechanism> strongest(std::string_view offered, bool has_channel_binding) {
  constexpr Mechanism kOrder[] = {Mechanism::scram_sha_256_plus, Mechanism::scram_sha_256, Mechanism::plain, Mechanism::login};
  const Mechanism* best = std::end(kOrder);
  while (!offered.empty()) {
    const std::size_t blank = std::min(offered.find(' '), offered.size());
    const auto mechanism = mechanism_named(offered.substr(0, blank));
    offered.remove_prefix(std::min(blank + 1, offered.size()));
    if (!mechanism || (*mechanism == Mechanism::scram_sha_256_plus && !has_channel_binding)) continue;
    best = std::min(best, std::ranges::find(kOrder, *mechanism));
  }
  return best == std::end(kOrder) ? std::nullopt : std::optional{*best};
}

ClientExchange::ClientExchange(Mechanism mechanism, const Login& login, const ClientCircumstances& circumstances)
    : machine_(make_machine(mechanism, login, circumstances)) {
  RP_ASSERT(!login.name.empty() && !login.password.empty());
}
ClientExchange::ClientExchange(ClientExchange&&) noexcept = default;
ClientExchange::~ClientExchange() = default;

ClientExchange::Next ClientExchange::start() {
  RP_ASSERT(!machine_->started);
  machine_->started = true;
  return noted(*machine_, machine_->start());
}

ClientExchange::Next ClientExchange::take(Bytes challenge) {
  RP_ASSERT(machine_->started && !machine_->works && !machine_->failed);
  return noted(*machine_, machine_->take(challenge));
}

ClientExchange::Next ClientExchange::work(std::uint32_t iterations) {
  RP_ASSERT(machine_->works && iterations > 0);
  return noted(*machine_, machine_->work(iterations));
}

std::optional<Bytes> ClientExchange::words() const {
  return machine_->words ? std::optional{machine_->words->view()} : std::nullopt;
}
ClientFailure ClientExchange::failure() const { return machine_->failure; }
bool ClientExchange::complete() const { return machine_->complete(); }

}  // namespace ringpost::sasl
