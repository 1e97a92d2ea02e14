// Leases, unwrapping, budgets, and what a client sees of a daemon that dies.
#include "support.hh"

namespace ringpost::keyd {
namespace {

using keys::protocol::UnwrapItem;
using keys::protocol::UnwrappedItem;

/// A message and its key, as the mail path has them.
struct Message {
  explicit Message(KeydWorld& world, const StoreId& store) {
    world.ring().random(id.bytes);
    world.ring().random(key.mutable_view());
    sealer.emplace(key.duplicate(), store, id);
  }
  MessageId id;
  Key256 key;
  std::optional<crypto::MessageSealer> sealer;
};

class KeydServer : public testing::Test {
 protected:
  void start(ServerOptions limits = {}, Duration patience = std::chrono::seconds{5}) {
    world.start_keyd(store_options(), limits);
    client = &world.make_client(true, patience);
    Result<keys::Hello> hello = world.run(client->hello());
    ASSERT_TRUE(hello);
    store = hello->store;
  }
  Result<crypto::WrappedKey> wrap(keys::Client& by, const Message& message) {
    return world.run(by.wrap({}, KeyClass::incoming, *message.sealer));
  }
  /// Whether a lease is running.
  bool can_wrap_now(const Message& message) {
    const auto wrap_now = [](keys::Client& client, const Message& message) -> Task<bool> {
      co_return client.wrap_now({}, KeyClass::incoming, *message.sealer).has_value();
    };
    return world.run(wrap_now(*client, message));
  }
  Result<> unwrap(keys::Client& by, std::span<const UnwrapItem> items, std::span<UnwrappedItem> keys) {
    return world.run(by.unwrap(items, keys));
  }

  KeydWorld world;
  keys::Client* client = nullptr;
  StoreId store;
};

TEST_F(KeydServer, what_is_wrapped_under_a_lease_is_unwrapped_also_after_restarts_of_both) {
  start();
  std::vector<UnwrapItem> items;
  std::vector<std::string> keys;
  for (int i = 0; i < 64; ++i) {
    Message message{world, store};
    Result<crypto::WrappedKey> wrapped = wrap(*client, message);
    ASSERT_TRUE(wrapped);
    items.push_back({*wrapped, message.id});
    keys.push_back(text_of(message.key.view()));
  }
  EXPECT_EQ(world.keyd().server->counters().leases, 1u);
  for (int restart = 0; restart < 2; ++restart) {
    std::vector<UnwrappedItem> unwrapped(items.size());
    ASSERT_TRUE(unwrap(*client, items, unwrapped));
    for (std::size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(unwrapped[i].status, Status::ok);
      EXPECT_EQ(text_of(unwrapped[i].message_key.view()), keys[i]);
    }
    world.kill_keyd();
    world.start_keyd();
    client = &world.make_client(false);
  }
}

TEST_F(KeydServer, a_wrapped_key_opens_for_its_own_message_and_store_key_only) {
  start();
  Message message{world, store}, other{world, store};
  Result<crypto::WrappedKey> wrapped = wrap(*client, message);
  ASSERT_TRUE(wrapped);
  std::array<UnwrapItem, 6> items;
  items.fill({*wrapped, message.id});
  items[1].message = other.id;
  items[2].wrapped.scope_key.bytes[0] ^= std::byte{1};
  items[3].wrapped.partition.bytes[0] ^= std::byte{1};
  items[4].wrapped.incarnation.bytes[0] ^= std::byte{1};
  items[5].wrapped.owner ^= 1;
  std::array<UnwrappedItem, 6> keys;
  ASSERT_TRUE(unwrap(*client, items, keys));
  EXPECT_EQ(keys[0].status, Status::ok);
  EXPECT_EQ(keys[1].status, Status::not_authentic);
  EXPECT_EQ(keys[2].status, Status::unknown_key);
  EXPECT_EQ(keys[3].status, Status::not_authentic);
  EXPECT_EQ(keys[4].status, Status::not_authentic);
  EXPECT_EQ(keys[5].status, Status::not_authentic);
}

TEST_F(KeydServer, a_scope_and_class_has_one_key_a_day) {
  start();
  const keys::Scope user{keys::ScopeKind::user, keys::OwnerId{{std::byte{1}}}};
  Result<KeyId> shared = world.run(client->lease({}, KeyClass::incoming));
  Result<KeyId> held = world.run(client->lease({}, KeyClass::held));
  Result<KeyId> owned = world.run(client->lease(user, KeyClass::incoming));
  ASSERT_TRUE(shared && held && owned);
  EXPECT_NE(*shared, *held);
  EXPECT_NE(*shared, *owned);
  keys::Client& second = world.make_client(false);
  EXPECT_EQ(*world.run(second.lease({}, KeyClass::incoming)), *shared);
  world.world().jump_wall(std::chrono::days{1});
  keys::Client& third = world.make_client(false);
  Result<KeyId> tomorrow = world.run(third.lease({}, KeyClass::incoming));
  ASSERT_TRUE(tomorrow);
  EXPECT_NE(*tomorrow, *shared);
  EXPECT_EQ(world.keyd().events.count(event::Kind::key_created), 4u);
  EXPECT_EQ(world.disk().content(kKeystore)->size(), keystore_bytes(4));
}

TEST_F(KeydServer, H9_wrapping_keys_of_two_starts_differ) {
  start();
  Message message{world, store};
  Result<crypto::WrappedKey> first = wrap(*client, message);
  keys::Client& restarted = world.make_client(false);
  Result<crypto::WrappedKey> second = wrap(restarted, message);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->scope_key, second->scope_key);
  EXPECT_NE(first->incarnation, second->incarnation);
  // Under the first start's identity the second one's ciphertext must not open: the keys have nothing in common.
  UnwrapItem mixed{*second, message.id};
  mixed.wrapped.incarnation = first->incarnation;
  mixed.wrapped.partition = first->partition;
  UnwrappedItem key;
  ASSERT_TRUE(unwrap(*client, {&mixed, 1}, {&key, 1}));
  EXPECT_EQ(key.status, Status::not_authentic);
}

TEST_F(KeydServer, keyd_away_leaves_running_leases_to_their_end_and_then_nothing) {
  start({.lease_s = 60}, std::chrono::seconds{1});
  Message message{world, store};
  Result<crypto::WrappedKey> before = wrap(*client, message);
  ASSERT_TRUE(before);
  world.kill_keyd();
  world.world().run_for(std::chrono::seconds{10});
  EXPECT_FALSE(client->is_connected());
  EXPECT_TRUE(can_wrap_now(message));
  world.world().run_for(std::chrono::seconds{60});
  Result<crypto::WrappedKey> after = wrap(*client, message);
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, Errc::unavailable);
  UnwrapItem item{*before, message.id};
  UnwrappedItem key;
  EXPECT_EQ(unwrap(*client, {&item, 1}, {&key, 1}).error().code, Errc::unavailable);

