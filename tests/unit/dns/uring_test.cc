// The resolver on the kernel: real sockets, on the loopback.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../harden/child.hh"
#include "ringpost/dns/mail_hosts.hh"
#include "ringpost/harden/sandbox.hh"
#include "uring_world.hh"
#include "zone_server.hh"

namespace ringpost::dns {
namespace {

using runtime::Task;
using runtime::UringRing;
using std::chrono::seconds;

/// A zone behind a UDP socket, answered between the turns of a ring: a socket of the ring knows one peer alone.
class UdpZoneServer {
 public:
  UdpZoneServer(const SocketAddress& address, Zone& zone)
      : zone_(zone), socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_storage native;
    const std::uint32_t size = address.to_native(native);
    bound_ = ::bind(socket_, reinterpret_cast<sockaddr*>(&native), size) == 0;
  }
  ~UdpZoneServer() { ::close(socket_); }
  bool bound() const { return bound_; }

  void poll() {
    Octets buffer(2000);
    sockaddr_storage from;
    socklen_t size = sizeof from;
    for (;;) {
      const ssize_t count = ::recvfrom(socket_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count < 0) return;
      const auto packet = zone_.answer(Bytes{buffer}.first(static_cast<std::size_t>(count)), false);
      if (!packet) continue;
      // A forgery first, from the right address: the id alone is wrong.
      Octets wrong = *packet;
      wrong[0] ^= std::byte{0x55};
      for (const Octets& each : {wrong, *packet})
        EXPECT_EQ(::sendto(socket_, each.data(), each.size(), 0, reinterpret_cast<sockaddr*>(&from), size),
                  static_cast<ssize_t>(each.size()));
    }
  }

 private:
  Zone& zone_;
  int socket_;
  bool bound_ = false;
};

class KernelWorld {
 public:
  /// A TCP port that the same port of UDP is free for.
  void start() {
    for (int attempt = 0; attempt < 20 && !udp_; ++attempt) {
      tcp_ = std::make_unique<TcpZoneServer>(*ring_, zone_);
      address_ = tcp_->start(*SocketAddress::parse("127.0.0.1:0"));
      udp_ = std::make_unique<UdpZoneServer>(address_, zone_);
      if (udp_->bound()) break;
      udp_.reset();
      drive(tcp_->stop());
    }
    ASSERT_TRUE(udp_);
  }
  void drive(Task<void> task) {
    runtime::Scope scope(*ring_);
    scope.spawn(std::move(task));
    while (scope.running() > 0) {
      ring_->run_once(std::chrono::milliseconds(1));
      if (udp_) udp_->poll();
    }
  }

  std::unique_ptr<UringRing> ring_ = runtime::contract::started_ring();
  Zone zone_;
  SocketAddress address_;
  std::unique_ptr<TcpZoneServer> tcp_;
  std::unique_ptr<UdpZoneServer> udp_;
};

class ResolverOnTheKernel : public testing::Test, protected KernelWorld {};

Task<void> find(MailHosts& hosts, std::string domain, MailHostsAnswer& into) { into = co_await hosts.find(std::move(domain)); }

TEST_F(ResolverOnTheKernel, finds_mail_hosts_over_udp_and_tcp_past_forgeries) {
  start();
  zone_.authentic = true;
  for (unsigned i = 0; i < 100; ++i) {
    const std::string host = "mx" + std::to_string(i) + ".example.com";
    zone_.mx("example.com", i, host).a(host, "203.0.113.1").a(host, "2a00::1");
  }
  Resolver resolver(*ring_, {.servers = {address_}});
  MailHosts hosts(resolver, {});
  MailHostsAnswer answer;
  drive(find(hosts, "example.com", answer));
  ASSERT_EQ(answer.hosts.size(), 20u);
  EXPECT_EQ(answer.hosts[7].name, "mx7.example.com");
  EXPECT_EQ(answer.hosts[7].addresses.size(), 2u);
  EXPECT_TRUE(answer.authenticated) << "the resolver is at the loopback";
  EXPECT_EQ(resolver.counters().sent_tcp, 1u);
  EXPECT_EQ(resolver.counters().sent_udp, 61u) << "the list, two families of each host, and its keys";
  EXPECT_EQ(resolver.counters().ignored, 61u);
  drive(resolver.stop());
  drive(tcp_->stop());
}

TEST_F(ResolverOnTheKernel, D5_nobody_at_the_port_is_known_at_once) {
  start();
  udp_.reset();
  drive(tcp_->stop());
  Resolver resolver(*ring_, {.servers = {address_}, .timeout = seconds{1}});
  MailHosts hosts(resolver, {});
  MailHostsAnswer answer;
  drive(find(hosts, "example.com", answer));
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->reason, event::Reason::dns_temporary);
  EXPECT_EQ(resolver.counters().timeouts, 0u) << "refused, not silent";
  drive(resolver.stop());
}

TEST(ResolverInTheSandbox, asks_and_is_answered_after_the_restrictions) {
  EXPECT_TRUE(harden::went_well(harden::in_child([] {
    KernelWorld world;  // its ring is restricted by itself
    world.start();
    for (unsigned i = 0; i < 50; ++i)
      world.zone_.mx("example.com", i, "a-long-name-of-a-mail-host-" + std::to_string(i) + ".example.com");
    world.zone_.a("a-long-name-of-a-mail-host-3.example.com", "203.0.113.1");
    if (!harden::restrict_paths({})) return 1;
    if (!harden::restrict_calls(harden::Role::server, harden::OnAttack::kill)) return 2;
    Resolver resolver(*world.ring_, {.servers = {world.address_}});
    MailHosts hosts(resolver, {});
    MailHostsAnswer answer;
    world.drive(find(hosts, "example.com", answer));
    if (answer.hosts.size() != 1 || resolver.counters().sent_tcp != 1) return 3;
    world.drive(resolver.stop());
    world.drive(world.tcp_->stop());
    return 0;
  })));
}

Task<void> stop_after_a_moment(Resolver& resolver, runtime::Ring& ring) {
  co_await ring.sleep_for(std::chrono::milliseconds{20});
  co_await resolver.stop();
}

TEST_F(ResolverOnTheKernel, stop_ends_a_wait_for_a_silent_server) {
  start();
  zone_.everywhere = Habit::silent;
  Resolver resolver(*ring_, {.servers = {address_}, .timeout = std::chrono::hours{1}});
  MailHosts hosts(resolver, {});
  MailHostsAnswer answer;
  runtime::Scope scope(*ring_);
  scope.spawn(find(hosts, "example.com", answer));
  drive(stop_after_a_moment(resolver, *ring_));
  while (scope.running() > 0) ring_->run_once(std::chrono::milliseconds(1));
  EXPECT_TRUE(answer.failure && !answer.failure->permanent);
  drive(tcp_->stop());
}

}  // namespace
}  // namespace ringpost::dns
