#include "ringpost/runtime/small_file.hh"

#include <fcntl.h>

namespace ringpost::runtime {

Task<Result<std::size_t>> read_whole(Ring& ring, Fd file, MutableBytes into) {
  std::size_t size = 0;
  while (size < into.size()) {
    Result<std::uint32_t> read = co_await ring.read(file, into.subspan(size), size);
    if (!read) co_return std::unexpected(read.error());
    if (*read == 0) break;
    size += *read;
  }
  co_return size;
}

Task<Result<>> replace_whole(Ring& ring, Fd directory, const char* name, const char* new_name, SealedBytes sealed) {
  Result<std::uint32_t> removed = co_await ring.unlink(new_name, directory);
  static_cast<void>(removed);  // a rewrite that was cut short may have left one
  Result<std::uint32_t> step =
      co_await ring.open(new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600, directory);
  if (!step) co_return std::unexpected(step.error());
  const Fd file{static_cast<int>(*step)};
  std::size_t written = 0;
  while (step && written < sealed.size()) {
    step = co_await ring.write(file, sealed.subspan(written), written);
    if (step && *step == 0) step = std::unexpected(Error{Errc::no_space});
    if (step) written += *step;
  }
  if (step) step = co_await ring.sync_all(file);
  Result<std::uint32_t> closed = co_await ring.close(file);
  static_cast<void>(closed);
  if (step) step = co_await ring.rename(new_name, name, directory);
  if (step) step = co_await ring.sync_all(directory);
  if (!step) co_return std::unexpected(step.error());
  co_return Result<>{};
}

}  // namespace ringpost::runtime
