#include "programs/sockets.hh"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace ringpost::programs {

namespace {

constexpr auto kPredecessorPatience = std::chrono::milliseconds(1500);
constexpr auto kPoll = std::chrono::milliseconds(20);
constexpr unsigned kPrivilegedPorts = 1024;

std::string failure(const config::Listener& listener, Error error) {
  const std::string port = std::to_string(listener.address.port());
  const std::string text = "listener." + listener.name + ".address = " + listener.address.text() + ": " +
                           (error.detail > 0 ? std::strerror(error.detail) : std::string{error_name(error.code)});
  if (error.detail == EADDRINUSE)
    return text + ": stop the program that has it (ss -ltnp 'sport = :" + port + "' names it), or choose another address or port";
  if (error.code == Errc::permission && listener.address.port() < kPrivilegedPorts)
    return text + ": ports below " + std::to_string(kPrivilegedPorts) +
           " need a start as root (which ringpostd gives up at once) or CAP_NET_BIND_SERVICE; or choose a higher port";
  if (error.detail == EADDRNOTAVAIL) return text + ": no interface of this machine has it (ip address lists them)";
  return text;
}

}  // namespace

std::expected<void, std::string> check_addresses(runtime::UringRing& ring, const std::vector<config::Listener>& listeners) {
  const auto deadline = std::chrono::steady_clock::now() + kPredecessorPatience;
  for (const config::Listener& listener : listeners) {
    for (;;) {
      auto probe = ring.listen(listener.address, runtime::SocketKind::stream, {.reuse_port = false});
      if (probe) {
        ::close(probe->value);
        break;
      }
      if (probe.error().detail != EADDRINUSE || std::chrono::steady_clock::now() >= deadline)
        return std::unexpected(failure(listener, probe.error()));
      std::this_thread::sleep_for(kPoll);
    }
  }
  return {};
}

std::expected<Fd, std::string> listen_for_mail(runtime::UringRing& ring, const config::Listener& listener) {
  auto socket = ring.listen(listener.address, runtime::SocketKind::stream, {});
  if (!socket) return std::unexpected(failure(listener, socket.error()));
  return *socket;
}

}  // namespace ringpost::programs
