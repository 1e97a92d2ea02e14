#include "ringpost/keys/client.hh"

#include <sys/socket.h>

#include <algorithm>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"

namespace ringpost::keys {

using protocol::Kind;
using protocol::Status;
using runtime::Task;

namespace {

constexpr std::size_t kLeasesMax = 256;
constexpr Duration kConnectPatience = std::chrono::seconds{1};
constexpr Duration kBackOffFirst = std::chrono::milliseconds{20};
constexpr Duration kBackOffMax = std::chrono::seconds{1};
constexpr Duration kRenewRetry = std::chrono::seconds{1};
constexpr Duration kReleasePatience = std::chrono::milliseconds{300};  // all leases together, at the end

Error to_error(Status status) {
  switch (status) {
    case Status::over_budget: return {Errc::limit, static_cast<std::int32_t>(status)};
    case Status::unknown_key: return {Errc::not_found, static_cast<std::int32_t>(status)};
    case Status::not_authentic: return {Errc::corrupt, static_cast<std::int32_t>(status)};
    case Status::malformed:
    case Status::out_of_order: return {Errc::protocol, static_cast<std::int32_t>(status)};
    default: break;
  }
  return {protocol::is_refusal(status) ? Errc::permission : Errc::unavailable, static_cast<std::int32_t>(status)};
}

}  // namespace

/// A request that waits for its answer, in the frame that sent it.
struct Client::Pending {
  Pending(runtime::Ring& ring, Kind kind) : kind(kind), answered(ring) {}

