#include "contract_support.hh"

namespace ringpost::runtime::contract {

Task<Result<Pair>> connect_pair(Ring& ring, SocketAddress address) {
  auto listener = ring.listen(address, SocketKind::stream, {});
  if (!listener) co_return std::unexpected(listener.error());
  auto bound = ring.local_address(*listener);
  if (!bound) co_return std::unexpected(bound.error());
  auto client = ring.open_socket(*bound, SocketKind::stream);
  if (!client) co_return std::unexpected(client.error());
  auto connected = co_await ring.connect(*client, *bound, ring.now() + kPatience);
  if (!connected) co_return std::unexpected(connected.error());
  Acceptor acceptor(ring, *listener);
  auto server = co_await acceptor.next();
  co_await acceptor.stop();
  auto closed = co_await ring.close(*listener);
  if (!server) co_return std::unexpected(server.error());
  if (!closed) co_return std::unexpected(closed.error());
  co_return Pair{*client, *server};
}

Task<Result<Fd>> open_file(Ring& ring, std::string path, int flags) {
  auto opened = co_await ring.open(path.c_str(), flags);
  if (!opened) co_return std::unexpected(opened.error());
  co_return Fd{static_cast<int>(*opened)};
}

Task<Result<>> send_all(Ring& ring, Fd socket, Bytes bytes) {
  while (!bytes.empty()) {
    auto sent = co_await ring.send(socket, bytes, ring.now() + kPatience);
    if (!sent) co_return std::unexpected(sent.error());
    bytes = bytes.subspan(*sent);
  }
  co_return Result<>{};
}

Task<Result<>> receive_all(Ring& ring, Fd socket, MutableBytes into) {
  while (!into.empty()) {
    auto count = co_await ring.receive(socket, into, ring.now() + kPatience);
    if (!count) co_return std::unexpected(count.error());
    if (*count == 0) co_return std::unexpected(Error{Errc::closed, 0});
    into = into.subspan(*count);
  }
  co_return Result<>{};
}

}  // namespace ringpost::runtime::contract
