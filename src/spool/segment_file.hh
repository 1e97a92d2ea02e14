// One segment file as a reader sees it: through a window, patient with a device that fails.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "ringpost/crypto/sealer.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::spool {

/// A window that holds any group, and what is read ahead behind it.
inline constexpr std::size_t kWindowBytes = 2 * 1_MiB;
/// Two windows, each with room in front for the group that begins in the window before.
inline constexpr std::size_t kCarriedBytesMax = 1_MiB, kTwoWindowsBytes = 2 * (kCarriedBytesMax + kWindowBytes);

class SegmentFile {
 public:
  /// `memory`: kWindowBytes; with kTwoWindowsBytes one window is filled while the bytes of the other are worked on.
  /// `pauses`: how often it may still wait for the device.
  SegmentFile(runtime::Ring& ring, MutableBytes memory, std::uint64_t bytes, int& pauses)
      : ring_(ring), bytes_(bytes), pauses_(pauses), reading_(ring) {
    if (memory.size() < kTwoWindowsBytes) {
      window_ = memory.first(kWindowBytes);
      return;
    }
    window_ = memory.subspan(kCarriedBytesMax, kWindowBytes);
    other_ = memory.subspan(kTwoWindowsBytes - kWindowBytes, kWindowBytes);
  }

  runtime::Task<Result<>> open(std::string name, int flags) {
    Result<std::uint32_t> fd = co_await ring_.open(name.c_str(), flags);
    if (!fd) co_return std::unexpected(fd.error());
    fd_ = Fd{static_cast<int>(*fd)};
    co_return Result<>{};
  }
  runtime::Task<void> close() {
    co_await reading_.join();
    Result<std::uint32_t> closed = co_await ring_.close(fd_);
    static_cast<void>(closed);
  }

  /// Nothing when it must be fetched first.
  std::optional<Bytes> at(std::uint64_t offset, std::size_t size) const {
    if (offset < begin_ || offset + size > begin_ + held_.size()) return std::nullopt;
    return held_.subspan(offset - begin_, size);
  }

  enum class Ahead : bool { no, yes };
  /// Reads these bytes, and more behind them unless told not to. Whole blocks. Errors: io after some attempts.
  runtime::Task<Result<>> fetch(std::uint64_t offset, std::size_t size, Ahead ahead = Ahead::yes) {
    co_await reading_.join();
    if (!take_other(offset, size)) {
      Result<> read = co_await read_window(offset, size, ahead);
      if (!read) co_return read;
    }
    if (ahead == Ahead::yes) read_on();
    co_return Result<>{};
  }
  /// Writes whole blocks, then syncs. Errors: of the device.
  runtime::Task<Result<>> put(SealedBytes bytes, std::uint64_t offset) {
    while (bytes.size() > 0) {
      Result<std::uint32_t> written = co_await ring_.write(fd_, bytes, offset);
      if (!written) co_return std::unexpected(written.error());
      const std::size_t whole = *written & ~std::uint32_t{crypto::kBlockBytes - 1};
      if (whole == 0) co_return std::unexpected(Error{Errc::no_space});
      bytes = bytes.subspan(whole);
      offset += whole;
    }
    Result<std::uint32_t> synced = co_await ring_.sync_data(fd_);
    if (!synced) co_return std::unexpected(synced.error());
    co_return Result<>{};
  }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  static constexpr int kReadAttempts = 3;
  /// A device that fails may recover, and what is not read changes what the rest means (a failure on record, an outcome): it is
  /// worth waiting for, a little for each place, and for a reader as a whole (`pauses`).
  static constexpr int kPausesForOne = 8;
  static constexpr Duration kPause = std::chrono::milliseconds{250};

  runtime::Task<Result<>> read_window(std::uint64_t offset, std::size_t size, Ahead ahead) {
    held_ = {};
    begin_ = offset;
    std::size_t filled = 0;
    int attempts = 0;
    while (filled < size) {
      // After a failure no byte more than needed: the trouble may lie behind.
      const bool more = ahead == Ahead::yes && attempts == 0;
      const std::uint64_t upto = more ? std::min<std::uint64_t>(window_.size(), bytes_ - offset) : size;
      Result<std::uint32_t> read = co_await ring_.read(fd_, window_.subspan(filled, upto - filled), offset + filled);
      const std::size_t whole = whole_blocks(read);
      filled += whole;
      bytes_read_ += whole;
      if (whole > 0 || ++attempts < kReadAttempts) continue;
      read_ahead_ = false;
      if (attempts == kReadAttempts + kPausesForOne || pauses_ == 0) co_return std::unexpected(Error{Errc::io});
      --pauses_;
      co_await ring_.sleep_for(kPause);
    }
    held_ = window_.first(filled);
    co_return Result<>{};
  }

  /// Begins to fill the other window, unless the device has failed here: then it waits to be asked.
  void read_on() {
    const std::uint64_t end = begin_ + held_.size();
    if (other_.empty() || !read_ahead_ || end >= bytes_) return;
    other_begin_ = end;
    reading_.spawn(fill_other());
  }
  runtime::Task<void> fill_other() {
    const std::size_t size = std::min<std::uint64_t>(other_.size(), bytes_ - other_begin_);
    Result<std::uint32_t> read = co_await ring_.read(fd_, other_.first(size), other_begin_);
    other_filled_ = whole_blocks(read);
    bytes_read_ += other_filled_;
    read_ahead_ = other_filled_ > 0;
  }
  /// Changes the windows when the other one goes on from here, and has enough: what is left of this one goes in front.
  bool take_other(std::uint64_t offset, std::size_t size) {
    const std::size_t filled = std::exchange(other_filled_, 0);
    if (filled == 0 || offset < begin_ || offset > other_begin_ || offset + size > other_begin_ + filled) return false;
    const Bytes left = held_.subspan(offset - begin_);
    if (left.size() > kCarriedBytesMax) return false;
    std::byte* const front = other_.data() - left.size();
    copy_bytes({front, left.size()}, left);
    held_ = {front, left.size() + filled};
    begin_ = offset;
    std::swap(window_, other_);
    return true;
  }
  static std::size_t whole_blocks(const Result<std::uint32_t>& read) {
    return read ? *read & ~std::uint32_t{crypto::kBlockBytes - 1} : 0;
  }

  runtime::Ring& ring_;
  MutableBytes window_, other_;
  std::uint64_t bytes_;
  int& pauses_;
  Fd fd_;
  std::uint64_t begin_ = 0;  // in the file, of `held_`
  Bytes held_;
  std::uint64_t other_begin_ = 0;
  std::size_t other_filled_ = 0;
  bool read_ahead_ = true;
  std::uint64_t bytes_read_ = 0;
  runtime::Scope reading_;  // of fill_other()
};

}  // namespace ringpost::spool
