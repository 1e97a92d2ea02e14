// A process that has restricted itself tries what an attacker in it would try.
#include "ringpost/harden/sandbox.hh"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "child.hh"

namespace ringpost::harden {
namespace {

/// True when a call failed with `error`.
bool failed(long result, int error) { return result < 0 && errno == error; }

long second_ring() {
  io_uring_params parameters{};
  return ::syscall(SYS_io_uring_setup, 8, &parameters);
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/ringpost-harden-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string{name}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Sandbox, H19_exec_ptrace_a_second_ring_and_other_memory_are_out_of_reach) {
  EXPECT_TRUE(went_well(in_child([] {
    if (!restrict_calls(Role::server, OnAttack::fail)) return 1;
    char* const arguments[] = {const_cast<char*>("/bin/true"), nullptr};
    if (!failed(::execve("/bin/true", arguments, nullptr), EPERM)) return 2;
    if (!kSanitized && !failed(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr), EPERM)) return 3;
    if (!failed(second_ring(), EPERM)) return 4;
    iovec bytes{nullptr, 0};
    if (!failed(::process_vm_readv(::getppid(), &bytes, 1, &bytes, 1, 0), EPERM)) return 5;
    if (!kSanitized && ::fork() >= 0) return 6;
    if (!kSanitized &&
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
      return 7;
    if (!failed(::setuid(0), EPERM)) return 8;
    if (!failed(::socket(AF_PACKET, SOCK_RAW, 0), EPERM)) return 9;
    return 0;
  })));
}

TEST(Sandbox, H19_an_attack_ends_the_process) {
  const auto attack = [](auto call) {
    return in_child([call] {
      if (!restrict_calls(Role::helper)) return 1;
      call();
      return 2;
    });
  };
  for (int status : {attack([] { ::execl("/bin/true", "true", nullptr); }), attack([] { second_ring(); })}) {
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGSYS);
  }
}

TEST(Sandbox, ordinary_work_goes_on) {
  TemporaryDirectory directory;
  EXPECT_TRUE(went_well(in_child([&] {
    if (!restrict_calls(Role::server, OnAttack::kill)) return 1;
    const int file = ::open((directory / "file").c_str(), O_CREAT | O_RDWR, 0600);
    if (file < 0 || ::write(file, "x", 1) != 1 || ::fdatasync(file) != 0) return 2;
    if (::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) return 3;
    if (::socket(AF_INET6, SOCK_STREAM, 0) < 0 || ::socket(AF_UNIX, SOCK_SEQPACKET, 0) < 0) return 4;
    for (int family : {AF_INET, AF_INET6})
      if (::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0) return 6;  // DNS
    int seen = 0;
    std::thread([&seen] { seen = 1; }).join();
    return seen == 1 ? 0 : 5;
  })));
}

TEST(Sandbox, a_helper_has_no_internet) {
  EXPECT_TRUE(went_well(in_child([] {
    if (!restrict_calls(Role::helper)) return 1;
    if (!failed(::socket(AF_INET, SOCK_STREAM, 0), EPERM)) return 2;
    return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : 3;
  })));
}

TEST(Sandbox, a_helper_that_looks_outward_has_and_is_a_helper_otherwise) {
  EXPECT_TRUE(went_well(in_child([] {
    if (!restrict_calls(Role::outward, OnAttack::fail)) return 1;
    for (int family : {AF_INET, AF_INET6, AF_UNIX})
      if (::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0) return 2;
    for (int family : {AF_PACKET, AF_NETLINK, AF_VSOCK})
      if (!failed(::socket(family, SOCK_RAW, 0), EPERM)) return 3;
    char* arguments[] = {nullptr};
    return failed(::execve("/bin/true", arguments, nullptr), EPERM) ? 0 : 4;
  })));
}

TEST(Sandbox, threads_that_run_already_are_restricted_too) {
  EXPECT_TRUE(went_well(in_child([] {
    std::atomic<int> stage{0};
    bool was_free = false, is_free = true;
    std::thread other([&] {
      const long ring = second_ring();
      was_free = ring >= 0;
      if (was_free) ::close(static_cast<int>(ring));
      stage = 1;
      stage.notify_all();
      stage.wait(1);
      is_free = !failed(second_ring(), EPERM);
    });
    stage.wait(0);
    const bool restricted = restrict_calls(Role::server, OnAttack::fail).has_value();
    stage = 2;
    stage.notify_all();
    other.join();
    if (!was_free) return 10;
    return restricted && !is_free ? 0 : 1;
  })));
}

TEST(Sandbox, H19_foreign_files_stay_closed) {
  TemporaryDirectory own, shared, foreign;
  for (const TemporaryDirectory* directory : {&own, &shared, &foreign}) std::ofstream{*directory / "file"} << "x";
  const int status = in_child([&] {
    const PathRule rules[] = {{own.path(), Access::write}, {shared / "file", Access::read}, {"/nowhere/at/all", Access::write}};
    const Result<unsigned> version = restrict_paths(rules);
    if (!version) return 1;
    if (*version == 0) return 77;
    if (::open((own / "file").c_str(), O_RDWR) < 0) return 2;
    if (::open((own / "new").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600) < 0) return 3;
    if (::rename((own / "new").c_str(), (own / "newer").c_str()) != 0 || ::unlink((own / "newer").c_str()) != 0) return 4;
    if (::open((shared / "file").c_str(), O_RDONLY) < 0) return 5;
    if (!failed(::open((shared / "file").c_str(), O_WRONLY), EACCES)) return 6;
    if (!failed(::open((foreign / "file").c_str(), O_RDONLY), EACCES)) return 7;
    if (!failed(::open((foreign / "new").c_str(), O_CREAT | O_WRONLY, 0600), EACCES)) return 8;
    if (!failed(::open("/etc/passwd", O_RDONLY), EACCES)) return 9;
    if (!failed(::open(foreign.path().c_str(), O_RDONLY | O_DIRECTORY), EACCES)) return 10;
    int seen = 0;
    std::thread([&] { seen = failed(::open("/etc/passwd", O_RDONLY), EACCES) ? 1 : 2; }).join();
    return seen == 1 ? 0 : 11;
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_TRUE(went_well(status));
}

}  // namespace
}  // namespace ringpost::harden