  world.start_keyd();
  EXPECT_TRUE(wrap(*client, message));
  ASSERT_TRUE(unwrap(*client, {&item, 1}, {&key, 1}));
  EXPECT_EQ(text_of(key.message_key.view()), text_of(message.key.view()));
}

TEST_F(KeydServer, a_request_in_flight_when_keyd_dies_is_unavailable) {
  start();
  Message message{world, store};
  Result<crypto::WrappedKey> wrapped = wrap(*client, message);
  ASSERT_TRUE(wrapped);
  const UnwrapItem item{*wrapped, message.id};
  UnwrappedItem key;
  std::optional<Result<>> outcome;
  const auto ask = [](keys::Client& client, const UnwrapItem& item, UnwrappedItem& key,
                      std::optional<Result<>>& outcome) -> Task<void> {
    outcome = co_await client.unwrap({&item, 1}, {&key, 1});
  };
  runtime::Scope scope{world.ring()};
  scope.spawn(ask(*client, item, key, outcome));
  world.kill_keyd();
  ASSERT_EQ(world.world().run_until([&] { return outcome.has_value(); }, std::chrono::seconds{2}), sim::Stop::reached);
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::unavailable);
}

TEST_F(KeydServer, a_lease_is_renewed_before_it_ends_and_nobody_waits) {
  start({.lease_s = 60});
  Message message{world, store};
  ASSERT_TRUE(wrap(*client, message));
  for (int i = 0; i < 30; ++i) {
    world.world().run_for(std::chrono::seconds{10});
    EXPECT_TRUE(can_wrap_now(message)) << i;
  }
  EXPECT_GE(world.keyd().server->counters().leases, 5u);
}

