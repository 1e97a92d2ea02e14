#include "ringpost/auditd/server.hh"

#include "support.hh"

namespace ringpost::auditd {
namespace {

/// auditd, and somebody who talks to it.
class ServerWorld {
 public:
  explicit ServerWorld(bool stranger = false) : client_(world_.world().make_ring("client")), scope_(client_) {
    RP_ASSERT(world_.start());
    sim::SimRing& ring = world_.life().ring;
    listener_ = *ring.listen(address_, runtime::SocketKind::seqpacket, {});
    server_ = std::make_unique<Server>(ring, world_.life().log, world_.journal(), listener_, [stranger](Fd) { return !stranger; });
    server_->start();
    socket_ = *client_.open_socket(address_, runtime::SocketKind::seqpacket);
    auto connect = [](ServerWorld& self) -> Task<void> {
      auto connected = co_await self.client_.connect(self.socket_, self.address_, self.client_.now() + std::chrono::seconds(5));
      self.connected_ = connected.has_value();
    };
    world_.run_on(client_, connect(*this));
  }
  ~ServerWorld() {
    auto close = [](ServerWorld& self) -> Task<void> { (void)co_await self.client_.close(self.socket_); };
    world_.run_on(client_, close(*this));
    world_.run_on(world_.life().ring, server_->stop());
    server_.reset();
    auto close_listener = [](ServerWorld& self) -> Task<void> { (void)co_await self.world_.life().ring.close(self.listener_); };
    world_.run_on(world_.life().ring, close_listener(*this));
    world_.world().retire(client_);
  }

  JournalWorld& journal() { return world_; }
  /// Sends a packet and waits for the answer: nothing when the connection ended instead.
  std::optional<event::Ack> exchange(Bytes packet) {
    std::optional<event::Ack> answer;
    auto talk = [](ServerWorld& self, Bytes bytes, std::optional<event::Ack>& result) -> Task<void> {
      (void)co_await self.client_.send(self.socket_, bytes, self.client_.now() + std::chrono::minutes(5));
      std::array<std::byte, 64> reply;
      auto received = co_await self.client_.receive(self.socket_, reply, self.client_.now() + std::chrono::minutes(5));
      if (!received || *received == 0) co_return;
      auto ack = event::decode_ack(Bytes{reply}.first(*received));
      if (ack) result = *ack;
    };
    world_.run_on(client_, talk(*this, packet, answer));
    return answer;
  }

 private:
  JournalWorld world_;
  SocketAddress address_ = *SocketAddress::from_path("/run/audit.sock");
  sim::SimRing& client_;
  runtime::Scope scope_;
  Fd listener_, socket_;
  std::unique_ptr<Server> server_;
  bool connected_ = false;
};

const IncarnationId kSource = incarnation(1);

TEST(AuditServer, acknowledges_what_is_stored) {
  ServerWorld world;
  EXPECT_EQ(world.exchange(batch_of(kSource, 1, 3)), (event::Ack{kSource, 3}));
  EXPECT_EQ(world.exchange(batch_of(kSource, 1, 2)), (event::Ack{kSource, 2}));
  EXPECT_EQ(world.exchange(batch_of(kSource, 2, 4)), (event::Ack{kSource, 4}));
  EXPECT_EQ(world.journal().sequences(kSource), up_to(4));
}

TEST(AuditServer, a_stranger_is_not_heard) {
  ServerWorld world{true};
  EXPECT_EQ(world.exchange(batch_of(kSource, 1, 3)), std::nullopt);
  EXPECT_TRUE(world.journal().sequences(kSource).empty());
}

TEST(AuditServer, a_malformed_batch_ends_the_connection_and_stores_nothing) {
  std::vector<std::byte> packet = batch_of(kSource, 1, 3);
  packet.back() ^= std::byte{1};
  packet[4] = std::byte{9};
  ServerWorld world;
  EXPECT_EQ(world.exchange(packet), std::nullopt);
  EXPECT_TRUE(world.journal().sequences(kSource).empty());
}

TEST(AuditServer, a_packet_that_is_too_long_ends_the_connection) {
  ServerWorld world;
  EXPECT_EQ(world.exchange(std::vector<std::byte>(event::kBatchBytesMax + 1)), std::nullopt);
}

TEST(AuditServer, a_sick_disk_delays_the_acknowledgement_and_loses_nothing) {
  ServerWorld world;
  world.journal().world().faults().fail_nth(sim::Fault::disk_sync_error, 1, 4);
  EXPECT_EQ(world.exchange(batch_of(kSource, 1, 3)), (event::Ack{kSource, 3}));
  EXPECT_GE(world.journal().world().faults().hits(sim::Fault::disk_sync_error), 4u);
  EXPECT_EQ(world.journal().sequences(kSource), up_to(3));
}

}  // namespace
}  // namespace ringpost::auditd
