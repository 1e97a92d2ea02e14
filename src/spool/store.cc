#include "ringpost/spool/store.hh"

#include <fcntl.h>

#include <algorithm>

#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/sealer.hh"
#include "segments.hh"

namespace ringpost::spool {

using runtime::Ring;
using runtime::Task;

namespace {

constexpr std::string_view kMagic = "RPSTORE1";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChecksumOffset = 32;

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }
Fd descriptor(const Result<std::uint32_t>& opened) { return Fd{static_cast<int>(*opened)}; }

Task<void> close(Ring& ring, Fd fd) {
  Result<std::uint32_t> closed = co_await ring.close(fd);
  static_cast<void>(closed);
}

Task<Result<>> sync_directory(Ring& ring, std::string path) {
  Result<std::uint32_t> opened = co_await ring.open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!opened) co_return std::unexpected(opened.error());
  Result<std::uint32_t> synced = co_await ring.sync_all(descriptor(opened));
  co_await close(ring, descriptor(opened));
  if (!synced) co_return std::unexpected(synced.error());
  co_return Result<>{};
}

Task<Result<>> write_and_sync(Ring& ring, Fd fd, Bytes bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    Result<std::uint32_t> written = co_await ring.write_public(fd, bytes.subspan(done), done);
    if (!written) co_return std::unexpected(written.error());
    if (*written == 0) co_return failure(Errc::no_space);
    done += *written;
  }
  Result<std::uint32_t> synced = co_await ring.sync_all(fd);
  if (!synced) co_return std::unexpected(synced.error());
  co_return Result<>{};
}

/// Everything a small file holds, up to `limit` bytes.
Task<Result<std::vector<std::byte>>> read_file(Ring& ring, std::string path, std::size_t limit) {
  Result<std::uint32_t> opened = co_await ring.open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (!opened) co_return std::unexpected(opened.error());
  std::vector<std::byte> content(limit);
  std::size_t size = 0;
  Error error{};
  while (size < limit) {
    Result<std::uint32_t> read = co_await ring.read(descriptor(opened), MutableBytes{content}.subspan(size), size);
    if (!read) error = read.error();
    if (!read || *read == 0) break;
    size += *read;
  }
  co_await close(ring, descriptor(opened));
  if (error != Error{}) co_return std::unexpected(error);
  content.resize(size);
  co_return content;
}

}  // namespace

std::array<std::byte, kStoreFileBytes> encode_store_file(const StoreId& store) {
  std::array<std::byte, kStoreFileBytes> file{};
  const MutableBytes out{file};
  copy_bytes(out, as_bytes(kMagic));
  store_le(out.data() + 8, kVersion);
  copy_bytes(out.subspan(16), store.bytes);
  const crypto::Digest256 digest = crypto::sha256({Bytes{out}.first(kChecksumOffset)});
  copy_bytes(out.subspan(kChecksumOffset), Bytes{digest}.first(16));
  return file;
}

Result<StoreId> decode_store_file(Bytes file) {
  if (file.size() != kStoreFileBytes) return failure(Errc::corrupt);
  StoreId store;
  copy_bytes(store.bytes, file.subspan(16, 16));
  if (!std::ranges::equal(encode_store_file(store), file) || store.is_zero()) return failure(Errc::corrupt);
  return store;
}

Task<Result<std::optional<StoreId>>> read_store(Ring& ring, std::string directory) {
  Result<std::vector<std::byte>> content = co_await read_file(ring, directory + "/store", kStoreFileBytes + 1);
  if (!content && content.error().code == Errc::not_found) co_return std::optional<StoreId>{};
  if (!content) co_return std::unexpected(content.error());
  const Result<StoreId> store = decode_store_file(*content);
  if (!store) co_return std::unexpected(store.error());
  co_return std::optional<StoreId>{*store};
}

Task<Result<>> create_store(Ring& ring, std::string directory, StoreId store) {
  const std::string final_name = directory + "/store", name = directory + "/store.new";
  if (ring.path_info(final_name)) co_return failure(Errc::exists);
  Result<std::uint32_t> stale = co_await ring.unlink(name.c_str());  // of a start that died here
  static_cast<void>(stale);
  Result<std::uint32_t> opened = co_await ring.open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (!opened) co_return std::unexpected(opened.error());
  const auto file = encode_store_file(store);
  Result<> written = co_await write_and_sync(ring, descriptor(opened), file);
  co_await close(ring, descriptor(opened));
  if (!written) co_return written;
  Result<std::uint32_t> renamed = co_await ring.rename(name.c_str(), final_name.c_str());
  if (!renamed) co_return std::unexpected(renamed.error());
  Result<> synced = co_await sync_directory(ring, directory);
  co_return synced;
}

