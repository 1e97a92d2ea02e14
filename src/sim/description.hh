// Open file descriptions, as the kernel calls what a descriptor refers to.
#pragma once

#include <cstdint>
#include <memory>

namespace ringpost::sim {

class DatagramSocket;
class FileHandle;
class Listener;
class SimRing;
class Socket;

class Description {
 public:
  virtual ~Description() = default;
  /// The operation no longer waits here (cancelled, or its process died).
  virtual void forget(std::uint64_t ring, std::uint64_t ticket) {}
  /// Its machine lost power: it says no word to the peer any more.
  virtual void fall_silent() {}
  virtual Socket* as_socket() { return nullptr; }
  virtual Listener* as_listener() { return nullptr; }
  virtual DatagramSocket* as_datagram() { return nullptr; }
  virtual FileHandle* as_file() { return nullptr; }
};

/// An operation that waits for a socket.
struct Waiter {
  SimRing* ring;
  std::uint64_t ring_number;
  std::uint64_t ticket;
  bool multishot = false;
};

}  // namespace ringpost::sim
