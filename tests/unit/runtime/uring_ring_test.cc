// UringRing: the contract, and what only the kernel can show.
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <semaphore>
#include <thread>

#include "contract_support.hh"
#include "uring_world.hh"

namespace ringpost::runtime::contract {

std::unique_ptr<ContractWorld> make_uring_world(const ContractOptions& options) { return std::make_unique<UringWorld>(options); }
std::unique_ptr<ContractWorld> make_hasty_world(const ContractOptions& options) { return std::make_unique<UringWorld>(options, true); }

INSTANTIATE_TEST_SUITE_P(Uring, RingContract, testing::Values(&make_uring_world));
INSTANTIATE_TEST_SUITE_P(UringAtOnce, RingContract, testing::Values(&make_hasty_world));

namespace {

int option_of(Fd socket, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(socket.value, level, option, &value, &size);
  return value;
}
bool closes_on_exec(Fd fd) { return ::fcntl(fd.value, F_GETFD) & FD_CLOEXEC; }

Task<void> look_at_descriptors(Ring& ring, std::string path) {
  auto pair = co_await connect_pair(ring, *SocketAddress::parse("127.0.0.1:0"));
  CO_ASSERT(pair);
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  for (Fd fd : {pair->client, pair->server, *file}) {
    EXPECT_TRUE(closes_on_exec(fd));
    EXPECT_FALSE(::fcntl(fd.value, F_GETFL) & O_NONBLOCK);
  }
  for (Fd fd : {pair->client, pair->server}) EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  for (Fd fd : {pair->client, pair->server, *file}) (void)co_await ring.close(fd);
}

Task<void> connect_to_a_full_listener(Ring& ring) {
  auto listener = ring.listen(*SocketAddress::parse("127.0.0.1:0"), SocketKind::stream, {.backlog = 0});
  CO_ASSERT(listener);
  auto bound = ring.local_address(*listener);
  CO_ASSERT(bound);
  std::vector<Fd> clients;
  bool timed_out = false;
  while (!timed_out && clients.size() < 20) {
    auto client = ring.open_socket(*bound, SocketKind::stream);
    CO_ASSERT(client);
    clients.push_back(*client);
    Instant deadline = ring.now() + 5 * kSoon;
    auto connected = co_await ring.connect(*client, *bound, deadline);
    if (connected) continue;
    EXPECT_EQ(connected.error().code, Errc::timed_out);
    EXPECT_GE(ring.now(), deadline);
    timed_out = true;
  }
  EXPECT_TRUE(timed_out);
  for (Fd client : clients) (void)co_await ring.close(client);
  (void)co_await ring.close(*listener);
}

Task<void> flood_with_connections(Ring& ring, std::size_t count) {
  auto listener = ring.listen(*SocketAddress::parse("127.0.0.1:0"), SocketKind::stream, {});
  CO_ASSERT(listener);
  auto bound = ring.local_address(*listener);
  CO_ASSERT(bound);
  Acceptor acceptor(ring, *listener);
  std::vector<Fd> all;
  std::deque<RawOperation> connects;
  for (std::size_t i = 0; i < count; ++i) {
    auto client = ring.open_socket(*bound, SocketKind::stream);
    CO_ASSERT(client);
    all.push_back(*client);
    connects.emplace_back(ring, Operation{.code = OpCode::connect, .fd = *client, .address = &*bound});
    connects.back().start();
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto server = co_await acceptor.next();
    CO_ASSERT(server);
    all.push_back(*server);
  }
  for (RawOperation& connect : connects) {
    std::int32_t result = co_await connect;
    EXPECT_EQ(result, 0);
  }
  co_await acceptor.stop();
  all.push_back(*listener);
  for (Fd fd : all) (void)co_await ring.close(fd);
}

Task<void> write_directly(Ring& ring, std::string path, MutableBytes buffer, bool& refused) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR | O_DIRECT);
  refused = !file;
  if (refused) co_return;
  auto bytes = pattern(buffer.size());
  copy_bytes(buffer, bytes);
  auto result = co_await ring.write_then_sync(*file, sealed(buffer), 0);
  EXPECT_TRUE(result.written && *result.written == buffer.size() && result.synced);
  std::ranges::fill(buffer, std::byte{0});
  auto read = co_await ring.read(*file, buffer, 0);
  EXPECT_TRUE(read && *read == buffer.size() && std::ranges::equal(buffer, bytes));
  (void)co_await ring.close(*file);
}

