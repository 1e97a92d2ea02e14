// The part of a session that finds out who the client is, where somebody stands in between: the PROXY protocol, XCLIENT, XFORWARD.
#include <algorithm>

#include "receive/session.hh"
#include "ringpost/policy/relay.hh"
#include "ringpost/smtp/extensions.hh"
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
  if (reader.header().origin == smtp::ProxyHeader::Origin::client) origin_ = reader.header().source;
  origin_known_ = reader.header().origin != smtp::ProxyHeader::Origin::unknown;
  if (become(origin_, origin_known_)) co_return true;
  if (listener_.tls != config::ListenerTls::implicit) (void)co_await flush();
  co_return false;
}

// From here on the connection is this client's, for limits, relay, traces and events. False: there are too many of it, and the session ends.
bool Session::become(const SocketAddress& client, bool known) {
  peer_ = client;
  peer_known_ = known;
  envelope_.client = peer_.ip();
  if (place_.is_of(peer_.ip()) || server_.admit(place_, *settings_, peer_.ip())) return true;
  close_with(replies::kTooManyConnections);
  return false;
}

// XCLIENT does not change who may use it (XCLIENT_README, "Security").
bool Session::may_introduce(smtp::Verb verb) const {
  if (verb != smtp::Verb::xclient && verb != smtp::Verb::xforward) return true;
  const auto& peers = verb == smtp::Verb::xclient ? settings_->smtp.xclient_peers : settings_->smtp.xforward_peers;
  return origin_known_ && policy::is_listed(origin_.ip(), peers);
}

void Session::on_xclient(const smtp::Command& command) {
  const auto attributes = smtp::parse_client_attributes(command.verb, command.argument);
  if (!attributes) return answer(attributes.error());
  if (attributes->addressed) {
    const bool known = attributes->address.has_value();
    if (!become(known ? SocketAddress{*attributes->address, attributes->port.value_or(0)} : origin_, known)) return;
  }
  end_transaction();
  helo_.clear();
  login_ = {};
  authentication_.reset();
  certified_ = false;  // it was the certificate of whoever speaks for this client
  state_.start_over();
  out_.add_written([&](MutableBytes to) { return smtp::write_greeting(settings_->hostname, to); });
}

void Session::on_xforward(const smtp::Command& command) {
  const auto attributes = smtp::parse_client_attributes(command.verb, command.argument);
  if (!attributes) return answer(attributes.error());
  if (!forwarded_) forwarded_.emplace();
  forwarded_->add(*attributes);
  answer(replies::kOk);
}

void Session::log_forwarded() {
  if (!forwarded_ || !forwarded_->address) return;
  server_.surroundings_.log.info("a message was passed on for another client",
                                 {{"message", incoming_->id()}, {"peer", peer_.ip()}, {"client", *forwarded_->address}, {"port", forwarded_->port.value_or(0)}});
}

// relay.clients trusts addresses. Whoever comes through a proxy that cannot say from where has none, and not the proxy's.
IpAddress Session::client_for_relay() const { return peer_known_ ? peer_.ip() : IpAddress{}; }

}  // namespace ringpost::receive
