// The quick calls of SimRing: those that complete at once.
#include <cerrno>
#include <cstdlib>

#include "datagram.hh"
#include "inode.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "socket.hh"

namespace ringpost::sim {

namespace {

using std::chrono::milliseconds;

std::unexpected<Error> failed(int errno_value) { return std::unexpected(error_from_errno(errno_value)); }

Result<Fd> as_fd(std::int32_t result) {
  if (result < 0) return failed(-result);
  return Fd{result};
}

}  // namespace

// ---- sockets

Result<Fd> SimRing::listen(const SocketAddress& address, runtime::SocketKind kind, const runtime::ListenOptions& options) {
  if (kind == runtime::SocketKind::datagram) {
    auto socket = world_.network().bind_datagrams(address);
    if (!socket) return std::unexpected(socket.error());
    return as_fd(process_.add(*socket));
  }
  auto listener = world_.network().listen(address, kind, options);
  if (!listener) return std::unexpected(listener.error());
  return as_fd(process_.add(*listener));
}

Result<Fd> SimRing::open_socket(const SocketAddress& target, runtime::SocketKind kind) {
  if (kind == runtime::SocketKind::datagram) {
    return as_fd(process_.add(std::make_shared<DatagramSocket>(world_.network(), SocketAddress{options_.address, 0})));
  }
  return as_fd(process_.add(world_.network().make_socket(kind, !target.is_ip(), options_.address)));
}

std::int32_t SimRing::accept_into_process(std::shared_ptr<Socket> socket) { return process_.add(std::move(socket)); }

Result<SocketAddress> SimRing::peer_address(Fd fd) {
  auto description = process_.find(fd);
  if (!description) return failed(EBADF);
  if (DatagramSocket* socket = description->as_datagram()) {
    if (!socket->connected()) return failed(ENOTCONN);
    return socket->peer();
  }
  Socket* socket = description->as_socket();
  if (!socket) return failed(description->as_listener() ? ENOTCONN : ENOTSOCK);
  if (!socket->connected()) return failed(ENOTCONN);
  return socket->peer();
}

Result<SocketAddress> SimRing::local_address(Fd fd) {
  auto description = process_.find(fd);
  if (!description) return failed(EBADF);
  if (Socket* socket = description->as_socket()) return socket->local();
  if (Listener* listener = description->as_listener()) return listener->address();
  if (DatagramSocket* socket = description->as_datagram()) return socket->local();
  return failed(ENOTSOCK);
}

// ---- files

Result<std::vector<runtime::DirectoryEntry>> SimRing::list_directory(const std::string& path) {
  std::vector<runtime::DirectoryEntry> entries;
  if (const int error = disk_.list(path, entries)) return failed(-error);
  return entries;
}

Result<runtime::FileInfo> SimRing::file_info(Fd fd) {
  auto description = process_.find(fd);
  if (!description) return failed(EBADF);
  FileHandle* file = description->as_file();
  if (!file) return runtime::FileInfo{};
  return file->disk().info(*file);
}

Result<runtime::FileInfo> SimRing::path_info(const std::string& path) {
  runtime::FileInfo info;
  if (const int error = disk_.info(path, info)) return failed(-error);
  return info;
}

Result<runtime::DiskInfo> SimRing::disk_info(const std::string& path) {
  runtime::FileInfo info;
  if (const int error = disk_.info(path, info)) return failed(-error);
  return disk_.disk_info();
}

Result<> SimRing::lock_file(Fd fd) {
  auto description = process_.find(fd);
  FileHandle* file = description ? description->as_file() : nullptr;
  if (!file) return failed(EBADF);
  if (const int error = file->disk().lock(*file)) return failed(-error);
  return {};
}

// ---- memory and other threads

Result<MutableBytes> SimRing::make_io_buffer(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  const std::size_t rounded = round_up(bytes, kPage);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPage, rounded));
  if (!memory) return failed(ENOMEM);
  std::fill_n(memory, rounded, std::byte{0});
  io_buffers_.emplace_back(memory, &std::free);
  return MutableBytes{memory, bytes};
}

void SimRing::wake(runtime::Ring& other) {
  if (!alive_) return;
  SimRing& target = static_cast<SimRing&>(other);
  constexpr Range kWake{Duration{500}, std::chrono::microseconds{20}};
  world_.after(target, world_.draw(kWake), [&target] { target.woken_ = true; });
}

void SimRing::offload(runtime::OffloadJob& job) {
  if (!alive_) return;
  job.run(job);
  ++jobs_;
  Duration takes = world_.draw(world_.timing().offload);
  if (world_.faults().strike(Fault::offload_slow)) takes += world_.draw({milliseconds{100}, milliseconds{10'000}});
  offload_free_ = std::max(offload_free_, world_.now()) + takes;  // one after the other
  world_.after(*this, offload_free_ - world_.now(), [this, &job] { finished_jobs_.push_back(&job); });
}

}  // namespace ringpost::sim
