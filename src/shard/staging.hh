// Memory in which messages come in: page-sized to begin with, a whole piece when they grow.
#pragma once

#include <cstddef>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/units.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::shard {

class Staging;

/// One buffer. Move-only; wiped and given back when it dies.
class StagingBuffer {
 public:
  StagingBuffer() = default;
  StagingBuffer(StagingBuffer&& other) noexcept;
  StagingBuffer& operator=(StagingBuffer&& other) noexcept;
  ~StagingBuffer() { release(); }

  explicit operator bool() const { return memory_ != nullptr; }
  std::size_t capacity() const { return capacity_; }
  Bytes bytes() const { return {memory_, used_}; }
  std::size_t room() const { return capacity_ - used_; }
  void append(Bytes bytes);
  void clear() { used_ = 0; }
  void release();

 private:
  friend class Staging;
  Staging* pool_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t capacity_ = 0, used_ = 0;
};

/// A fixed amount of memory, cut into buffers of two sizes on demand. Running out makes sessions wait (and the client with them).
class Staging {
 public:
  static constexpr std::size_t kSmallBytes = 8_KiB;
  static constexpr std::size_t kLargeBytes = 64_KiB;  // crypto::kChunkBytesMax

  Staging(runtime::Ring& ring, std::size_t bytes_max, metrics::ShardMetrics& metrics);
  Staging(const Staging&) = delete;
  ~Staging();

  /// A buffer of kSmallBytes or kLargeBytes; an empty one when the pool is used up, or the system has no memory.
  StagingBuffer take(std::size_t bytes);
  /// May it hand out `bytes` more? If so, an empty buffer means that the system has no memory.
  bool has_room(std::size_t bytes) const { return used_ + bytes <= bytes_max_; }
  /// Sets a small buffer aside for a take() to come, without any memory. False: as above.
  bool set_aside();
  /// The opposite; at once before the take(), or when there will be none.
  void put_back() {
    used_ -= kSmallBytes;
    returned_.notify_one();
  }
  /// Told when a buffer came back.
  runtime::Signal& returned() { return returned_; }
  /// Gives idle buffers back to the system.
  void trim();
  /// Less than a quarter is left: what is kept for convenience should go.
  bool is_tight() const { return used_ > bytes_max_ / 4 * 3; }

 private:
  friend class StagingBuffer;
  void give_back(std::byte* memory, std::size_t bytes);

  std::size_t bytes_max_, used_ = 0;
  metrics::ShardMetrics& metrics_;
  runtime::Signal returned_;
  std::vector<std::byte*> small_, large_;  // idle
};

}  // namespace ringpost::shard
