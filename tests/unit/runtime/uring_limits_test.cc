// UringRing where the machine says no: no ring, no memory, no descriptors, no room. Each in a process of its own.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "contract_support.hh"
#include "uring_world.hh"

namespace ringpost::runtime::contract {

namespace {

/// Ends the child: 0 when `right`, else 1 with the reason on standard error.
[[noreturn]] void end_child(bool right, const char* what) {
  if (!right) std::fprintf(stderr, "not so: %s\n", what);
  std::fflush(stderr);
  ::_exit(right && !testing::Test::HasFailure() ? 0 : 1);
}
#define END_UNLESS(condition) \
  if (!(condition)) end_child(false, #condition)

void set_limit(__rlimit_resource which, rlim_t value) {
  rlimit limit{};
  getrlimit(which, &limit);
  limit.rlim_cur = value;
  RP_ASSERT(setrlimit(which, &limit) == 0);
}

/// From here on io_uring_setup fails with `error`.
void forbid_rings(int error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = std::size(rules), .filter = rules};
  RP_ASSERT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  RP_ASSERT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

void expect_refusal(int error, Errc code, const char* word) {
  forbid_rings(error);
  Missing missing;
  auto ring = UringRing::create({}, &missing);
  END_UNLESS(!ring);
  END_UNLESS(ring.error().code == code && ring.error().detail == error);
  END_UNLESS(missing.text().find(word) != std::string::npos);
  END_UNLESS(missing.text().find("Linux 6.1") != std::string::npos);
  end_child(true, "");
}

void run_out_of_descriptors_before_the_ring() {
  // One ring with descriptors, first: UBSan takes its first look at a type through a pipe, which needs two.
  END_UNLESS(UringRing::create({}));
  set_limit(RLIMIT_NOFILE, 3);
  Missing missing;
  auto ring = UringRing::create({}, &missing);
  END_UNLESS(!ring && ring.error().code == Errc::no_descriptors);
  END_UNLESS(missing.text().find("RLIMIT_NOFILE") != std::string::npos);
  end_child(true, "");
}

void lock_little_memory() {
  set_limit(RLIMIT_MEMLOCK, 1_MiB);
  if (::geteuid() == 0) RP_ASSERT(::setresuid(61'234, 61'234, 61'234) == 0);  // root locks what it likes
  auto ring = started_ring({.receive_buffers = 64});
  auto late = UringRing::create({.receive_buffers = 64});
  END_UNLESS(late);
  auto buffer = (*late)->make_io_buffer(4_MiB);
  END_UNLESS(buffer && buffer->size() == 4_MiB);
  END_UNLESS((*late)->io_buffer_bytes() == 4_MiB);
  END_UNLESS((*late)->io_buffer_bytes_registered() < 4_MiB);
  END_UNLESS((*late)->io_buffer_bytes_registered() >= 256_KiB);
  end_child(true, "");
}

Task<void> accept_without_descriptors(UringRing& ring) {
  auto listener = ring.listen(*SocketAddress::parse("127.0.0.1:0"), SocketKind::stream, {});
  CO_ASSERT(listener);
  auto bound = ring.local_address(*listener);
  CO_ASSERT(bound);
  auto client = ring.open_socket(*bound, SocketKind::stream);
  CO_ASSERT(client);
  Acceptor acceptor(ring, *listener);
  set_limit(RLIMIT_NOFILE, static_cast<rlim_t>(client->value) + 1);
  auto connected = co_await ring.connect(*client, *bound);
  EXPECT_TRUE(connected);
  auto refused = co_await acceptor.next();
  EXPECT_TRUE(!refused && refused.error().code == Errc::no_descriptors);
  // It does not ask again by itself: a loop without room for a descriptor stays quiet.
  auto turns = ring.stats().turns;
  co_await ring.sleep_for(5 * kSoon);
  EXPECT_LT(ring.stats().turns - turns, 10u);
  set_limit(RLIMIT_NOFILE, 1000);
  auto accepted = co_await acceptor.next();
  EXPECT_TRUE(accepted);
  co_await acceptor.stop();
}

void accept_out_of_descriptors() {
  auto ring = started_ring();
  run_task(*ring, accept_without_descriptors(*ring));
  end_child(true, "");
}

Task<void> write_past_the_limit(Ring& ring, std::string path, MutableBytes bytes) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto result = co_await ring.write_then_sync(*file, sealed(bytes), 0);
  EXPECT_TRUE(result.written && *result.written == 10'000);
  EXPECT_TRUE(!result.synced && result.synced.error().code == Errc::cancelled);
  // The rest does not fit either: the write fails and its sync is cancelled again.
  result = co_await ring.write_then_sync(*file, sealed(bytes.subspan(10'000)), 10'000);
  EXPECT_TRUE(!result.written && result.written.error().code == Errc::no_space);
  EXPECT_TRUE(!result.synced && result.synced.error().code == Errc::cancelled);
  // Writes that fit are as good as ever.
  result = co_await ring.write_then_sync(*file, sealed(bytes.first(5000)), 0);
  EXPECT_TRUE(result.written && *result.written == 5000 && result.synced);
}

void short_writes(bool registered) {
  std::signal(SIGXFSZ, SIG_IGN);
  set_limit(RLIMIT_FSIZE, 10'000);
  UringWorld world({});
  std::vector<std::byte> heap(20'000);
  MutableBytes bytes = heap;
  auto ring = UringRing::create({});
  END_UNLESS(ring);
  if (registered) {
    auto buffer = (*ring)->make_io_buffer(20'480);
    END_UNLESS(buffer && (*ring)->io_buffer_bytes_registered() == 20'480);
    bytes = *buffer;
  }
  END_UNLESS((*ring)->start());
  run_task(**ring, write_past_the_limit(**ring, world.directory() + "/file", bytes));
  std::string ignored = world.directory();
  ::unlink((ignored + "/file").c_str());
  ::rmdir(ignored.c_str());
  end_child(true, "");
}

}  // namespace

TEST(UringLimits, H13_a_filter_that_forbids_rings_is_named) {
  EXPECT_EXIT(expect_refusal(EPERM, Errc::permission, "seccomp"), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, H13_a_kernel_without_rings_is_named) {
  EXPECT_EXIT(expect_refusal(ENOSYS, Errc::unsupported, "io_uring itself"), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, H13_an_old_kernel_is_named) {
  EXPECT_EXIT(expect_refusal(EINVAL, Errc::unsupported, "DEFER_TASKRUN"), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, no_descriptor_for_the_ring_is_named) {
  EXPECT_EXIT(run_out_of_descriptors_before_the_ring(), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, little_lockable_memory_makes_smaller_registered_buffers) {
  EXPECT_EXIT(lock_little_memory(), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, H11_accepting_pauses_without_descriptors) {
  EXPECT_EXIT(accept_out_of_descriptors(), testing::ExitedWithCode(0), "");
}
TEST(UringLimits, H5_a_short_write_cancels_its_sync) { EXPECT_EXIT(short_writes(false), testing::ExitedWithCode(0), ""); }
TEST(UringLimits, H5_a_short_write_from_registered_memory_cancels_its_sync) {
  EXPECT_EXIT(short_writes(true), testing::ExitedWithCode(0), "");
}

TEST(UringLimits, unusable_options_are_refused) {
  for (UringOptions options :
       {UringOptions{.entries = 1}, UringOptions{.receive_buffers = 0}, UringOptions{.receive_buffers = 1000},
        UringOptions{.receive_buffers = 65'536}, UringOptions{.receive_buffer_bytes = 0}}) {
    auto ring = UringRing::create(options);
    EXPECT_TRUE(!ring && ring.error().code == Errc::invalid);
  }
}
TEST(UringLimits, a_core_that_is_not_there_is_refused) {
  auto ring = UringRing::create({.cpu = 1000});
  ASSERT_TRUE(ring);
  auto started = (*ring)->start();
  EXPECT_TRUE(!started && started.error().code == Errc::invalid);
}
TEST(UringLimits, io_buffers_have_a_budget) {
  auto ring = UringRing::create({.io_buffer_bytes_max = 64_KiB});
  ASSERT_TRUE(ring);
  EXPECT_TRUE((*ring)->make_io_buffer(40'000));
  auto more = (*ring)->make_io_buffer(40'000);
  EXPECT_TRUE(!more && more.error().code == Errc::limit);
}

}  // namespace ringpost::runtime::contract
