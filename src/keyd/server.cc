#include "ringpost/keyd/server.hh"

#include <sys/socket.h>

#include <algorithm>
#include <optional>

#include "ringpost/crypto/message_key.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/keys/lease.hh"

namespace ringpost::keyd {

using keys::protocol::Kind;
using keys::protocol::Status;
using runtime::Task;

namespace {

constexpr std::size_t kConnectionsMax = 1024;
constexpr Duration kReplyPatience = std::chrono::seconds{5};
constexpr Duration kAcceptRetry = std::chrono::milliseconds{100};

std::size_t index_of(Kind kind) { return static_cast<std::size_t>(kind) - 1; }

Literal name_of(Kind kind) {
  switch (kind) {
    case Kind::hello: return "hello";
    case Kind::lease: return "lease";
    case Kind::unwrap: return "unwrap";
    case Kind::release: return "release";
  }
  return "unknown";
}

/// Opens wrapped keys one after the other; neighbours usually share their wrapping key, so the last one is kept.
class Unwrapper {
 public:
  explicit Unwrapper(const KeyTable& table) : table_(table) {}

  void open(const keys::protocol::UnwrapItem& item, keys::protocol::UnwrappedItem& out) {
    out.status = Status::unknown_key;
    if (!prepare(item.wrapped)) return;
    Result<Key256> key = crypto::unwrap_message_key(*wrapping_, table_.store, item.message, item.wrapped);
    out.status = key ? Status::ok : Status::not_authentic;
    if (key) out.message_key = std::move(*key);
  }

 private:
  bool prepare(const crypto::WrappedKey& wrapped) {
    const bool same =
        wrapping_ && wrapped.scope_key == scope_key_ && wrapped.partition == partition_ && wrapped.incarnation == incarnation_;
    if (same) return true;
    const ScopeKey* scope_key = table_.find(wrapped.scope_key);
    if (!scope_key) return false;
    const Key256 lease = keys::derive_lease_key(scope_key->key, table_.store, scope_key->id, wrapped.incarnation);
    const Key256 key = crypto::derive_wrap_key(lease.view(), table_.store, wrapped.partition, wrapped.incarnation);
    wrapping_.emplace(key.view());
    scope_key_ = wrapped.scope_key;
    partition_ = wrapped.partition;
    incarnation_ = wrapped.incarnation;
    return true;
  }

  const KeyTable& table_;
  std::optional<crypto::AeadKey> wrapping_;
  KeyId scope_key_;
  PartitionId partition_;
  IncarnationId incarnation_;
};

}  // namespace

Budget::Verdict Budget::take(Instant now, std::uint32_t count) {
  if (!began_ || now - minute_began_ >= std::chrono::minutes{1}) {
    minute_began_ = now;
    began_ = true;
    used_ = 0;
    alarmed_ = false;
  }
  if (count <= per_minute_ - used_) {
    used_ += count;
    return Verdict::within;
  }
  return std::exchange(alarmed_, true) ? Verdict::exceeded : Verdict::exceeded_first;
}

/// One connection's state; its buffers hold keys, so they lie in locked pages.
struct Server::Session {
  struct Buffers {
    std::array<std::byte, keys::protocol::kRequestBytesMax + 1> request;
    std::array<std::byte, keys::protocol::kReplyBytesMax> reply;
    keys::protocol::UnwrapRequest unwrap;
    std::array<keys::protocol::UnwrappedItem, keys::protocol::kUnwrapItemsMax> unwrapped;
  };

  explicit Session(Fd connection) : connection(connection) {}

