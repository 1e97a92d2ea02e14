// Reads what MemoryWriter wrote; as wary as if somebody else had.
#pragma once

#include <chrono>
#include <string>

#include "ringpost/base/frame_reader.hh"

namespace ringpost::transport {

class MemoryReader : public FrameReader {
 public:
  using FrameReader::FrameReader;
  std::chrono::sys_seconds time() { return std::chrono::sys_seconds{std::chrono::seconds{number<std::int64_t>()}}; }
  std::string text(std::size_t bytes_max) {
    const std::size_t size = number<std::uint32_t>();
    if (size > bytes_max) return fail(), std::string{};
    return std::string{as_text(view(size))};
  }
};

}  // namespace ringpost::transport
