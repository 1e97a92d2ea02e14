// The spool directory: whose data it is, and which partitions lie in it. Format: docs/formats/store.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::spool {

/// The file `store`: "RPSTORE1" | version u32 = 1 | zero u32 | store id, 16 bytes | first 16 bytes of the SHA-256 of these 32.
inline constexpr std::size_t kStoreFileBytes = 48;
std::array<std::byte, kStoreFileBytes> encode_store_file(const StoreId& store);
/// Errors: corrupt.
Result<StoreId> decode_store_file(Bytes file);

/// Whose spool `directory` is; nothing when it has no store file. Errors: corrupt, io, permission.
runtime::Task<Result<std::optional<StoreId>>> read_store(runtime::Ring& ring, std::string directory);
/// Writes the store file: complete and synced, or not there. Errors: exists when there is one.
runtime::Task<Result<>> create_store(runtime::Ring& ring, std::string directory, StoreId store);

/// Partitions of the spool, sorted by id: an order that every start finds again.
Result<std::vector<PartitionId>> list_partitions(runtime::Ring& ring, const std::string& directory);
/// True when there is no segment in any partition: no mail, nothing that a key would open.
Result<bool> is_empty(runtime::Ring& ring, const std::string& directory);
/// The directory of a partition.
std::string partition_directory(const std::string& directory, const PartitionId& partition);
/// Makes the directory of a new partition, durably.
runtime::Task<Result<>> create_partition(runtime::Ring& ring, std::string directory, PartitionId partition);

/// Writes and syncs one block with O_DIRECT in `directory`, as the log will. Errors: unsupported: the filesystem cannot.
runtime::Task<Result<>> probe_direct(runtime::Ring& ring, std::string directory);
/// Type of the filesystem that holds `path` ("ext4", "tmpfs"), for messages; "unknown" where /proc does not say.
runtime::Task<std::string> filesystem_name(runtime::Ring& ring, std::string path);

}  // namespace ringpost::spool
