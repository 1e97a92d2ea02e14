// "The world was wrong" as a value: two integers, no text. Text is made at the edge.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace ringpost {

/// What failed, in terms a caller can decide on.
enum class Errc : std::uint16_t {
  timed_out = 1,      ///< our deadline passed
  cancelled,          ///< we ended the operation ourselves
  closed,             ///< the peer ended the stream in order
  reset,              ///< the peer or the path broke the connection
  refused,            ///< nobody answers at that address
  unreachable,        ///< no route, or the network is down
  no_space,           ///< disk full, quota, or our own admission limit
  no_memory,          ///< a pool, buffer or kernel limit is exhausted
  no_descriptors,     ///< EMFILE or ENFILE
  io,                 ///< EIO and every other failure of a file
  not_found,          ///< no such file, record or key
  exists,             ///< it is already there
  permission,         ///< EACCES or EPERM
  busy,               ///< locked by somebody else
  corrupt,            ///< bytes do not authenticate or do not parse
  protocol,           ///< a peer or sibling said something its protocol does not allow
  limit,              ///< a bound of ours was passed
  unavailable,        ///< a helper process or a resource is away for now
  unsupported,        ///< the kernel or the filesystem lacks it
  invalid,            ///< an argument was unusable
};

/// `detail` is the errno where there was one, else a number the reporting module documents.
struct Error {
  Errc code;
  std::int32_t detail = 0;
  friend bool operator==(const Error&, const Error&) = default;
};

template <typename T = void>
using Result = std::expected<T, Error>;

/// The error for a (positive) errno value.
Error error_from_errno(int errno_value) noexcept;

/// A short stable name such as "no_space", for logs and metrics.
std::string_view error_name(Errc code) noexcept;

}  // namespace ringpost