  Kind kind;
  std::uint32_t id = 0;
  std::optional<protocol::LeaseReply> lease;  // kind lease
  std::span<protocol::UnwrappedItem> keys;    // kind unwrap
  std::optional<Result<>> outcome;            // there is an answer, or there will be none
  runtime::Signal answered;
  Pending *before = nullptr, *after = nullptr;
};

Client::Client(runtime::Ring& ring, Log& log, const ClientOptions& options)
    : ring_(ring), log_(log), options_(options), scope_(ring), changed_(ring), sendable_(ring), leased_(ring) {
  leases_.reserve(kLeasesMax);
}

Client::~Client() { RP_ASSERT(runtime::crashing() || !started_ || scope_.running() == 0); }

void Client::start() {
  RP_ASSERT(!started_);
  started_ = true;
  scope_.spawn(run());
}

Task<void> Client::stop() {
  if (!started_ || stopping_) co_return;
  std::vector<KeyId> leased;
  for (const Lease& lease : leases_) leased.push_back(lease.key);
  leases_.clear();
  const Instant deadline = ring_.now() + kReleasePatience;
  for (const KeyId& key : leased)
    if (connected_) co_await release(key, deadline);
  stopping_ = true;
  changed_.notify_all();
  if (socket_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // not connected yet: the connect has a deadline
  }
  co_await scope_.join();
}

// ---- the connection

Task<void> Client::run() {
  Duration back_off = kBackOffFirst;
  while (!stopping_) {
    Result<> made = co_await connect();
    Error why = made ? Error{} : made.error();
    if (made) {
      back_off = kBackOffFirst;
      why = co_await serve();
    }
    co_await disconnect(why);
    if (stopping_) break;
    if (auto suppressed = trouble_lines_.admit(ring_.now()))
      log_.warning("no connection to keyd", {{"why", why}, {"suppressed", *suppressed}});
    Instant again = ring_.now() + back_off;
    while (!stopping_ && ring_.now() < again) co_await changed_.wait(again);
    back_off = std::min(back_off * 2, kBackOffMax);
  }
}

Task<Result<>> Client::connect() {
  Result<Fd> opened = ring_.open_socket(options_.socket, runtime::SocketKind::seqpacket);
  if (!opened) co_return std::unexpected(opened.error());
  socket_ = *opened;
  Result<std::uint32_t> reached = co_await ring_.connect(socket_, options_.socket, ring_.now() + kConnectPatience);
  if (!reached) co_return std::unexpected(reached.error());
  if (stopping_) co_return std::unexpected(Error{Errc::cancelled});

  Instant deadline = ring_.now() + options_.patience;
  Bytes frame = protocol::encode(send_buffer_, next_id_++, protocol::HelloRequest{options_.incarnation, options_.spool_empty});
  Result<std::uint32_t> sent = co_await ring_.send(socket_, frame, deadline);
  if (!sent) co_return std::unexpected(sent.error());
  MutableBytes buffer = secrets_->receive_buffer;
  Result<std::uint32_t> received = co_await ring_.receive(socket_, buffer, deadline);
  if (!received) co_return std::unexpected(received.error());
  if (*received == 0) co_return std::unexpected(Error{Errc::closed});
  Result<> greeted = take_hello(buffer.first(*received));
  wipe(buffer.first(*received));
  if (greeted) {
    connected_ = true;
    changed_.notify_all();
  }
  co_return greeted;
}

Result<> Client::take_hello(Bytes frame) {
  std::optional<protocol::Header> header = protocol::decode_header(frame);
  bool answers = header && header->is_reply && header->kind == Kind::hello && header->id == next_id_ - 1;
  if (answers && header->status != Status::ok && protocol::is_bare_reply(frame)) return std::unexpected(to_error(header->status));
  std::optional<protocol::HelloReply> reply = protocol::decode_hello_reply(frame);
  if (!answers || !reply) return std::unexpected(Error{Errc::protocol});
  if (greeted_ && reply->store != store_) {
    log_.error("keyd came back with another store's keys", {{"store", reply->store}, {"expected", store_}});
    return std::unexpected(Error{Errc::protocol});
  }
  if (!greeted_) {
    store_ = reply->store;
    kek_created_ = reply->kek_created;
    store_created_ = reply->store_created;
    secrets_->metadata_key = std::move(reply->metadata_key);
    secrets_->address_hash_key = std::move(reply->address_hash_key);
    greeted_ = true;
    options_.spool_empty = false;  // there may be mail from now on
  }
  return {};
}

/// Hands out answers until the connection ends; returns why it did.
Task<Error> Client::serve() {
  MutableBytes buffer = secrets_->receive_buffer;
  for (;;) {
    Result<std::uint32_t> received = co_await ring_.receive(socket_, buffer);
    if (!received) co_return received.error();
    if (*received == 0) co_return Error{Errc::closed};
    if (*received == buffer.size()) co_return Error{Errc::protocol};
    Result<> taken = dispatch(buffer.first(*received));
    wipe(buffer.first(*received));
    if (!taken) co_return taken.error();
  }
}

Result<> Client::dispatch(Bytes frame) {
  const Error broken{Errc::protocol};
  std::optional<protocol::Header> header = protocol::decode_header(frame);
  if (!header || !header->is_reply) return std::unexpected(broken);
  Pending* pending = pending_;
  while (pending && pending->id != header->id) pending = pending->after;
  if (!pending) return {};  // its sender gave up waiting
  if (pending->kind != header->kind) return std::unexpected(broken);

  Result<> outcome;
  if (protocol::is_bare_reply(frame)) {
    if (header->status != Status::ok) outcome = std::unexpected(to_error(header->status));
  } else if (pending->kind == Kind::lease) {
    pending->lease = protocol::decode_lease_reply(frame);
    if (!pending->lease) return std::unexpected(broken);
  } else if (pending->kind != Kind::unwrap || !protocol::decode_unwrap_reply(frame, pending->keys)) {
    return std::unexpected(broken);
  }
  pending->outcome = outcome;
  unlink(*pending);
  pending->answered.notify_all();
  return {};
}

Task<void> Client::disconnect(Error why) {
  connected_ = false;
  trouble_ = why.code == Errc::permission ? why : Error{Errc::unavailable, why.detail};
  changed_.notify_all();
  while (pending_) {
    Pending& pending = *pending_;
    unlink(pending);
    pending.outcome = std::unexpected(Error{Errc::unavailable, why.detail});
    pending.answered.notify_all();
  }
  if (!socket_) co_return;
  if (sending_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // the send fails now, or has failed already
    while (sending_) co_await sendable_.wait();
  }
  Fd closing = std::exchange(socket_, Fd{});
  Result<std::uint32_t> closed = co_await ring_.close(closing);
  static_cast<void>(closed);  // nothing can be done about it, and the descriptor is gone
}

// ---- requests

void Client::link(Pending& pending) {
  pending.after = pending_;
  if (pending_) pending_->before = &pending;
  pending_ = &pending;
}

void Client::unlink(Pending& pending) {
  (pending.before ? pending.before->after : pending_) = pending.after;
  if (pending.after) pending.after->before = pending.before;
  pending.before = pending.after = nullptr;
}

Task<Result<>> Client::wait_connected(Instant deadline) {
  while (!connected_) {
    if (stopping_ || !started_) co_return std::unexpected(Error{Errc::cancelled});
    if (trouble_.code == Errc::permission) co_return std::unexpected(trouble_);
    bool notified = co_await changed_.wait(deadline);
    if (!notified) co_return std::unexpected(trouble_);
  }
  co_return Result<>{};
}

/// Sends one request and waits for its outcome. `encode(buffer, id)` writes the frame.
template <typename Encode>
Task<Result<>> Client::exchange(Pending& pending, Instant deadline, Encode encode) {
  for (;;) {
    Result<> ready = co_await wait_connected(deadline);
    if (!ready) co_return ready;
    if (!connected_ || !sending_) break;
    bool free = co_await sendable_.wait(deadline);
    if (!free) co_return std::unexpected(Error{Errc::unavailable});
  }
  if (!connected_) co_return std::unexpected(trouble_);

  sending_ = true;
  pending.id = next_id_++;
  link(pending);
  Bytes frame = encode(MutableBytes{send_buffer_}, pending.id);
  Result<std::uint32_t> sent = co_await ring_.send(socket_, frame, deadline);
  sending_ = false;
  sendable_.notify_all();
  if (!sent || *sent != frame.size()) {
    if (!pending.outcome) unlink(pending);
    co_return std::unexpected(Error{Errc::unavailable});
  }
  while (!pending.outcome) {
    bool answered = co_await pending.answered.wait(deadline);
    if (answered || pending.outcome) continue;
    unlink(pending);
    co_return std::unexpected(Error{Errc::unavailable});
  }
  co_return *pending.outcome;
}

Task<Result<Hello>> Client::hello(Instant deadline) {
  while (!greeted_) {
    if (stopping_ || !started_) co_return std::unexpected(Error{Errc::cancelled});
    if (trouble_.code == Errc::permission) co_return std::unexpected(trouble_);
    bool notified = co_await changed_.wait(deadline);
    if (!notified) co_return std::unexpected(trouble_);
  }
  co_return Hello{store_, secrets_->metadata_key.duplicate(), secrets_->address_hash_key.duplicate(), kek_created_,
                  store_created_};
}

Task<Result<>> Client::unwrap(std::span<const UnwrapItem> items, std::span<protocol::UnwrappedItem> keys) {
  RP_ASSERT(!items.empty() && items.size() <= protocol::kUnwrapItemsMax && keys.size() == items.size());
  Pending pending{ring_, Kind::unwrap};
  pending.keys = keys;
  Result<> done = co_await exchange(pending, ring_.now() + options_.patience,
                                    [items](MutableBytes out, std::uint32_t id) { return protocol::encode(out, id, items); });
  co_return done;
}

// ---- leases

Client::Lease* Client::find(const Scope& scope, KeyClass key_class) {
  for (Lease& lease : leases_)
    if (lease.scope == scope && lease.key_class == key_class) return &lease;
  return nullptr;
}

/// The lease when it may still be used; starts its renewal in the background when it is due.
Client::Lease* Client::running(const Scope& scope, KeyClass key_class) {
  Lease* lease = find(scope, key_class);
  const Instant now = ring_.now();
  if (!lease || now >= lease->expires) return nullptr;
  if (now >= lease->renew_at && connected_ && !stopping_ && !is_fetching(scope, key_class)) {
    scope_.spawn(renew(scope, key_class));
    lease = find(scope, key_class);
  }
  return lease;
}

bool Client::is_fetching(const Scope& scope, KeyClass key_class) const {
  return std::ranges::any_of(fetches_, [&](const Fetch& fetch) { return fetch.scope == scope && fetch.key_class == key_class; });
}

Task<Result<KeyId>> Client::lease(Scope scope, KeyClass key_class) {
  bool waited = false;
  for (;;) {
    if (Lease* lease = running(scope, key_class)) co_return lease->key;
    if (waited) co_return std::unexpected(lease_trouble_);  // somebody asked on our behalf, in vain
    if (!is_fetching(scope, key_class)) break;
    waited = true;
    while (is_fetching(scope, key_class)) co_await leased_.wait();
  }
  Result<> fetched = co_await fetch(scope, key_class);
  if (!fetched) co_return std::unexpected(fetched.error());
  Lease* lease = find(scope, key_class);
  if (!lease) co_return std::unexpected(Error{Errc::unavailable});
  co_return lease->key;
}

Task<Result<>> Client::fetch(Scope scope, KeyClass key_class) {
  fetches_.push_back({scope, key_class});
  Pending pending{ring_, Kind::lease};
  const Instant asked = ring_.now();
  const protocol::LeaseRequest request{scope, key_class};
  Result<> done = co_await exchange(pending, ring_.now() + options_.patience, [&request](MutableBytes out, std::uint32_t id) {
    return protocol::encode(out, id, request);
  });
  if (done)
    keep(scope, key_class, *pending.lease, asked);
  else
    lease_trouble_ = done.error();
  std::erase_if(fetches_, [&](const Fetch& fetch) { return fetch.scope == scope && fetch.key_class == key_class; });
  leased_.notify_all();
  co_return done;
}

Task<void> Client::renew(Scope scope, KeyClass key_class) {
  Result<> fetched = co_await fetch(scope, key_class);
  if (fetched) co_return;
  if (Lease* lease = find(scope, key_class)) lease->renew_at = ring_.now() + kRenewRetry;
}

void Client::keep(const Scope& scope, KeyClass key_class, const protocol::LeaseReply& reply, Instant asked) {
  const Duration valid = std::chrono::seconds{reply.valid_s};
  if (Lease* lease = find(scope, key_class)) {
    if (lease->key == reply.key) {  // the same scope key in the same incarnation derives the same lease key
      lease->renew_at = asked + valid / 2;
      lease->expires = asked + valid;
      return;
    }
    scope_.spawn(release(lease->key, ring_.now() + options_.patience));
    leases_.erase(leases_.begin() + (lease - leases_.data()));
  }
  if (leases_.size() == kLeasesMax) leases_.erase(std::ranges::min_element(leases_, {}, &Lease::expires));
  Key256 wrapping = crypto::derive_wrap_key(reply.lease_key.view(), store_, options_.partition, options_.incarnation);
  leases_.push_back({scope, key_class, reply.key, crypto::AeadKey{wrapping.view()}, asked + valid / 2, asked + valid});
}

Task<void> Client::release(KeyId key, Instant deadline) {
  Pending pending{ring_, Kind::release};
  const protocol::ReleaseRequest request{key};
  Result<> done = co_await exchange(
      pending, deadline, [&request](MutableBytes out, std::uint32_t id) { return protocol::encode(out, id, request); });
  static_cast<void>(done);  // a lease that is not given back runs out
}

Result<crypto::WrappedKey> Client::wrap_now(const Scope& scope, KeyClass key_class, const crypto::MessageSealer& sealer,
                                            std::uint32_t owner) {
  const Lease* lease = running(scope, key_class);
  if (!lease) return std::unexpected(Error{Errc::unavailable});
  crypto::Nonce nonce;
  ring_.random(nonce);
  const crypto::WrappedKey identity{
      .scope_key = lease->key, .partition = options_.partition, .incarnation = options_.incarnation, .owner = owner};
  return sealer.wrap(lease->wrapping, identity, nonce);
}

Task<Result<crypto::WrappedKey>> Client::wrap(Scope scope, KeyClass key_class, const crypto::MessageSealer& sealer,
                                              std::uint32_t owner) {
  Result<KeyId> leased = co_await lease(scope, key_class);
  if (!leased) co_return std::unexpected(leased.error());
  co_return wrap_now(scope, key_class, sealer, owner);
}

}  // namespace ringpost::keys
