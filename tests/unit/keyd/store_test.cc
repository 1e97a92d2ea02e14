// When a key store opens, when it is made, and when keyd refuses.
#include "support.hh"

namespace ringpost::keyd {
namespace {

/// A store that was made and left behind; `world` has no keyd running afterwards.
void make_store(KeydWorld& world) {
  world.start_keyd();
  keys::Client& client = world.make_client(true);
  ASSERT_EQ(world.hello_status(client), Status::ok);
  world.stop(client);
  world.stop_keyd();
}

TEST(KeydStore, an_empty_directory_and_an_empty_spool_make_a_new_store) {
  KeydWorld world;
  world.start_keyd();
  keys::Client& client = world.make_client(true);
  Result<keys::Hello> hello = world.run(client.hello());
  ASSERT_TRUE(hello);
  EXPECT_TRUE(hello->kek_created);
  EXPECT_TRUE(hello->store_created);
  EXPECT_FALSE(hello->store.is_zero());
  EXPECT_EQ(world.disk().content(kKek)->size(), 32u);
  EXPECT_EQ(world.disk().content(kKeystore)->size(), keystore_bytes(0));
  EXPECT_EQ(world.keyd().events.count(event::Kind::kek_created), 1u);
}

TEST(KeydStore, a_restart_has_the_same_store_and_creates_nothing) {
  KeydWorld world;
  make_store(world);
  const auto kek = world.disk().content(kKek);
  StoreId store;
  for (int start = 0; start < 2; ++start) {
    world.start_keyd();
    keys::Client& client = world.make_client(start == 0);
    Result<keys::Hello> hello = world.run(client.hello());
    ASSERT_TRUE(hello);
    EXPECT_FALSE(hello->kek_created || hello->store_created);
    if (start == 0) store = hello->store;
    EXPECT_EQ(hello->store, store);
    EXPECT_TRUE(world.keyd().events.all.empty());
    world.stop(client);
    world.stop_keyd();
  }
  EXPECT_EQ(world.disk().content(kKek), kek);
}

TEST(KeydStore, a_missing_kek_with_mail_in_the_spool_is_refused) {
  KeydWorld world;
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(false)), Status::kek_missing);
  EXPECT_FALSE(world.disk().exists(kKek));
  EXPECT_FALSE(world.disk().exists(kKeystore));
}

TEST(KeydStore, a_lost_kek_is_refused_also_with_an_empty_spool) {
  KeydWorld world;
  make_store(world);
  world.disk().remove(kKek);
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::kek_missing);
  EXPECT_FALSE(world.disk().exists(kKek));
}

TEST(KeydStore, a_lost_key_store_with_mail_is_refused_and_without_mail_made_anew_under_the_same_kek) {
  KeydWorld world;
  make_store(world);
  const auto kek = world.disk().content(kKek);
  world.disk().remove(kKeystore);
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(false)), Status::keystore_missing);
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::ok);
  EXPECT_EQ(world.disk().content(kKek), kek);
}

TEST(KeydStore, H9_a_wrong_kek_is_refused_and_putting_it_right_needs_no_restart) {
  KeydWorld world;
  make_store(world);
  const std::vector<std::byte> right = *world.disk().content(kKek);
  std::vector<std::byte> wrong = right;
  wrong[0] ^= std::byte{1};
  const auto put_kek = [&](Bytes bytes) {
    world.disk().remove(kKek);
    world.disk().put(kKek, bytes);
    world.disk().set_owner(kKek, 0, 0400);
  };
  const auto keystore = world.disk().content(kKeystore);
  put_kek(wrong);
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::kek_wrong);
  put_kek(right);
  EXPECT_EQ(world.hello_status(world.make_client(false)), Status::ok);
  EXPECT_EQ(world.disk().content(kKeystore), keystore);
}

TEST(KeydStore, a_kek_that_others_can_read_or_own_is_refused) {
  for (auto [owner, mode] : {std::pair{0u, 0440u}, {0u, 0600u}, {0u, 0404u}, {1000u, 0400u}}) {
    KeydWorld world;
    make_store(world);
    world.disk().set_owner(kKek, owner, mode);
    world.start_keyd();
    EXPECT_EQ(world.hello_status(world.make_client(false)), Status::kek_unsafe) << owner << " " << mode;
  }
}

TEST(KeydStore, H6_a_symbolic_link_is_not_followed) {
  KeydWorld world;
  make_store(world);
  const std::vector<std::byte> kek = *world.disk().content(kKek);
  world.disk().remove(kKek);
  world.disk().put("/elsewhere", kek);
  world.disk().set_owner("/elsewhere", 0, 0400);
  world.disk().make_symlink(kKek, "/elsewhere");
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(false)), Status::kek_unsafe);
}

TEST(KeydStore, H6_a_directory_that_others_can_enter_is_refused) {
  for (auto [owner, mode] : {std::pair{0u, 0750u}, {0u, 0701u}, {1000u, 0700u}}) {
    KeydWorld world;
    make_store(world);
    world.disk().set_owner(kDirectory, owner, mode);
    world.start_keyd();
    EXPECT_EQ(world.hello_status(world.make_client(false)), Status::directory_unsafe) << owner << " " << mode;
  }
}

TEST(KeydStore, a_kek_of_another_size_is_refused) {
  KeydWorld world;
  make_store(world);
  world.disk().truncate(kKek, 31);
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(false)), Status::kek_unusable);
}

TEST(KeydStore, a_damaged_key_store_is_refused_and_left_alone) {
  KeydWorld world;
  make_store(world);
  world.disk().flip_bit(kKeystore, keystore_bytes(0) - 1, 3);
  const auto damaged = world.disk().content(kKeystore);
  world.start_keyd();
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::keystore_damaged);
  EXPECT_EQ(world.disk().content(kKeystore), damaged);
}

TEST(KeydStore, keys_on_the_spools_filesystem_are_refused_unless_allowed) {
  KeydWorld world;
  StoreOptions options = store_options();
  options.allow_same_filesystem = false;
  world.start_keyd(options);
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::same_filesystem);
  EXPECT_FALSE(world.disk().exists(kKek));
}

TEST(KeydStore, a_kek_is_made_in_the_key_directory_only) {
  KeydWorld world;
  StoreOptions options = store_options();
  options.kek_file = "/spool/kek";
  world.start_keyd(options);
  EXPECT_EQ(world.hello_status(world.make_client(true)), Status::kek_missing);
  EXPECT_FALSE(world.disk().exists("/spool/kek"));
}

TEST(KeydStore, H15_the_key_directory_serves_one_daemon_at_a_time) {
  KeydWorld world;
  make_store(world);
  sim::SimRing& other = world.world().make_ring("another keyd");
  Log log{LogLevel::error};
  RecordedEvents events;
  Store store{other, log, events, store_options()};
  struct Results {
    Status while_held, after;
  } results{};
  world.start_keyd();
  keys::Client& client = world.make_client(false);
  ASSERT_EQ(world.hello_status(client), Status::ok);
  const auto open = [](Store& store, Status& result) -> Task<void> { result = co_await store.open(false); };
  const auto close = [](Store& store) -> Task<void> { co_await store.close(); };
  world.run_on(other, open(store, results.while_held));
  EXPECT_EQ(results.while_held, Status::locked);
  world.kill_keyd();
  world.run_on(other, open(store, results.after));
  EXPECT_EQ(results.after, Status::ok);
  world.run_on(other, close(store));
}

}  // namespace
}  // namespace ringpost::keyd
