// Small parts the scripts share.
#pragma once

#include <bit>
#include <span>
#include <string>
#include <vector>

#include "ring_contract.hh"

namespace ringpost::runtime::contract {

inline constexpr Duration kSoon = std::chrono::milliseconds(20);
/// Never reached unless something is broken.
inline constexpr Duration kPatience = std::chrono::seconds(20);

/// Bytes as crypto::Sealer would hand them out; the scripts have nothing to hide.
inline SealedBytes sealed(Bytes bytes) { return std::bit_cast<SealedBytes>(bytes); }

/// `count` bytes that tell their own place, so that loss, repetition and exchange show.
inline std::vector<std::byte> pattern(std::size_t count, std::size_t from = 0) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((from + i) * 2654435761u >> 13);
  return bytes;
}

/// Two ends of one stream connection.
struct Pair {
  Fd client, server;
};

/// Listens, connects and accepts. The caller closes both ends.
Task<Result<Pair>> connect_pair(Ring& ring, SocketAddress address);

/// Ring::open, as a descriptor. The caller closes it.
Task<Result<Fd>> open_file(Ring& ring, std::string path, int flags);

/// Sends everything. Errors: as send.
Task<Result<>> send_all(Ring& ring, Fd socket, Bytes bytes);
/// Receives exactly into.size() bytes, else `closed`.
Task<Result<>> receive_all(Ring& ring, Fd socket, MutableBytes into);

/// An operation of any kind that one may cancel before awaiting it.
class RawOperation {
 public:
  RawOperation(Ring& ring, const Operation& arguments) : ring_(ring), state_{arguments, this} {
    state_.complete = [](Operation& operation, const Completion& completion) {
      RawOperation& self = *static_cast<State&>(operation).owner;
      ++self.completions_;
      self.last_ = completion;
      if (!completion.more) {
        self.ended_ = true;
        if (self.frame_) self.frame_.resume();
      }
    };
  }
  RawOperation(const RawOperation&) = delete;

  void start() { ring_.submit(state_); }
  void cancel() { ring_.cancel(state_); }
  bool ended() const { return ended_; }
  /// To link it behind another one (then that one is started, not this).
  Operation& operation() { return state_; }
  int completions() const { return completions_; }

  bool await_ready() const noexcept { return ended_; }
  void await_suspend(std::coroutine_handle<> frame) { frame_ = frame; }
  std::int32_t await_resume() const { return last_.result; }

 private:
  struct State : Operation {
    RawOperation* owner;
  };
  Ring& ring_;
  State state_;
  Completion last_{};
  int completions_ = 0;
  bool ended_ = false;
  std::coroutine_handle<> frame_;
};

}  // namespace ringpost::runtime::contract
