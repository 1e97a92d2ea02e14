// Writes what FrameReader reads: docs/formats/transport-memory.md.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"

namespace ringpost::transport {

class MemoryWriter {
 public:
  template <typename Integer>
  void number(Integer value) {
    std::byte encoded[sizeof value];
    store_le(encoded, value);
    bytes_.insert(bytes_.end(), encoded, encoded + sizeof value);
  }
  void time(std::chrono::sys_seconds time) { number(static_cast<std::int64_t>(time.time_since_epoch().count())); }
  /// Its size in octets (4 bytes), then so many octets.
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    const Bytes octets = as_bytes(value);
    bytes_.insert(bytes_.end(), octets.begin(), octets.end());
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace ringpost::transport
