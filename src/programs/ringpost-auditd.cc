// ringpost-auditd: keeps the audit log.
#include "programs/directories.hh"
#include "programs/helper_process.hh"
#include "ringpost/auditd/journal.hh"
#include "ringpost/auditd/server.hh"
#include "ringpost/harden/privileges.hh"

namespace ringpost::programs {
namespace {

constexpr Duration kLockRetry = std::chrono::milliseconds(50);
constexpr Duration kLockPatience = std::chrono::seconds(10);

std::vector<harden::PathRule> paths(const config::Settings& settings) {
  return {{settings.audit.directory, harden::Access::write}};
}

/// The journal of a predecessor that is just dying is waited for.
runtime::Task<Result<>> open_journal(runtime::Ring& ring, auditd::Journal& journal) {
  Instant give_up = ring.now() + kLockPatience;
  for (;;) {
    auto opened = co_await journal.open();
    if (opened || opened.error().code != Errc::busy || ring.now() >= give_up) co_return opened;
    co_await journal.close();
    co_await ring.sleep_for(kLockRetry);
  }
}

runtime::Task<int> live(HelperContext& context) {
  auditd::Journal journal{context.ring, context.log, past_link(context.settings.audit.directory)};
  auto opened = co_await open_journal(context.ring, journal);
  if (!opened) {
    if (opened.error().code == Errc::busy)
      context.log.error("the audit log is in use by another ringpost-auditd: stop that one, or give this one an audit.directory of its own",
                        {{"directory", OperatorText{context.settings.audit.directory}}});
    else
      context.log.error("the audit log cannot be opened", {{"directory", OperatorText{context.settings.audit.directory}}, {"error", opened.error()}});
    co_await journal.close();
    co_return 1;
  }
  (void)co_await journal.note({.kind = event::Kind::process_started});
  auditd::Server server{context.ring, context.log, journal, context.listener, [&context](Fd peer) { return context.serves(peer); }};
  server.start();
  co_await context.wait_for_the_end();
  co_await server.stop();
  (void)co_await journal.note({.kind = event::Kind::process_stopped});
  co_await journal.close();
  co_return 0;
}

}  // namespace
}  // namespace ringpost::programs

int main(int argc, char** argv) {
  using namespace ringpost::programs;
  return run_helper(argc, argv, {"ringpost-auditd", "Ringpost's audit log. ringpostd or the service manager starts it.", 0, &paths, &live});
}
