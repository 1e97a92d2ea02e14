// ringpost-keyd: keeps the key tree.
#include <unistd.h>

#include "programs/helper_process.hh"
#include "ringpost/harden/privileges.hh"
#include "ringpost/keyd/reporter.hh"
#include "ringpost/keyd/server.hh"
#include "ringpost/keyd/store.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::programs {
namespace {

constexpr Duration kLastEventsPatience = std::chrono::milliseconds{200};

std::vector<harden::PathRule> paths(const config::Settings& settings) {
  return {{settings.keys.directory, harden::Access::write}, {settings.keys.kek_file, harden::Access::read}};
}

runtime::Task<int> live(HelperContext& context) {
  const config::Settings& settings = context.settings;
  keyd::Reporter events{context.ring, context.log, context.audit_socket};
  events.start();
  keyd::Store store{context.ring,
                    context.log,
                    events,
                    {.directory = settings.keys.directory,
                     .kek_file = settings.keys.kek_file,
                     .spool_directory = settings.spool.directory,
                     .allow_same_filesystem = settings.keys.allow_same_filesystem,
                     .user = geteuid()}};
  if (!store.table().is_locked()) context.log.warning("keys cannot be locked into memory: raise RLIMIT_MEMLOCK");
  keyd::Server server{context.ring,
                      context.log,
                      store,
                      events,
                      {.listener = context.listener, .client_user = context.client_users.front(), .peer_is = &harden::peer_is}};
  runtime::Scope scope{context.ring};
  scope.spawn(server.run());
  co_await context.wait_for_the_end();
  co_await server.stop();
  co_await scope.join();
  co_await events.stop(kLastEventsPatience);
  co_await store.close();
  co_return 0;
}

}  // namespace
}  // namespace ringpost::programs

int main(int argc, char** argv) {
  using namespace ringpost::programs;
  return run_helper(argc, argv, {"ringpost-keyd", "Ringpost's keys. ringpostd or the service manager starts it.", 0, &paths, &live});
}
