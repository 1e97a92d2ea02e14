#include "server.hh"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ringpost::ctl {

namespace {

/// Why nobody answers at `path`, and what to do about it.
std::string unreachable(const std::string& path, int error) {
  const std::string text = "cannot reach ringpostd at " + path + ": " + std::strerror(error);
  switch (error) {
    case ENOENT: return text + "; it does not run, or its configuration names another control.socket (give that file with -c)";
    case ECONNREFUSED: return text + "; it has ended: start it with ringpostd -c FILE";
    case EACCES: return text + "; ask as root or as the user that ringpostd runs as";
    default: return text;
  }
}

class Connection {
 public:
  explicit Connection(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Failure{kNotAsked, path + ": too long for a socket"};
    std::memcpy(address.sun_path, path.data(), path.size());
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw Failure{kNotAsked, unreachable(path, errno)};
    }
  }
  Connection(const Connection&) = delete;
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }

  void ask(const std::string& request, const TakeLine& line) {
    std::string bytes = request + "\n";
    for (std::size_t sent = 0; sent < bytes.size();) {
      ssize_t n = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw Failure{kNotAsked, "the server closed the control connection"};
      sent += static_cast<std::size_t>(n);
    }
    std::string refusal, carry;
    char block[65536];
    for (;;) {
      ssize_t n = recv(fd_, block, sizeof block, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      carry.append(block, static_cast<std::size_t>(n));
      std::size_t begin = 0;
      for (std::size_t end; (end = carry.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string_view text{carry.data() + begin, end - begin};
        if (text == ".") return;
        if (text.starts_with("! ")) refusal += (refusal.empty() ? "" : "\n") + std::string{text.substr(2)};
        else line(text);
      }
      carry.erase(0, begin);
    }
    if (!refusal.empty()) throw Failure{kRefused, refusal};
    throw Failure{kNotAsked, "the server closed the control connection before its answer was complete"};
  }

 private:
  int fd_ = -1;
};

}  // namespace

void Server::ask(const std::string& request, const TakeLine& line) const { Connection{socket_}.ask(request, line); }

std::string Server::ask(const std::string& request) const {
  std::string text;
  ask(request, [&](std::string_view line) { text.append(line) += '\n'; });
  return text;
}

void Server::ask_all(const std::string& request, const TakeLine& line) const {
  const std::size_t count = shards();
  for (std::size_t shard = 0; shard < count; ++shard) ask(std::to_string(shard) + " " + request, line);
}

}  // namespace ringpost::ctl
