// The part of a session that finds out who the client is, where a proxy stands in between.
#include <algorithm>

#include "receive/session.hh"
#include "ringpost/smtp/proxy_header.hh"

namespace ringpost::receive {

namespace replies = smtp::replies;

namespace {
// A proxy sends its header with its first segment.
constexpr Duration kHeaderPatience = std::chrono::seconds(5);
}  // namespace

// Until a whole header is here, nothing is said; after one that is none, nothing ever. What came behind it is the client's.
runtime::Task<bool> Session::read_proxy_header() {
  const Instant deadline = ring_.now() + kHeaderPatience;
  smtp::ProxyHeaderReader reader;
  for (auto status = smtp::ProxyHeaderReader::Status::need_more; status != smtp::ProxyHeaderReader::Status::whole;) {
    idle_ = true;
    auto chunk = co_await channel_.next(deadline);
    idle_ = false;
    if (chunk) {
      const smtp::ProxyHeaderReader::Step step = reader.next(chunk->bytes());
      status = step.status;
      chunk->consume(step.consumed);
      if (!chunk->empty()) channel_.put_back(std::move(*chunk));
    }
    if (!chunk || status == smtp::ProxyHeaderReader::Status::malformed) {
      if (!end_asked_) server_.log_without_header(peer_.ip());
      co_return false;
    }
  }
  if (reader.header().origin == smtp::ProxyHeader::Origin::client) peer_ = reader.header().source;
  peer_known_ = reader.header().origin != smtp::ProxyHeader::Origin::unknown;
  envelope_.client = peer_.ip();
  if (server_.admit(place_, *settings_, peer_.ip())) co_return true;
  if (listener_.tls != config::ListenerTls::implicit) {
    out_.add(replies::kTooManyConnections);
    (void)co_await flush();
  }
  co_return false;
}

// relay.clients trusts addresses. Whoever comes through a proxy that cannot say from where has none, and not the proxy's.
IpAddress Session::client_for_relay() const { return peer_known_ ? peer_.ip() : IpAddress{}; }

}  // namespace ringpost::receive
