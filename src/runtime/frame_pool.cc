#include "ringpost/runtime/frame_pool.hh"

#include <array>
#include <new>

namespace ringpost::runtime {

namespace {

constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 128;  // frames up to 8 KiB are pooled

struct FreeFrame {
  FreeFrame* next;
};

struct Pool {
  std::array<FreeFrame*, kClasses> free{};

  ~Pool() { trim(); }
  void trim() noexcept {
    for (auto& head : free) {
      while (head) {
        FreeFrame* frame = head;
        head = frame->next;
        ::operator delete(frame);
      }
    }
  }
};

thread_local Pool pool;

[[maybe_unused]] std::size_t class_of(std::size_t bytes) { return (bytes + kClassBytes - 1) / kClassBytes; }

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
#define RP_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RP_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef RP_ADDRESS_SANITIZER
// The heap sees every frame, so that the sanitizer sees a frame that is used after its end.
void* FramePool::allocate(std::size_t bytes) { return ::operator new(bytes); }
void FramePool::release(void* frame, std::size_t) noexcept { ::operator delete(frame); }
#else
void* FramePool::allocate(std::size_t bytes) {
  std::size_t index = class_of(bytes);
  if (index >= kClasses) return ::operator new(bytes);
  if (FreeFrame* frame = pool.free[index]) {
    pool.free[index] = frame->next;
    return frame;
  }
  return ::operator new(index * kClassBytes);
}

void FramePool::release(void* frame, std::size_t bytes) noexcept {
  std::size_t index = class_of(bytes);
  if (index >= kClasses) return ::operator delete(frame);
  auto* idle = static_cast<FreeFrame*>(frame);
  idle->next = pool.free[index];
  pool.free[index] = idle;
}

#endif

void FramePool::trim() noexcept { pool.trim(); }

}  // namespace ringpost::runtime
