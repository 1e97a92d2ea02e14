#include "shard/transport_keeper.hh"

namespace ringpost::shard {

using runtime::Task;

namespace {
// What a crash may forget: policies of so long, and sessions, which change all the time, of some times that.
constexpr Duration kWriteEvery = std::chrono::seconds(5);
constexpr unsigned kSessionsEvery = 12;
}  // namespace

Task<void> TransportKeeper::read() {
  auto policies = co_await policies_.read();
  const bool sound = policies && memory_.policies.decode(*policies, now());
  if (!sound && (policies || policies.error().code != Errc::not_found))
    complain("MTA-STS policies of the last start cannot be read, and are asked for anew", policies ? Error{Errc::corrupt} : policies.error());
  auto sessions = co_await sessions_.read();
  const bool counted = sessions && memory_.sessions.decode(*sessions);
  if (!counted && (sessions || sessions.error().code != Errc::not_found))
    complain("what reports about TLS are made of cannot be read, and is counted anew", sessions ? Error{Errc::corrupt} : sessions.error());
}

Task<void> TransportKeeper::keep() {
  for (unsigned turn = 1; !stopping_; ++turn) {
    (void)co_await stop_.wait(ring_.now() + kWriteEvery);
    co_await write_policies();
    if (stopping_ || turn % kSessionsEvery == 0) co_await write_sessions();
  }
}

Task<void> TransportKeeper::write_policies() {
  const std::uint64_t revision = memory_.policies.revision();
  if (revision == policies_written_) co_return;
  const std::vector<std::byte> encoded = memory_.policies.encode(now());
  const Result<> written = co_await policies_.replace(encoded);
  if (written) policies_written_ = revision;
  else complain("MTA-STS policies cannot be written down", written.error());
}

Task<void> TransportKeeper::write_sessions() {
  const std::uint64_t revision = memory_.sessions.revision();
  if (revision == sessions_written_) co_return;
  const std::vector<std::byte> encoded = memory_.sessions.encode();
  const Result<> written = co_await sessions_.replace(encoded);
  if (written) sessions_written_ = revision;
  else complain("what reports about TLS are made of cannot be written down", written.error());
}

void TransportKeeper::complain(Literal about, Error why) {
  if (auto suppressed = trouble_log_.admit(ring_.now())) log_.warning(about, {{"why", why}, {"suppressed", *suppressed}});
}

Task<void> TransportKeeper::stop() {
  stopping_ = true;
  stop_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::shard
