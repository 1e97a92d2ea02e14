// Memory for keys: never swapped, never in a core dump, empty in a forked child, wiped when it dies.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include "ringpost/base/bytes.hh"

namespace ringpost::harden {

/// Pages of their own, locked when RLIMIT_MEMLOCK allows it. They read as zeros at first.
class LockedPages {
 public:
  explicit LockedPages(std::size_t bytes);
  LockedPages(LockedPages&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), locked_(other.locked_) {}
  LockedPages& operator=(LockedPages&& other) noexcept;
  ~LockedPages();

  /// At least as many bytes as asked for.
  MutableBytes bytes() const { return {data_, size_}; }
  /// False: the limit on locked memory was reached; they could be swapped out. The program says so at start.
  bool is_locked() const { return locked_; }

 private:
  void release() noexcept;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool locked_ = false;
};

/// One T in locked pages.
template <typename T>
class Locked {
 public:
  template <typename... Arguments>
  explicit Locked(Arguments&&... arguments)
      : pages_(sizeof(T)), value_(::new(pages_.bytes().data()) T(std::forward<Arguments>(arguments)...)) {}
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() { value_->~T(); }

  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }
  bool is_locked() const { return pages_.is_locked(); }

 private:
  LockedPages pages_;
  T* value_;
};

}  // namespace ringpost::harden
