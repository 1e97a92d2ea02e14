// What a completion belongs to: an aligned pointer whose low bits tell its kind.
#pragma once

#include <cstdint>

namespace ringpost::runtime::tags {

inline constexpr std::uint64_t kMask = 7;
inline constexpr std::uint64_t kOperation = 0;     ///< Operation*
inline constexpr std::uint64_t kIgnored = 1;       ///< a cancellation's own completion
inline constexpr std::uint64_t kWakeSent = 2;      ///< WakeLine*
inline constexpr std::uint64_t kWakeReceived = 3;  ///< from another ring
inline constexpr std::uint64_t kPoke = 4;          ///< the eventfd was written

inline std::uint64_t of(const void* object, std::uint64_t kind) { return reinterpret_cast<std::uintptr_t>(object) | kind; }
template <typename T>
T& object(std::uint64_t tag) {
  return *reinterpret_cast<T*>(static_cast<std::uintptr_t>(tag & ~kMask));
}

}  // namespace ringpost::runtime::tags

namespace ringpost::runtime {

// Operation::submitted
inline constexpr std::uint8_t kInFlight = 1;
inline constexpr std::uint8_t kCancelAsked = 2;
inline constexpr std::uint8_t kChainCut = 4;

inline constexpr unsigned kBufferGroup = 0;    ///< the provided-buffer ring of receive_stream
inline constexpr unsigned kIoRegionsMax = 64;  ///< slots of the registered-buffer table

}  // namespace ringpost::runtime