  Fd connection;
  harden::Locked<Buffers> buffers;
  std::optional<IncarnationId> incarnation;  // after the hello
  bool ending = false;                       // the client broke the protocol
};

Server::Server(runtime::Ring& ring, Log& log, Store& store, EventSink& events, const ServerOptions& options)
    : ring_(ring),
      log_(log),
      store_(store),
      events_(events),
      options_(options),
      acceptor_(ring, options.listener),
      scope_(ring),
      budgets_{Budget{options.hellos_per_minute}, Budget{options.leases_per_minute}, Budget{options.unwraps_per_minute},
               Budget{options.releases_per_minute}} {
  RP_ASSERT(options.lease_s > 0 && options.lease_s <= keys::protocol::kLeaseSecondsMax);
}

Task<void> Server::run() {
  const Status status = co_await store_.open(false);
  if (status == Status::ok)
    log_.info("the key store is open", {{"store", store_.table().store}, {"keys", store_.table().scope_keys().size()}});
  else if (store_.is_vacant())
    log_.info("no key store yet: waiting for ringpostd to say whether there is mail");
  else
    log_.error("no key store: ringpostd is refused until this is put right", {{"why", status}});

  while (!stopping_) {
    Result<Fd> accepted = co_await acceptor_.next();
    if (!accepted) {
      if (stopping_) break;
      log_.error("cannot accept a connection", {{"why", accepted.error()}});
      co_await ring_.sleep_for(kAcceptRetry);
      continue;
    }
    scope_.spawn(serve(*accepted));
  }
  co_await scope_.join();
}

Task<void> Server::stop() {
  if (stopping_) co_return;
  stopping_ = true;
  co_await acceptor_.stop();
  const std::vector<Fd> connections = connections_;
  for (const Fd connection : connections) {
    if (std::ranges::find(connections_, connection) == connections_.end()) continue;
    Result<std::uint32_t> ended = co_await ring_.shutdown(connection, SHUT_RDWR);
    static_cast<void>(ended);  // it had ended already
  }
}

Task<void> Server::serve(Fd connection) {
  const bool known = options_.peer_is(connection, options_.client_user);
  if (!known) {
    ++counters_.strangers;
    log_.error("a process of another user tried the key socket", {{"allowed", options_.client_user}});
  }
  if (known && !stopping_ && connections_.size() < kConnectionsMax) {
    connections_.push_back(connection);
    Session session{connection};
    co_await converse(session);
    std::erase(connections_, connection);
  }
  Result<std::uint32_t> closed = co_await ring_.close(connection);
  static_cast<void>(closed);  // nothing was promised on it
}

Task<void> Server::converse(Session& session) {
  while (!stopping_ && !session.ending) {
    const MutableBytes buffer = session.buffers->request;
    Result<std::uint32_t> received = co_await ring_.receive(session.connection, buffer);
    if (!received || *received == 0) co_return;
    const Bytes reply = co_await answer(session, buffer.first(*received));
    if (reply.empty()) co_return;
    Result<std::uint32_t> sent = co_await ring_.send(session.connection, reply, ring_.now() + kReplyPatience);
    wipe(session.buffers->reply);
    if (!sent || *sent != reply.size()) co_return;
  }
}

/// The reply to one packet, in the session's buffer; empty for what cannot be a request at all.
Task<Bytes> Server::answer(Session& session, Bytes frame) {
  const std::optional<keys::protocol::Header> header = keys::protocol::decode_header(frame);
  if (!header || header->is_reply || frame.size() > keys::protocol::kRequestBytesMax) {
    ++counters_.refused;
    co_return Bytes{};
  }
  const std::uint32_t id = header->id;
  if ((header->kind == Kind::hello) == session.incarnation.has_value()) {
    session.ending = true;
    co_return refuse(session, id, header->kind, Status::out_of_order);
  }
  switch (header->kind) {
    case Kind::hello:
      if (std::optional<keys::protocol::HelloRequest> request = keys::protocol::decode_hello(frame)) {
        const Bytes reply = co_await hello(session, id, *request);
        co_return reply;
      }
      break;
    case Kind::lease:
      if (std::optional<keys::protocol::LeaseRequest> request = keys::protocol::decode_lease(frame)) {
        const Bytes reply = co_await lease(session, id, *request);
        co_return reply;
      }
      break;
    case Kind::unwrap:
      if (keys::protocol::decode_unwrap(frame, session.buffers->unwrap)) co_return unwrap(session, id);
      break;
    case Kind::release:
      if (keys::protocol::decode_release(frame)) {
        if (!within_budget(Kind::release, 1)) co_return refuse(session, id, Kind::release, Status::over_budget);
        ++counters_.releases;
        co_return keys::protocol::encode_status(session.buffers->reply, id, Kind::release, Status::ok);
      }
      break;
  }
  session.ending = true;
  co_return refuse(session, id, header->kind, Status::malformed);
}

Bytes Server::refuse(Session& session, std::uint32_t id, Kind kind, Status status) {
  ++counters_.refused;
  return keys::protocol::encode_status(session.buffers->reply, id, kind, status);
}

bool Server::within_budget(Kind kind, std::uint32_t count) {
  const Budget::Verdict verdict = budgets_[index_of(kind)].take(ring_.now(), count);
  if (verdict == Budget::Verdict::exceeded_first) {
    ++counters_.budget_alarms;
    events_.key_event(event::Kind::key_budget_exceeded, std::nullopt);
    log_.error("ALARM: ringpostd asks for more keys than its budget allows", {{"request", name_of(kind)}});
  }
  return verdict == Budget::Verdict::within;
}

Task<Bytes> Server::hello(Session& session, std::uint32_t id, keys::protocol::HelloRequest request) {
  if (!within_budget(Kind::hello, 1)) co_return refuse(session, id, Kind::hello, Status::over_budget);
  bool kek_created = false, store_created = false;
  if (!store_.is_open()) {
    const Status status = co_await store_.open(request.spool_empty);
    if (status != Status::ok) co_return refuse(session, id, Kind::hello, status);
    kek_created = store_.kek_created();
    store_created = store_.store_created();
  }
  ++counters_.hellos;
  session.incarnation = request.incarnation;
  const KeyTable& table = store_.table();
  co_return keys::protocol::encode_reply(session.buffers->reply, id,
                                         keys::protocol::HelloReply{.store = table.store,
                                                                    .metadata_key = table.metadata_key().duplicate(),
                                                                    .address_hash_key = table.address_hash_key().duplicate(),
                                                                    .kek_created = kek_created,
                                                                    .store_created = store_created});
}

Task<Bytes> Server::lease(Session& session, std::uint32_t id, keys::protocol::LeaseRequest request) {
  if (!within_budget(Kind::lease, 1)) co_return refuse(session, id, Kind::lease, Status::over_budget);
  Result<KeyId> key_id = co_await store_.key_for(request.scope, request.key_class);
  const ScopeKey* key = key_id ? store_.table().find(*key_id) : nullptr;
  if (!key) co_return refuse(session, id, Kind::lease, Status::unavailable);
  ++counters_.leases;
  events_.key_event(event::Kind::key_leased, key->id);
  co_await events_.settled();
  key = store_.table().find(*key_id);  // the table may have grown meanwhile
  if (!key) co_return refuse(session, id, Kind::lease, Status::unavailable);
  co_return keys::protocol::encode_reply(
      session.buffers->reply, id,
      keys::protocol::LeaseReply{
          .key = key->id,
          .lease_key = keys::derive_lease_key(key->key, store_.table().store, key->id, *session.incarnation),
          .valid_s = options_.lease_s});
}

Bytes Server::unwrap(Session& session, std::uint32_t id) {
  const std::uint32_t count = session.buffers->unwrap.count;
  if (!within_budget(Kind::unwrap, count)) return refuse(session, id, Kind::unwrap, Status::over_budget);
  const std::span items = std::span{session.buffers->unwrap.items}.first(count);
  const std::span keys = std::span{session.buffers->unwrapped}.first(count);
  Unwrapper unwrapper{store_.table()};
  for (std::uint32_t i = 0; i < count; ++i) unwrapper.open(items[i], keys[i]);
  counters_.unwrapped += static_cast<std::uint64_t>(std::ranges::count(keys, Status::ok, &keys::protocol::UnwrappedItem::status));
  const Bytes reply = keys::protocol::encode_reply(session.buffers->reply, id, keys);
  for (keys::protocol::UnwrappedItem& key : keys) key.message_key.clear();
  return reply;
}

}  // namespace ringpost::keyd
