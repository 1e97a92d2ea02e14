#include "ringpost/base/error.hh"

#include <cerrno>

namespace ringpost {

Error error_from_errno(int e) noexcept {
  switch (e) {
    case ETIME:
    case ETIMEDOUT: return {Errc::timed_out, e};
    case ECANCELED: return {Errc::cancelled, e};
    case EPIPE:
    case ECONNABORTED:
    case ECONNRESET: return {Errc::reset, e};
    case ECONNREFUSED: return {Errc::refused, e};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL: return {Errc::unreachable, e};
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return {Errc::no_space, e};
    case ENOMEM:
    case ENOBUFS: return {Errc::no_memory, e};
    case EMFILE:
    case ENFILE: return {Errc::no_descriptors, e};
    case ENOENT: return {Errc::not_found, e};
    case EEXIST: return {Errc::exists, e};
    case EACCES:
    case EPERM:
    case EROFS: return {Errc::permission, e};
    case EBUSY:
    case EAGAIN:
    case EADDRINUSE: return {Errc::busy, e};
    case ENOSYS:
    case EOPNOTSUPP: return {Errc::unsupported, e};
    case EINVAL:
    case EBADF: return {Errc::invalid, e};
    default: return {Errc::io, e};
  }
}

std::string_view error_name(Errc code) noexcept {
  switch (code) {
    case Errc::timed_out: return "timed_out";
    case Errc::cancelled: return "cancelled";
    case Errc::closed: return "closed";
    case Errc::reset: return "reset";
    case Errc::refused: return "refused";
    case Errc::unreachable: return "unreachable";
    case Errc::no_space: return "no_space";
    case Errc::no_memory: return "no_memory";
    case Errc::no_descriptors: return "no_descriptors";
    case Errc::io: return "io";
    case Errc::not_found: return "not_found";
    case Errc::exists: return "exists";
    case Errc::permission: return "permission";
    case Errc::busy: return "busy";
    case Errc::corrupt: return "corrupt";
    case Errc::protocol: return "protocol";
    case Errc::limit: return "limit";
    case Errc::unavailable: return "unavailable";
    case Errc::unsupported: return "unsupported";
    case Errc::invalid: return "invalid";
  }
  return "unknown";
}

}  // namespace ringpost