Result<std::vector<PartitionId>> list_partitions(Ring& ring, const std::string& directory) {
  const Result<std::vector<runtime::DirectoryEntry>> entries = ring.list_directory(directory);
  if (!entries) return std::unexpected(entries.error());
  std::vector<PartitionId> partitions;
  for (const runtime::DirectoryEntry& entry : *entries) {
    const auto id = id_from_hex<PartitionId>(entry.name);
    // Only the one way we write it: two names must never mean one partition.
    if (entry.is_directory && id && hex(*id) == entry.name) partitions.push_back(*id);
  }
  std::ranges::sort(partitions);
  return partitions;
}

Result<bool> is_empty(Ring& ring, const std::string& directory) {
  const Result<std::vector<PartitionId>> partitions = list_partitions(ring, directory);
  if (!partitions) return std::unexpected(partitions.error());
  for (const PartitionId& partition : *partitions) {
    const auto entries = ring.list_directory(partition_directory(directory, partition));
    if (!entries) return std::unexpected(entries.error());
    if (std::ranges::any_of(*entries, [](const auto& entry) { return Segments::number_in(entry.name).has_value(); }))
      return false;
  }
  return true;
}

std::string partition_directory(const std::string& directory, const PartitionId& partition) {
  return directory + '/' + hex(partition);
}

Task<Result<>> create_partition(Ring& ring, std::string directory, PartitionId partition) {
  const std::string name = partition_directory(directory, partition);
  Result<std::uint32_t> made = co_await ring.make_directory(name.c_str(), 0700);
  if (!made) co_return std::unexpected(made.error());
  Result<> synced = co_await sync_directory(ring, directory);
  co_return synced;
}

Task<Result<>> probe_direct(Ring& ring, std::string directory) {
  const std::string name = directory + "/probe.tmp";
  Result<std::uint32_t> stale = co_await ring.unlink(name.c_str());
  static_cast<void>(stale);
  Result<std::uint32_t> opened =
      co_await ring.open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_DIRECT, 0600);
  // Without O_DIRECT a filesystem makes the file and then says EINVAL.
  Result<> result;
  if (opened) {
    const SealedBytes block = crypto::Sealer::zeros(crypto::kBlockBytes);
    runtime::WriteSyncResult done = co_await ring.write_then_sync(descriptor(opened), block, 0);
    if (done.written && *done.written < block.size()) {  // legal, if rare; only an error tells something
      done.written = co_await ring.write(descriptor(opened), block, 0);
      done.synced = co_await ring.sync_data(descriptor(opened));
    }
    if (!done.written)
      result = std::unexpected(done.written.error());
    else if (!done.synced)
      result = std::unexpected(done.synced.error());
    co_await close(ring, descriptor(opened));
  } else {
    result = std::unexpected(opened.error());
  }
  Result<std::uint32_t> removed = co_await ring.unlink(name.c_str());
  static_cast<void>(removed);
  if (!result && (result.error().code == Errc::invalid || result.error().code == Errc::unsupported))
    co_return std::unexpected(Error{Errc::unsupported, result.error().detail});
  co_return result;
}

Task<std::string> filesystem_name(Ring& ring, std::string path) {
  Result<std::vector<std::byte>> content = co_await read_file(ring, "/proc/self/mountinfo", 256_KiB);
  std::string_view rest = content ? as_text(*content) : std::string_view{};
  std::string_view best_mount, best_type;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    // proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source, options
    const std::size_t dash = line.find(" - ");
    std::size_t begin = 0;
    for (int field = 0; field < 4 && begin != std::string_view::npos; ++field) begin = line.find(' ', begin + 1);
    if (dash == std::string_view::npos || begin == std::string_view::npos || begin > dash) continue;
    const std::string_view mount = line.substr(begin + 1, line.find(' ', begin + 1) - begin - 1);
    const std::string_view type = line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
    const bool holds = path.starts_with(mount) && (mount == "/" || path.size() == mount.size() || path[mount.size()] == '/');
    if (!holds || mount.size() < best_mount.size()) continue;  // of equal ones the later lies on top
    best_mount = mount;
    best_type = type;
  }
  co_return best_type.empty() ? std::string("unknown") : std::string(best_type);
}

}  // namespace ringpost::spool
