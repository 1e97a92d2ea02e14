#include "shard/transport_keeper.hh"

namespace ringpost::shard {

using runtime::Task;

namespace {
// What a crash may forget.
constexpr Duration kWriteEvery = std::chrono::seconds(5);
}  // namespace

Task<void> TransportKeeper::read() {
  auto policies = co_await policies_.read();
  const bool sound = policies && memory_.policies.decode(*policies, now());
  if (!sound && (policies || policies.error().code != Errc::not_found))
    complain("MTA-STS policies of the last start cannot be read, and are asked for anew", policies ? Error{Errc::corrupt} : policies.error());
}

Task<void> TransportKeeper::keep() {
  while (!stopping_) {
    (void)co_await stop_.wait(ring_.now() + kWriteEvery);
    co_await write_policies();
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

void TransportKeeper::complain(Literal about, Error why) {
  if (auto suppressed = trouble_log_.admit(ring_.now())) log_.warning(about, {{"why", why}, {"suppressed", *suppressed}});
}

Task<void> TransportKeeper::stop() {
  stopping_ = true;
  stop_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::shard
