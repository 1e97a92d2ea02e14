// One segment file as a reader sees it: through a window, patient with a device that fails.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "ringpost/crypto/sealer.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::spool {

/// A window that holds any group, and what is read ahead behind it.
inline constexpr std::size_t kWindowBytes = 2 * 1_MiB;

class SegmentFile {
 public:
  /// `pauses`: how often it may still wait for the device.
  SegmentFile(runtime::Ring& ring, MutableBytes window, std::uint64_t bytes, int& pauses)
      : ring_(ring), window_(window), bytes_(bytes), pauses_(pauses) {}

  runtime::Task<Result<>> open(std::string name, int flags) {
    Result<std::uint32_t> fd = co_await ring_.open(name.c_str(), flags);
    if (!fd) co_return std::unexpected(fd.error());
    fd_ = Fd{static_cast<int>(*fd)};
    co_return Result<>{};
  }
  runtime::Task<void> close() {
    Result<std::uint32_t> closed = co_await ring_.close(fd_);
    static_cast<void>(closed);
  }

  /// Nothing when it must be fetched first.
  std::optional<Bytes> at(std::uint64_t offset, std::size_t size) const {
    if (offset < begin_ || offset + size > begin_ + filled_) return std::nullopt;
    return Bytes{window_}.subspan(offset - begin_, size);
  }

  enum class Ahead : bool { no, yes };
  /// Reads these bytes, and more behind them unless told not to. Whole blocks. Errors: io after some attempts.
  runtime::Task<Result<>> fetch(std::uint64_t offset, std::size_t size, Ahead ahead = Ahead::yes) {
    begin_ = offset;
    filled_ = 0;
    int attempts = 0;
    while (filled_ < size) {
      // After a failure no byte more than needed: the trouble may lie behind.
      const bool more = ahead == Ahead::yes && attempts == 0;
      const std::uint64_t upto = more ? std::min<std::uint64_t>(window_.size(), bytes_ - offset) : size;
      Result<std::uint32_t> read = co_await ring_.read(fd_, window_.subspan(filled_, upto - filled_), offset + filled_);
      const std::size_t whole = read ? *read & ~std::uint32_t{crypto::kBlockBytes - 1} : 0;
      filled_ += whole;
      bytes_read_ += whole;
      if (whole > 0 || ++attempts < kReadAttempts) continue;
      if (attempts == kReadAttempts + kPausesForOne || pauses_ == 0) co_return std::unexpected(Error{Errc::io});
      --pauses_;
      co_await ring_.sleep_for(kPause);
    }
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

  runtime::Ring& ring_;
  MutableBytes window_;
  std::uint64_t bytes_;
  int& pauses_;
  Fd fd_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace ringpost::spool