Task<void> listen_on_paths(Ring& ring, std::string directory) {
  SocketAddress address = *SocketAddress::from_path(directory + "/socket");
  ::umask(0);
  auto first = ring.listen(address, SocketKind::seqpacket, {.mode = 0640});
  ::umask(022);
  CO_ASSERT(first);
  auto info = ring.path_info(directory + "/socket");
  EXPECT_TRUE(info && info->mode == 0640);
  EXPECT_TRUE(closes_on_exec(*first));
  auto second = ring.listen(address, SocketKind::seqpacket, {});
  EXPECT_TRUE(!second && second.error().code == Errc::busy) << "somebody listens there";
  (void)co_await ring.close(*first);
  second = ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(second);  // the path was left behind by a server that is gone
  (void)co_await ring.close(*second);

  std::ofstream(directory + "/file") << "precious";
  auto third = ring.listen(*SocketAddress::from_path(directory + "/file"), SocketKind::stream, {});
  EXPECT_FALSE(third);
  auto kept = ring.path_info(directory + "/file");
  EXPECT_TRUE(kept && kept->size == 8);
}

Task<void> close_both(Ring& ring, Fd one, Fd other) {
  (void)co_await ring.close(one);
  (void)co_await ring.close(other);
}

/// The descriptor of a ring of this process, by its name in /proc.
int find_ring_descriptor() {
  for (auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    auto target = std::filesystem::read_symlink(entry.path(), error);
    if (!error && target.string().find("[io_uring]") != std::string::npos) return std::stoi(entry.path().filename());
  }
  return -1;
}

/// True when `address` lies in a mapping whose flags (smaps, VmFlags) contain `flag`.
bool mapping_has_flag(const void* address, const std::string& flag) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(maps, line)) {
    unsigned long from, to;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      auto place = reinterpret_cast<std::uintptr_t>(address);
      inside = place >= from && place < to;
    } else if (inside && line.starts_with("VmFlags:")) {
      return (line + " ").find(" " + flag + " ") != std::string::npos;
    }
  }
  return false;
}

struct QuietHook final : LoopHook {
  bool poll() override { return ++polls, false; }
  bool may_sleep() override { return true; }
  void awake() override {}
  int polls = 0;
};

/// Tells another thread that the loop turns.
struct TurningHook final : LoopHook {
  bool poll() override {
    turning = true;
    turning.notify_one();
    return false;
  }
  bool may_sleep() override { return true; }
  void awake() override {}
  std::atomic<bool> turning{false};
};

}  // namespace

