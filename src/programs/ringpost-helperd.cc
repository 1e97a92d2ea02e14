// ringpost-helperd: what is slow or outward and is not mail: passwords, web servers.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "programs/helper_process.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/helperd/accounts_file.hh"
#include "ringpost/helperd/server.hh"
#include "ringpost/helperd/web.hh"
#include "ringpost/helperd/workers.hh"

namespace ringpost::programs {
namespace {

/// Half of the cores at most, and those only when nobody else wants them: whoever guesses passwords is not to slow down mail.
constexpr int kNiceness = 19;
constexpr std::size_t kThreadsMax = 8;
/// 20 ms of work each: who comes later is told to try again, instead of waiting for longer than clients do.
constexpr std::size_t kJobsMax = 256;

/// Requests to web servers only wait, each for 20 s at most; with twice as many behind them nobody waits for much longer than a minute.
constexpr std::size_t kWebThreads = 32, kWebJobsMax = 96;

/// The issuer of tokens has 10 s for each question: nobody waits for longer than the 20 s that ringpostd does.
constexpr std::size_t kIssuerThreads = 16, kIssuerJobsMax = 32;

constexpr char kMachineId[] = "/etc/machine-id";

std::vector<harden::PathRule> paths(const config::Settings& settings) {
  std::vector<harden::PathRule> rules{{std::filesystem::path{settings.auth.password_file}.parent_path(), harden::Access::read},
                                      {kMachineId, harden::Access::read},
                                      {std::filesystem::path{settings.tls.trust_file}.parent_path(), harden::Access::read}};
  for (const std::string& file : {settings.auth.oauth.key_file, settings.auth.oauth.introspection_secret_file})
    if (!file.empty()) rules.push_back({std::filesystem::path{file}.parent_path(), harden::Access::read});
  // A link leads elsewhere.
  std::error_code missing;
  const auto trust = std::filesystem::canonical(settings.tls.trust_file, missing);
  if (!missing) rules.push_back({trust.parent_path(), harden::Access::read});
  return rules;
}

/// What logins that do not exist are made of. It must not be known outside, and must be the same at the next start.
Key256 decoy_key(runtime::Ring& ring) {
  std::ifstream file{kMachineId};
  std::string id;
  Key256 key;
  if (std::getline(file, id) && !id.empty()) key = crypto::derive_key(as_bytes(id), {}, "ringpost decoy logins", {});
  else ring.random(key.mutable_view());
  return key;
}

runtime::Task<int> live(HelperContext& context) {
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  helperd::Web web{context.settings.tls.trust_file};
  helperd::Workers workers{context.ring, std::clamp<std::size_t>(cores / 2, 1, kThreadsMax), kJobsMax};
  helperd::Workers web_workers{context.ring, kWebThreads, kWebJobsMax};
  helperd::Workers issuer_workers{context.ring, kIssuerThreads, kIssuerJobsMax};
  const config::Settings::Auth::Oauth& oauth = context.settings.auth.oauth;
  if (!workers.start() || !web_workers.start() || (oauth.asks_issuer() && !issuer_workers.start())) {
    context.log.error("no threads can be had for what is slow");
    co_return 1;
  }
  helperd::AccountsFile accounts{context.log, context.settings.auth.password_file};
  Key256 cache_key;
  context.ring.random(cache_key.mutable_view());
  helperd::TokenChecker tokens{context.log, oauth, std::move(cache_key), [&web](const helperd::HttpRequest& wanted) { return web.request(wanted); }};
  std::optional<helperd::DovecotClient> dovecot;
  if (!context.settings.auth.dovecot_socket.empty())
    dovecot.emplace(context.ring, context.log, *SocketAddress::from_path(context.settings.auth.dovecot_socket), static_cast<std::uint32_t>(::getpid()));
  helperd::Server server{context.ring, context.log, {workers, accounts, tokens, dovecot ? &*dovecot : nullptr, web_workers, web, issuer_workers}, decoy_key(context.ring), context.listener,
                          [&context](Fd peer) { return context.serves(peer); }};
  server.start();
  co_await context.wait_for_the_end();
  web.stop();
  if (dovecot) co_await dovecot->stop();
  co_await server.stop();
  co_await issuer_workers.stop();
  co_await web_workers.stop();
  co_await workers.stop();
  co_return 0;
}

}  // namespace
}  // namespace ringpost::programs

int main(int argc, char** argv) {
  using namespace ringpost::programs;
  return run_helper(argc, argv,
                    {"ringpost-helperd", "Ringpost's errands. ringpostd or the service manager starts it.", kNiceness, &paths, &live, ringpost::harden::Role::outward});
}
