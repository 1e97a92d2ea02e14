#include "ringpost/harden/privileges.hh"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace ringpost::harden {

namespace {

Result<> from_call(int result) {
  if (result == 0) return {};
  return std::unexpected(error_from_errno(errno));
}

}  // namespace

Identity current_identity() { return {::geteuid(), ::getegid()}; }

bool is_root() { return ::geteuid() == 0; }

Result<Identity> find_user(const char* name) {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found);
  if (found) return Identity{found->pw_uid, found->pw_gid};
  return std::unexpected(error == 0 ? Error{Errc::not_found} : error_from_errno(error));
}

Result<> become(const Identity& identity) {
  if (is_root()) {
    // glibc makes these three hold for every thread.
    if (::setgroups(0, nullptr) != 0 || ::setresgid(identity.group, identity.group, identity.group) != 0 ||
        ::setresuid(identity.user, identity.user, identity.user) != 0)
      return std::unexpected(error_from_errno(errno));
    const bool can_return = identity.user != 0 && ::setresuid(0, 0, 0) == 0;
    if (can_return) return std::unexpected(Error{Errc::permission});
  }
  if (current_identity() != identity) return std::unexpected(Error{Errc::permission});
  return drop_capabilities();
}

Result<> drop_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);  // old kernels have none
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return std::unexpected(error_from_errno(errno));
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct none[2]{};
  return from_call(static_cast<int>(::syscall(SYS_capset, &header, none)));
}

Result<Identity> peer_identity(Fd socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.value, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::unexpected(error_from_errno(errno));
  return Identity{peer.uid, peer.gid};
}

bool peer_is(Fd socket, std::uint32_t user) {
  const Result<Identity> peer = peer_identity(socket);
  return peer && peer->user == user;
}

}  // namespace ringpost::harden