TEST(UringRing, descriptors_close_on_exec_and_connections_do_not_delay) {
  UringWorld world({});
  world.drive(look_at_descriptors(world.ring(), world.directory() + "/file"));
}
TEST(UringRing, a_deadline_ends_a_connect) {
  UringWorld world({});
  world.drive(connect_to_a_full_listener(world.ring()));
  EXPECT_EQ(world.in_flight(), 0u);
}
TEST(UringRing, H13_an_overflowing_completion_queue_loses_no_connection) {
  UringWorld world({.entries = 8, .completions = 8});
  world.drive(flood_with_connections(world.ring(), 300));
  EXPECT_EQ(world.in_flight(), 0u);
  EXPECT_GT(world.uring().stats().submission_full + world.uring().stats().completion_overflows, 0u);
}
TEST(UringRing, registered_memory_is_written_directly) {
  auto ring = UringRing::create({});
  ASSERT_TRUE(ring);
  auto buffer = (*ring)->make_io_buffer(64_KiB);
  ASSERT_TRUE(buffer);
  EXPECT_EQ((*ring)->io_buffer_bytes_registered(), 64_KiB);
  EXPECT_TRUE(mapping_has_flag(buffer->data(), "dd")) << "it would be in a core dump";
  ASSERT_TRUE((*ring)->start());
  UringWorld world({});
  bool refused = false;
  run_task(**ring, write_directly(**ring, world.directory() + "/file", *buffer, refused));
  if (refused) GTEST_SKIP() << "the filesystem of the temporary directory has no O_DIRECT";
}
TEST(UringRing, socket_paths_are_private_and_only_stale_ones_are_replaced) {
  UringWorld world({});
  world.drive(listen_on_paths(world.ring(), world.directory()));
}
TEST(UringRing, a_symbolic_link_is_not_followed) {
  UringWorld world({});
  std::filesystem::create_symlink("/etc/passwd", world.directory() + "/link");
  auto info = world.ring().path_info(world.directory() + "/link");
  EXPECT_TRUE(info && info->is_symlink && !info->is_regular);
}
TEST(UringRing, listeners_share_a_port) {
  UringWorld world({});
  auto first = world.ring(0).listen(world.stream_address(), SocketKind::stream, {});
  ASSERT_TRUE(first);
  auto bound = world.ring().local_address(*first);
  ASSERT_TRUE(bound);
  auto second = world.ring(1).listen(*bound, SocketKind::stream, {});
  ASSERT_TRUE(second);
  auto third = world.ring().listen(*bound, SocketKind::stream, {.reuse_port = false});
  EXPECT_TRUE(!third && third.error().code == Errc::busy);
  world.drive(close_both(world.ring(), *first, *second));
}
TEST(UringRing, an_ipv6_listener_leaves_ipv4_alone) {
  UringWorld world({});
  auto first = world.ring().listen(*SocketAddress::parse("[::]:0"), SocketKind::stream, {.reuse_port = false});
  if (!first && first.error().code != Errc::busy) GTEST_SKIP() << "no IPv6 on this machine";
  ASSERT_TRUE(first);
  EXPECT_EQ(option_of(*first, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  auto bound = world.ring().local_address(*first);
  ASSERT_TRUE(bound);
  world.drive(close_both(world.ring(), *first, {}));
}

TEST(UringRing, a_restricted_ring_refuses_other_calls) {
  for (bool restricted : {true, false}) {
    auto ring = started_ring({.restricted = restricted});
    int fd = find_ring_descriptor();
    ASSERT_GE(fd, 0);
    int result = io_uring_register(static_cast<unsigned>(fd), IORING_REGISTER_PERSONALITY, nullptr, 0);
    if (restricted) {
      EXPECT_EQ(result, -EACCES);
    } else {
      EXPECT_GT(result, 0);
    }
  }
}
TEST(UringRing, another_thread_stops_the_loop) {
  auto ring = started_ring({.nap_max = std::chrono::hours(1)});
  for (int i = 0; i < 20; ++i) {
    TurningHook hook;
    ring->set_hook(&hook);
    std::thread other([&] {
      hook.turning.wait(false);
      ring->stop();
    });
    ring->run();
    EXPECT_TRUE(hook.turning);
    other.join();
    ring->set_hook(nullptr);
  }
}
TEST(UringRing, a_hook_is_polled_although_nothing_happens) {
  auto ring = started_ring({.nap_max = std::chrono::milliseconds(5)});
  QuietHook hook;
  ring->set_hook(&hook);
  while (hook.polls < 5) ring->run_once();  // would never return without the nap
  ring->set_hook(nullptr);
}
TEST(UringRing, waking_a_ring_that_does_not_run_is_counted) {
  auto ring = started_ring();
  auto idle = UringRing::create({});
  ASSERT_TRUE(idle);
  ring->wake(**idle);
  while (ring->stats().wakes_failed == 0) ring->run_once();
  EXPECT_EQ(ring->stats().wakes_sent, 1u);
}
Task<void> connect_into(Ring& ring, Pair& into) {
  auto pair = co_await connect_pair(ring, *SocketAddress::parse("127.0.0.1:0"));
  CO_ASSERT(pair);
  into = *pair;
}
TEST(UringRing, operations_begin_with_all_others_of_a_turn_or_at_once) {
  for (bool at_once : {false, true}) {
    auto ring = started_ring({.submit_at_once = at_once});
    Pair pair;
    run_task(*ring, connect_into(*ring, pair));
    ASSERT_TRUE(pair.client);
    std::byte sent{'a'}, arrived[2] = {};
    const Operation send{.code = OpCode::send, .fd = pair.client, .size = 1, .buffer = &sent};
    std::deque<RawOperation> sends;
    for (int i = 0; i < 2; ++i) sends.emplace_back(*ring, send).start();
    EXPECT_EQ(::recv(pair.server.value, arrived, 2, MSG_DONTWAIT), at_once ? 2 : -1);
    EXPECT_FALSE(sends[0].ended() || sends[1].ended());  // no completion runs inside submit()
    ring->run_once();
    EXPECT_TRUE(sends[0].ended() && sends[1].ended());
    EXPECT_EQ(::recv(pair.server.value, arrived, 2, MSG_DONTWAIT), at_once ? -1 : 2);
    run_task(*ring, close_both(*ring, pair.client, pair.server));
  }
}
Task<void> hear(Receiver& receiver) {
  auto chunk = co_await receiver.next();
  CO_ASSERT(chunk);
}
struct BlockedJob : OffloadJob {
  std::binary_semaphore go{0};
  bool ended = false;
};
/// Sleeps that were spared while the first of `peers` says something 20 times.
std::uint64_t lingers_with(Duration linger_max, std::size_t peers, bool with_job = false) {
  auto ring = started_ring({.linger_max = linger_max});
  std::deque<Pair> pairs(peers);
  std::deque<Receiver> receivers;
  auto speak = [&](std::size_t who) {
    EXPECT_EQ(::send(pairs[who].server.value, "a", 1, 0), 1);
    run_task(*ring, hear(receivers[who]));
  };
  for (std::size_t i = 0; i < peers; ++i) {
    run_task(*ring, connect_into(*ring, pairs[i]));
    receivers.emplace_back(*ring, pairs[i].client);
    speak(i);
  }
  BlockedJob job;
  job.run = [](OffloadJob& self) { static_cast<BlockedJob&>(self).go.acquire(); };
  job.done = [](OffloadJob& self) { static_cast<BlockedJob&>(self).ended = true; };
  if (with_job) ring->offload(job);
  const std::uint64_t before = ring->stats().lingers;
  for (int i = 0; i < 20; ++i) speak(0);
  const std::uint64_t lingers = ring->stats().lingers - before;
  job.go.release();
  while (with_job && !job.ended) ring->run_once();
  for (std::size_t i = 0; i < peers; ++i) {
    run_task(*ring, receivers[i].stop());
    run_task(*ring, close_both(*ring, pairs[i].client, pairs[i].server));
  }
  return lingers;
}
TEST(UringRing, lingers_for_its_only_peer_when_that_answers_at_once) {
  constexpr Duration kLong = std::chrono::hours(1);
  EXPECT_GE(lingers_with(kLong, 1), 10u);
  EXPECT_EQ(lingers_with(kLong, 2), 0u);
  EXPECT_EQ(lingers_with(kLong, 1, true), 0u);
  EXPECT_EQ(lingers_with(Duration::zero(), 1), 0u);
}
TEST(UringRing, lingers_no_more_when_nothing_came) {
  auto ring = started_ring({.linger_max = std::chrono::hours(1)});
  Pair pair;
  run_task(*ring, connect_into(*ring, pair));
  Receiver receiver(*ring, pair.client);
  auto speak = [&] {
    EXPECT_EQ(::send(pair.server.value, "a", 1, 0), 1);
    run_task(*ring, hear(receiver));
  };
  for (int i = 0; i < 20; ++i) speak();
  std::uint64_t before;
  do {  // until it lingers in vain
    before = ring->stats().lingers;
    ring->run_once(std::chrono::milliseconds(1));
  } while (ring->stats().lingers != before);
  EXPECT_GT(before, 0u);
  EXPECT_EQ(::send(pair.server.value, "a", 1, 0), 1);
  ring->run_once();
  EXPECT_EQ(ring->stats().lingers, before);
  run_task(*ring, receiver.stop());
  run_task(*ring, close_both(*ring, pair.client, pair.server));
}
TEST(UringRing, the_loop_and_its_workers_stay_on_their_core) {
  std::thread shard([] {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    int core = 0;
    while (!CPU_ISSET(core, &allowed)) ++core;
    auto ring = started_ring({.cpu = core});
    sched_getaffinity(0, sizeof allowed, &allowed);
    EXPECT_EQ(CPU_COUNT(&allowed), 1);
    EXPECT_EQ(sched_getcpu(), core);
  });
  shard.join();
}
TEST(UringRing, H13_an_operation_left_behind_aborts) {
  auto leave = [] {
    auto ring = started_ring();
    int ends[2];
    RP_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    std::byte byte{};
    RawOperation receive(*ring, Operation{.code = OpCode::receive, .fd = Fd{ends[0]}, .size = 1, .buffer = &byte});
    receive.start();
    ring.reset();
  };
  EXPECT_DEATH(leave(), "operations_in == stats_.completions_out");
}
Task<void> hear_many_at_once(UringRing& ring, std::size_t connections) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < connections; ++i) {
    auto pair = co_await connect_pair(ring, *SocketAddress::parse("127.0.0.1:0"));
    CO_ASSERT(pair);
    pairs.push_back(*pair);
  }
  {
    std::deque<Receiver> receivers;
    for (const Pair& pair : pairs) receivers.emplace_back(ring, pair.server);
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < connections; ++i)
        EXPECT_EQ(::send(pairs[i].client.value, pattern(1, i).data(), 1, 0), 1);
      for (std::size_t i = 0; i < connections; ++i) {
        auto chunk = co_await receivers[i].next(ring.now() + kPatience);
        EXPECT_TRUE(chunk && std::ranges::equal(chunk->bytes(), pattern(1, i)));
      }
    }
    EXPECT_EQ(ring.stats().buffers_exhausted, 0u);
    for (Receiver& receiver : receivers) co_await receiver.stop();
  }
  for (const Pair& pair : pairs) {
    (void)co_await ring.close(pair.client);
    (void)co_await ring.close(pair.server);
  }
}
TEST(UringRing, many_sockets_that_are_read_at_once_all_find_buffers) {
  auto ring = started_ring({.receive_buffers = 512});
  Scope scope(*ring);
  scope.spawn(hear_many_at_once(*ring, 400));
  while (scope.running() > 0) ring->run_once(kSoon);
  EXPECT_EQ(ring->receive_buffers_free(), 512u);
}
TEST(UringRing, an_unwatched_pool_has_every_buffer_free) {
  auto ring = started_ring({.receive_buffers = 32});
  EXPECT_EQ(ring->receive_buffers(), 32u);
  EXPECT_EQ(ring->receive_buffers_free(), 32u);
}

}  // namespace ringpost::runtime::contract
