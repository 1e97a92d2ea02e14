// The quick calls of UringRing: making sockets, looking at files.
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::runtime {

namespace {

std::unexpected<Error> last_error() { return std::unexpected(error_from_errno(errno)); }

/// A descriptor that closes itself unless it is taken.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(const OwnedFd&) = delete;
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  Fd take() { return Fd{std::exchange(fd_, -1)}; }

 private:
  int fd_;
};

bool set_on(int fd, int level, int option) {
  int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

int family_of(const SocketAddress& address) {
  switch (address.family()) {
    case SocketAddress::Family::ipv4: return AF_INET;
    case SocketAddress::Family::ipv6: return AF_INET6;
    case SocketAddress::Family::unix_path: return AF_UNIX;
    case SocketAddress::Family::none: break;
  }
  return AF_UNSPEC;
}

/// Close-on-exec, and blocking on purpose: io_uring waits by itself, but hands EAGAIN of a non-blocking socket to us.
int make_socket(const SocketAddress& address, SocketKind kind) {
  int type = kind == SocketKind::seqpacket ? SOCK_SEQPACKET : kind == SocketKind::datagram ? SOCK_DGRAM : SOCK_STREAM;
  return ::socket(family_of(address), type | SOCK_CLOEXEC, 0);
}

/// Removes the path of a Unix socket whose server is gone. Anything else that lies there stays, and bind() says so.
Result<> remove_stale_socket(const SocketAddress& address) {
  std::string path(address.path());
  struct stat found;
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return {};
  sockaddr_storage native;
  std::uint32_t size = address.to_native(native);
  OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return last_error();
  if (::connect(probe.get(), reinterpret_cast<sockaddr*>(&native), size) == 0 || errno != ECONNREFUSED) {
    return std::unexpected(Error{Errc::busy, EADDRINUSE});
  }
  if (::unlink(path.c_str()) != 0) return last_error();
  return {};
}

Result<SocketAddress> address_by(int (*call)(int, sockaddr*, socklen_t*), Fd socket) {
  sockaddr_storage native{};
  socklen_t size = sizeof native;
  if (call(socket.value, reinterpret_cast<sockaddr*>(&native), &size) != 0) return last_error();
  return SocketAddress::from_native(reinterpret_cast<sockaddr*>(&native), size);
}

FileInfo info_from(const struct stat& found) {
  return {.size = static_cast<std::uint64_t>(found.st_size),
          .mode = found.st_mode & 07777,
          .owner = found.st_uid,
          .links = static_cast<std::uint32_t>(found.st_nlink),
          .device = found.st_dev,
          .is_regular = S_ISREG(found.st_mode),
          .is_directory = S_ISDIR(found.st_mode),
          .is_symlink = S_ISLNK(found.st_mode)};
}

}  // namespace

Result<Fd> UringRing::listen(const SocketAddress& address, SocketKind kind, const ListenOptions& options) {
  bool is_path = address.family() == SocketAddress::Family::unix_path;
  OwnedFd socket(make_socket(address, kind));
  int fd = socket.get();
  if (fd < 0) return last_error();
  if (address.is_ip()) {
    if (!set_on(fd, SOL_SOCKET, SO_REUSEADDR)) return last_error();
    if (options.reuse_port && !set_on(fd, SOL_SOCKET, SO_REUSEPORT)) return last_error();
    if (kind == SocketKind::stream && !set_on(fd, IPPROTO_TCP, TCP_NODELAY)) return last_error();  // accepted sockets inherit it
    if (address.family() == SocketAddress::Family::ipv6 && !set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) return last_error();
  }
  if (is_path) {
    if (auto removed = remove_stale_socket(address); !removed) return std::unexpected(removed.error());
    // On the descriptor first, so that the path never exists with more than these permissions.
    if (::fchmod(fd, static_cast<mode_t>(options.mode)) != 0) return last_error();
  }
  sockaddr_storage native;
  std::uint32_t size = address.to_native(native);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&native), size) != 0) return last_error();
  if (is_path && ::chmod(std::string(address.path()).c_str(), static_cast<mode_t>(options.mode)) != 0) return last_error();
  if (kind != SocketKind::datagram && ::listen(fd, options.backlog) != 0) return last_error();
  return socket.take();
}

Result<> UringRing::spread_connections(Fd listener, std::size_t sockets) {
  const int none = 0;
  // Says which of them a connection goes to: a random number modulo how many take part.
  sock_filter steps[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<__u32>(SKF_AD_OFF + SKF_AD_RANDOM)},
                         {BPF_ALU | BPF_MOD | BPF_K, 0, 0, static_cast<__u32>(sockets)},
                         {BPF_RET | BPF_A, 0, 0, 0}};
  const sock_fprog program{static_cast<unsigned short>(std::size(steps)), steps};
  const int result = sockets == 0 ? ::setsockopt(listener.value, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none)
                                  : ::setsockopt(listener.value, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
  if (result != 0 && !(sockets == 0 && errno == ENOENT)) return last_error();  // there was none: it is as wanted
  return {};
}

Result<Fd> UringRing::open_socket(const SocketAddress& target, SocketKind kind) {
  OwnedFd socket(make_socket(target, kind));
  if (socket.get() < 0) return last_error();
  if (target.is_ip() && kind == SocketKind::stream && !set_on(socket.get(), IPPROTO_TCP, TCP_NODELAY)) return last_error();
  return socket.take();
}

Result<SocketAddress> UringRing::peer_address(Fd socket) { return address_by(&::getpeername, socket); }
Result<SocketAddress> UringRing::local_address(Fd socket) { return address_by(&::getsockname, socket); }

Result<std::vector<DirectoryEntry>> UringRing::list_directory(const std::string& path) {
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
  if (!directory) return last_error();
  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    dirent* entry = ::readdir(directory.get());
    if (!entry && errno != 0) return last_error();
    if (!entry) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool is_directory = entry->d_type == DT_DIR;
    struct stat found;
    if (entry->d_type == DT_UNKNOWN && ::fstatat(::dirfd(directory.get()), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0) {
      is_directory = S_ISDIR(found.st_mode);
    }
    entries.push_back({std::string(name), is_directory});
  }
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

Result<FileInfo> UringRing::file_info(Fd fd) {
  struct stat found;
  if (::fstat(fd.value, &found) != 0) return last_error();
  return info_from(found);
}

Result<FileInfo> UringRing::path_info(const std::string& path) {
  struct stat found;
  if (::lstat(path.c_str(), &found) != 0) return last_error();
  return info_from(found);
}

Result<DiskInfo> UringRing::disk_info(const std::string& path) {
  struct statvfs disk;
  struct stat found;
  if (::statvfs(path.c_str(), &disk) != 0 || ::stat(path.c_str(), &found) != 0) return last_error();
  return DiskInfo{
      .bytes_total = disk.f_blocks * disk.f_frsize, .bytes_free = disk.f_bavail * disk.f_frsize, .device = found.st_dev};
}

Result<> UringRing::lock_file(Fd fd) {
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd.value, F_OFD_SETLK, &whole) != 0) return last_error();
  return {};
}

}  // namespace ringpost::runtime
