#include "ringpost/harden/locked.hh"

#include <sys/mman.h>
#include <unistd.h>

#include "ringpost/base/assert.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/units.hh"

namespace ringpost::harden {

LockedPages::LockedPages(std::size_t bytes) {
  size_ = round_up(bytes, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  void* pages = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  RP_ASSERT(pages != MAP_FAILED);
  data_ = static_cast<std::byte*>(pages);
  locked_ = ::mlock(pages, size_) == 0;
  ::madvise(pages, size_, MADV_DONTDUMP);
  ::madvise(pages, size_, MADV_WIPEONFORK);
}

LockedPages& LockedPages::operator=(LockedPages&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    locked_ = other.locked_;
  }
  return *this;
}

LockedPages::~LockedPages() { release(); }

void LockedPages::release() noexcept {
  if (data_ == nullptr) return;
  wipe(bytes());
  ::munmap(data_, size_);
  data_ = nullptr;
}

}  // namespace ringpost::harden