TEST_F(KeydServer, many_who_need_a_lease_at_once_cost_one_request) {
  start();
  std::vector<std::optional<Result<KeyId>>> outcomes(50);
  const auto ask = [](keys::Client& client, std::optional<Result<KeyId>>& outcome) -> Task<void> {
    outcome = co_await client.lease({}, KeyClass::incoming);
  };
  {
    runtime::Scope scope{world.ring()};
    for (auto& outcome : outcomes) scope.spawn(ask(*client, outcome));
    ASSERT_EQ(world.world().run_until([&] { return scope.running() == 0; }, kLong), sim::Stop::reached);
  }
  for (auto& outcome : outcomes) EXPECT_TRUE(*outcome);
  EXPECT_EQ(world.keyd().server->counters().leases, 1u);
}

TEST_F(KeydServer, past_a_budget_requests_are_refused_until_the_minute_is_over_with_one_alarm) {
  start({.unwraps_per_minute = 10});
  Message message{world, store};
  Result<crypto::WrappedKey> wrapped = wrap(*client, message);
  ASSERT_TRUE(wrapped);
  std::array<UnwrapItem, 4> items;
  items.fill({*wrapped, message.id});
  std::array<UnwrappedItem, 4> keys;
  EXPECT_TRUE(unwrap(*client, items, keys));
  EXPECT_TRUE(unwrap(*client, items, keys));
  for (int i = 0; i < 3; ++i) {
    Result<> refused = unwrap(*client, items, keys);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::limit);
  }
  EXPECT_EQ(world.keyd().server->counters().budget_alarms, 1u);
  EXPECT_EQ(world.keyd().events.count(event::Kind::key_budget_exceeded), 1u);
  world.world().run_for(std::chrono::seconds{61});
  EXPECT_TRUE(unwrap(*client, items, keys));
}

TEST_F(KeydServer, a_process_of_another_user_is_not_served) {
  world.start_keyd(store_options(), {.client_user = 1});
  keys::Client& stranger = world.make_client(true);
  Result<keys::Hello> hello = world.run(stranger.hello(world.ring().now() + std::chrono::seconds{3}));
  ASSERT_FALSE(hello);
  EXPECT_EQ(hello.error().code, Errc::unavailable);
  EXPECT_FALSE(world.disk().exists(kKek));
  EXPECT_GE(world.keyd().server->counters().strangers, 1u);
}

TEST_F(KeydServer, H19_forged_frames_get_a_refusal_and_the_connection_ends) {
  start();
  sim::SimRing& ring = world.ring();
  struct Attempt {
    std::string frame;
    std::size_t reply_bytes;
  };
  std::array<std::byte, keys::protocol::kRequestBytesMax> buffer;
  const auto text = [](Bytes frame) { return text_of(frame); };
  const std::string lease = text(keys::protocol::encode(buffer, 1, keys::protocol::LeaseRequest{}));
  const std::string reply = text(keys::protocol::encode_status(buffer, 1, keys::protocol::Kind::hello, Status::kek_missing));
  std::string bad_hello =
      text(keys::protocol::encode(buffer, 1, keys::protocol::HelloRequest{IncarnationId{{std::byte{1}}}, false}));
  bad_hello.back() = 1;
  const Attempt attempts[] = {
      {lease, keys::protocol::kHeaderBytes},      // no hello before it
      {bad_hello, keys::protocol::kHeaderBytes},  // a reserved field is set
      {reply, 0},
      {std::string(keys::protocol::kRequestBytesMax + 1, '\1'), 0},
      {"x", 0},
  };
  const auto attempt = [](runtime::Ring& ring, const Attempt& what) -> Task<bool> {
    const SocketAddress address = *SocketAddress::from_path("/run/keyd.sock");
    const Fd socket = *ring.open_socket(address, runtime::SocketKind::seqpacket);
    auto connected = co_await ring.connect(socket, address);
    auto sent = co_await ring.send(socket, as_bytes(what.frame));
    std::array<std::byte, 256> answer;
    auto first = co_await ring.receive(socket, answer);
    auto second = first && *first > 0 ? co_await ring.receive(socket, answer) : first;
    (void)co_await ring.close(socket);
    co_return connected&& sent&& first && *first == what.reply_bytes&& second.value_or(0) == 0;
  };
  for (const Attempt& what : attempts) EXPECT_TRUE(world.run(attempt(ring, what))) << what.frame.size();
  EXPECT_TRUE(client->is_connected());
}

}  // namespace
}  // namespace ringpost::keyd
