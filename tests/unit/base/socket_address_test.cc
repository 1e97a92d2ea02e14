#include "ringpost/base/socket_address.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <unordered_set>

namespace ringpost {
namespace {

TEST(IpAddress, reads_and_writes_both_families) {
  for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2:3:4"}) {
    auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
}

TEST(IpAddress, refuses_everything_else) {
  using namespace std::string_view_literals;
  for (std::string_view text :
       {""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.1.1.1"sv, "01.2.3.4"sv, "1.2.3.4 "sv, "[::1]"sv, "::1%1"sv, "1::2::3"sv, "0x7f.1"sv,
        "localhost"sv, "1.2.3.4\0"sv, ":::"sv, "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"sv})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, mapped_ipv4_is_ipv4) {
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1"), IpAddress::parse("192.0.2.1"));
  EXPECT_TRUE(IpAddress::parse("::ffff:7f00:1")->is_loopback());
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1")->text(), "192.0.2.1");
  EXPECT_EQ(IpAddress::from_ipv4(0xc0000201), *IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(IpAddress::parse("192.0.2.1")->ipv4_host_order(), 0xc0000201u);
}

TEST(IpAddress, masks_within_its_own_family) {
  auto v4 = *IpAddress::parse("192.0.2.255"), v6 = *IpAddress::parse("2001:db8:1:2:ffff::1");
  EXPECT_EQ(v4.prefix().text(), "192.0.2.0");
  EXPECT_EQ(v6.prefix().text(), "2001:db8:1:2::");
  EXPECT_EQ(v4.masked(0).text(), "0.0.0.0");
  EXPECT_EQ(v4.masked(25).text(), "192.0.2.128");
  EXPECT_EQ(v4.masked(32), v4);
  EXPECT_EQ(v6.masked(33).text(), "2001:db8::");
  EXPECT_EQ(v6.masked(128), v6);
}

TEST(IpAddress, hash_depends_on_the_address_and_on_the_seed) {
  std::unordered_set<std::uint64_t> seen;
  for (std::uint32_t i = 0; i < 10'000; ++i) seen.insert(IpAddress::from_ipv4(i).hash());
  EXPECT_EQ(seen.size(), 10'000u);
  EXPECT_NE(IpAddress::from_ipv4(1).hash(1), IpAddress::from_ipv4(1).hash(2));
}

TEST(Network, contains_what_operators_expect) {
  auto holds = [](const char* network, const char* address) {
    return Network::parse(network)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(holds("127.0.0.0/8", "127.255.0.1"));
  EXPECT_FALSE(holds("127.0.0.0/8", "128.0.0.1"));
  EXPECT_TRUE(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
  EXPECT_TRUE(holds("0.0.0.0/0", "8.8.8.8"));
  EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(holds("::/0", "2001:db8::1"));
  EXPECT_FALSE(holds("::/0", "8.8.8.8"));
  EXPECT_TRUE(holds("::1/128", "::1"));
  EXPECT_TRUE(holds("2001:db8::1", "2001:db8::1"));
  EXPECT_FALSE(holds("2001:db8::1", "2001:db8::2"));
}

TEST(Network, refuses_slips) {
  for (const char* text : {"127.0.0.1/8", "127.0.0.0/33", "::/129", "127.0.0.0/", "127.0.0.0/08", "127.0.0.0/-1", "127.0.0.0/8/8",
                           "/8", "127.0.0.0/8 ", "127.0.0.0/+8"})
    EXPECT_FALSE(Network::parse(text)) << text;
}

TEST(SocketAddress, reads_and_writes_ports) {
  for (const char* text : {"192.0.2.1:25", "0.0.0.0:0", "[::]:65535", "[2001:db8::1]:2525", "[fe80::1%7]:25"}) {
    auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  for (const char* text : {"", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:025", "[192.0.2.1]:25", "::1:25", "[::1]",
                           "[::1]25", "[::1%eth0]:25", "[::1%]:25", ":25", "[]:25", "a:25", "192.0.2.1:-1"})
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
}

TEST(SocketAddress, survives_the_kernels_form) {
  std::vector<SocketAddress> all{*SocketAddress::parse("192.0.2.1:25"), *SocketAddress::parse("[fe80::1%7]:25"),
                                 *SocketAddress::from_path("/run/ringpost/control.sock"),
                                 *SocketAddress::from_path(std::string(SocketAddress::kPathMax, 'p'))};
  for (const SocketAddress& address : all) {
    sockaddr_storage native;
    std::uint32_t size = address.to_native(native);
    auto back = SocketAddress::from_native(reinterpret_cast<sockaddr*>(&native), size);
    ASSERT_TRUE(back) << address.text();
    EXPECT_EQ(*back, address);
    EXPECT_EQ(back->hash(), address.hash());
  }
}

TEST(SocketAddress, a_mapped_client_of_a_dual_stack_socket_is_ipv4) {
  sockaddr_storage native;
  SocketAddress{*IpAddress::parse("::1"), 25}.to_native(native);
  auto mapped = *IpAddress::parse("192.0.2.1");
  std::memcpy(reinterpret_cast<char*>(&native) + 8, mapped.bytes.data(), 16);  // sin6_addr
  auto address = SocketAddress::from_native(reinterpret_cast<sockaddr*>(&native), 28);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), SocketAddress::Family::ipv4);
  EXPECT_EQ(address->text(), "192.0.2.1:25");
}

TEST(SocketAddress, refuses_truncated_and_foreign_native_forms) {
  sockaddr_storage native;
  std::uint32_t size = SocketAddress::parse("192.0.2.1:25")->to_native(native);
  for (std::uint32_t cut = 0; cut < size; ++cut)
    EXPECT_FALSE(SocketAddress::from_native(reinterpret_cast<sockaddr*>(&native), cut)) << cut;
  native.ss_family = AF_NETLINK;
  EXPECT_FALSE(SocketAddress::from_native(reinterpret_cast<sockaddr*>(&native), sizeof native));
}

TEST(SocketAddress, unnamed_and_abstract_sockets_have_no_path) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  auto unnamed = SocketAddress::from_native(reinterpret_cast<sockaddr*>(&un), sizeof(sa_family_t));
  ASSERT_TRUE(unnamed);
  EXPECT_EQ(unnamed->path(), "");
  un.sun_path[1] = 'x';
  EXPECT_EQ(SocketAddress::from_native(reinterpret_cast<sockaddr*>(&un), sizeof(sa_family_t) + 2), unnamed);
}

TEST(SocketAddress, refuses_unusable_paths) {
  EXPECT_FALSE(SocketAddress::from_path(""));
  EXPECT_FALSE(SocketAddress::from_path(std::string(SocketAddress::kPathMax + 1, 'p')));
  EXPECT_FALSE(SocketAddress::from_path(std::string_view{"a\0b", 3}));
}

TEST(SocketAddress, nothing_is_nothing) {
  EXPECT_FALSE(SocketAddress{});
  EXPECT_TRUE(SocketAddress::parse("0.0.0.0:0"));
  EXPECT_TRUE(static_cast<bool>(*SocketAddress::parse("0.0.0.0:0")));
}

}  // namespace
}  // namespace ringpost
