#include "shard/staging.hh"

#include <sys/mman.h>

#include <cstdlib>
#include <new>
#include <utility>

#include "ringpost/base/secret.hh"

namespace ringpost::shard {

namespace {
constexpr std::size_t kPage = 4096;
}

StagingBuffer::StagingBuffer(StagingBuffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      memory_(std::exchange(other.memory_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      used_(std::exchange(other.used_, 0)) {}

StagingBuffer& StagingBuffer::operator=(StagingBuffer&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = std::exchange(other.memory_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    used_ = std::exchange(other.used_, 0);
  }
  return *this;
}

void StagingBuffer::append(Bytes bytes) {
  RP_ASSERT(bytes.size() <= room());
  copy_bytes({memory_ + used_, room()}, bytes);
  used_ += bytes.size();
}

void StagingBuffer::release() {
  if (!memory_) return;
  wipe({memory_, used_});
  pool_->give_back(std::exchange(memory_, nullptr), capacity_);
  capacity_ = used_ = 0;
}

Staging::Staging(runtime::Ring& ring, std::size_t bytes_max, metrics::ShardMetrics& metrics)
    : bytes_max_(bytes_max), metrics_(metrics), returned_(ring) {}

Staging::~Staging() { trim(); }

void Staging::trim() {
  for (auto* idle : {&small_, &large_}) {
    for (std::byte* memory : *idle) std::free(memory);
    idle->clear();
  }
}

StagingBuffer Staging::take(std::size_t bytes) {
  StagingBuffer buffer;
  auto& idle = bytes == kSmallBytes ? small_ : large_;
  if (!has_room(bytes)) {
    metrics_.staging_exhausted.add();
    return buffer;
  }
  if (!idle.empty()) {
    buffer.memory_ = idle.back();
    idle.pop_back();
  } else {
    buffer.memory_ = static_cast<std::byte*>(std::aligned_alloc(kPage, bytes));
    if (!buffer.memory_) return buffer;
    (void)madvise(buffer.memory_, bytes, MADV_DONTDUMP);
  }
  buffer.pool_ = this;
  buffer.capacity_ = bytes;
  used_ += bytes;
  metrics_.staging_buffers_in_use.add(1);
  return buffer;
}

bool Staging::set_aside() {
  if (!has_room(kSmallBytes)) {
    metrics_.staging_exhausted.add();
    return false;
  }
  used_ += kSmallBytes;
  return true;
}

void Staging::give_back(std::byte* memory, std::size_t bytes) {
  (bytes == kSmallBytes ? small_ : large_).push_back(memory);
  used_ -= bytes;
  metrics_.staging_buffers_in_use.add(-1);
  returned_.notify_one();
}

}  // namespace ringpost::shard
