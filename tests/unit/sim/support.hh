// Small parts the tests of the simulator share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <string_view>
#include <vector>

#include "../drive.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr Duration kLong = std::chrono::hours{24};

/// Bytes as crypto::Sealer would hand them out; the tests have nothing to hide.
inline SealedBytes sealed(Bytes bytes) { return std::bit_cast<SealedBytes>(bytes); }

inline std::vector<std::byte> filled(std::size_t count, char with) { return std::vector<std::byte>(count, std::byte(with)); }

inline Task<Fd> open_file(runtime::Ring& ring, std::string path, int flags) {
  auto opened = co_await ring.open(path.c_str(), flags, 0600);
  if (!opened) ADD_FAILURE() << "cannot open " << path;
  co_return opened ? Fd{static_cast<int>(*opened)} : Fd{};
}

inline const SocketAddress kServer = *SocketAddress::parse("192.0.2.1:25");

struct Pair {
  Fd client, server;
};

/// A connection between two rings (they may be one).
inline Task<Pair> connect_pair(SimRing& client, SimRing& server, SocketAddress address = kServer,
                               runtime::SocketKind kind = runtime::SocketKind::stream) {
  auto listener = server.listen(address, kind, {});
  auto socket = client.open_socket(address, kind);
  runtime::Acceptor acceptor(server, *listener);
  auto connected = co_await client.connect(*socket, address, client.now() + seconds{60});
  EXPECT_TRUE(connected);
  auto accepted = co_await acceptor.next();
  EXPECT_TRUE(accepted);
  co_await acceptor.stop();
  (void)co_await server.close(*listener);
  co_return Pair{*socket, *accepted};
}

}  // namespace ringpost::sim
