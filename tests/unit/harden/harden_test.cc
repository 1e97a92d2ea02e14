// Users, peers, limits, locked memory.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "child.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/harden/privileges.hh"
#include "ringpost/harden/process.hh"

namespace ringpost::harden {
namespace {

constexpr Identity kNobody{65534, 65534};

TEST(Privileges, root_is_given_up_for_good_in_every_thread) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  EXPECT_TRUE(went_well(in_child([] {
    if (!become(kNobody)) return 1;
    if (current_identity() != kNobody || ::getuid() != kNobody.user) return 2;
    if (::getgroups(0, nullptr) != 0) return 3;
    if (::setuid(0) == 0 || ::seteuid(0) == 0) return 4;
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 5;
    return ::open("/etc/shadow", O_RDONLY) < 0 ? 0 : 6;
  })));
}

TEST(Privileges, an_ordinary_user_can_only_be_itself) {
  EXPECT_TRUE(went_well(in_child([] {
    if (is_root() && !become(kNobody)) return 1;
    if (!become(current_identity())) return 2;
    return become({kNobody.user - 1, kNobody.group}) ? 3 : 0;
  })));
}

TEST(Privileges, users_are_found_by_name) {
  EXPECT_EQ(find_user("root")->user, 0u);
  EXPECT_EQ(find_user("no-such-user-here").error().code, Errc::not_found);
}

TEST(Privileges, H19_the_kernel_says_who_connected) {
  std::array<int, 2> ends;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()), 0);
  EXPECT_EQ(*peer_identity(Fd{ends[0]}), current_identity());
  EXPECT_TRUE(peer_is(Fd{ends[0]}, current_identity().user));
  EXPECT_FALSE(peer_is(Fd{ends[0]}, current_identity().user + 1));
  for (int end : ends) ::close(end);
  EXPECT_FALSE(peer_is(Fd{-1}, current_identity().user));
}

TEST(Process, no_core_is_dumped) {
  EXPECT_TRUE(went_well(in_child([] {
    if (!forbid_core_dumps()) return 1;
    rlimit limit{};
    if (::getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0) return 2;
    return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3;
  })));
}

TEST(Process, the_soft_limit_on_files_becomes_the_hard_one) {
  EXPECT_TRUE(went_well(in_child([] {
    rlimit limit{64, 256};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    if (is_root() && !become(kNobody)) return 2;
    const Result<std::uint64_t> raised = raise_open_files();
    return raised && *raised == 256 ? 0 : 3;
  })));
}

TEST(Process, active_swap_is_listed) {
  EXPECT_TRUE(parse_swaps("").empty());
  EXPECT_TRUE(parse_swaps("Filename\tType\tSize\tUsed\tPriority\n").empty());
  const std::vector<std::string> swaps =
      parse_swaps("Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1   partition\t1\t0\t-2\n/swap.img  file\t8\t0\t-3\n");
  EXPECT_EQ(swaps, (std::vector<std::string>{"/dev/dm-1", "/swap.img"}));
}

TEST(LockedMemory, starts_as_zeros_and_is_gone_in_a_forked_child) {
  LockedPages pages{100};
  EXPECT_GE(pages.bytes().size(), 100u);
  EXPECT_TRUE(std::ranges::all_of(pages.bytes(), [](std::byte octet) { return octet == std::byte{0}; }));
  pages.bytes()[0] = std::byte{7};
  EXPECT_TRUE(went_well(in_child([&] { return pages.bytes()[0] == std::byte{0} ? 0 : 1; })));
  LockedPages moved{std::move(pages)};
  EXPECT_EQ(moved.bytes()[0], std::byte{7});
}

TEST(LockedMemory, past_the_limit_it_works_and_says_so) {
  if (kSanitized) GTEST_SKIP() << "sanitizers answer mlock themselves";
  EXPECT_TRUE(went_well(in_child([] {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 1;
    if (is_root() && !become(kNobody)) return 2;
    const Locked<Key256> key;
    if (key.is_locked()) return 3;
    key->mutable_view()[0] = std::byte{1};
    return 0;
  })));
}

}  // namespace
}  // namespace ringpost::harden
