// One request to the kernel (or to the simulator), embedded in the frame that waits for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"

namespace ringpost::runtime {

enum class OpCode : std::uint8_t {
  accept,          ///< fd: listener. Multishot: one completion per connection, result = descriptor
  receive_stream,  ///< fd: socket. Multishot: bytes arrive in the ring's own buffers (Completion::buffer)
  receive,         ///< fd, buffer, size: one receive into the caller's buffer
  send,            ///< fd, buffer, size: may send less
  connect,         ///< fd, address
  shutdown,        ///< fd, flags: SHUT_RD, SHUT_WR or SHUT_RDWR
  close,           ///< fd
  open,            ///< fd: directory or -1 (then `path` is absolute), path, flags: O_*, offset: mode. Result = descriptor
  read,            ///< fd, buffer, size, offset: may read less; 0 at the end of the file
  write,           ///< fd, buffer, size, offset: may write less. Made by Ring::write only, from SealedBytes
  sync_data,       ///< fd: fdatasync
  sync_all,        ///< fd: fsync, also of a directory
  unlink,          ///< fd: directory, path
  rename,          ///< fd: directory of both, path, path_to
  allocate,        ///< fd, offset, size64: fallocate
  make_directory,  ///< fd: directory, path, offset: mode
};

struct Completion {
  std::int32_t result;           ///< what the system call returns; negative errno on failure
  bool more = false;             ///< a multishot operation is still armed
  std::int32_t buffer = -1;      ///< receive_stream: id of the ring's buffer, to be released once
  std::byte* data = nullptr;     ///< receive_stream: the bytes (result of them)
};

/// Arguments and completion of one request.
///
/// Lifetime: unchanged and in place from Ring::submit until a completion with more == false.
/// Order:    `complete` is never called inside submit() or cancel().
struct Operation {
  using Complete = void (*)(Operation&, const Completion&);

  Complete complete = nullptr;
  const void* resumes = nullptr;  ///< what `complete` will look at: a ring may fetch it into the cache ahead; null: nothing far away
  OpCode code{};
  std::uint8_t submitted = 0;  ///< belongs to the ring: 1 from submit to the last completion
  std::int32_t flags = 0;
  Fd fd{};
  std::uint32_t size = 0;
  std::byte* buffer = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t size64 = 0;
  const char* path = nullptr;
  const char* path_to = nullptr;
  const SocketAddress* address = nullptr;
  Operation* linked = nullptr;  ///< started only when this one succeeded in full, else completes with -ECANCELED; submit the first only
  std::uint64_t ring_data[2] = {0, 0};  ///< belongs to the ring
};

/// One that no peer takes part in: on a file or a directory.
constexpr bool is_local(const Operation& operation) { return operation.code >= OpCode::open; }

}  // namespace ringpost::runtime
