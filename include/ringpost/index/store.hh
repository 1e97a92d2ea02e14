// The seam below the index: ordered tables of sealed rows. LMDB in a server; memory in the simulator, which cannot see LMDB's
// I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/units.hh"

namespace ringpost::index {

/// Numbers are part of the format: they are authenticated with each row.
enum class Table : std::uint8_t {
  head = 1,         ///< one row: whose index it is and how far it got
  messages = 2,     ///< message id -> entry
  due = 3,          ///< time of the next attempt, coarsely, and message id -> nothing
  generations = 4,  ///< generation -> what of it is alive
};
inline constexpr std::size_t kTables = 4;

/// Key of a row, 1..24 bytes. Keys are in clear: nothing but ids, generations and coarse times may be in them.
class RowKey {
 public:
  static constexpr std::size_t kBytesMax = 24;
  RowKey() = default;
  explicit RowKey(Bytes bytes) : size_(static_cast<std::uint8_t>(bytes.size())) { copy_bytes(bytes_, bytes); }
  Bytes view() const { return Bytes{bytes_}.first(size_); }

 private:
  std::array<std::byte, kBytesMax> bytes_{};
  std::uint8_t size_ = 0;
};

/// Value of a row: empty, or sealed. RowCipher alone makes those that are not empty, so plaintext in the store does not compile.
class SealedValue {
 public:
  SealedValue() = default;
  Bytes view() const { return bytes_; }

 private:
  friend class RowCipher;
  explicit SealedValue(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::vector<std::byte> bytes_;
};

/// One change of a transaction.
struct Write {
  Table table{};
  RowKey key;
  std::optional<SealedValue> value;  ///< empty: the row goes away (harmless when there is none)
};

class RowVisitor {
 public:
  virtual ~RowVisitor() = default;
  /// Views last for the call. Returns false to stop.
  virtual bool on_row(Bytes key, Bytes value) = 0;
};

/// Transactional tables of one partition. All functions may block.
///
/// Threads: one at a time: the helper thread of a ring, and whoever makes and destroys the store.
/// Errors:  no_space, no_memory: try again later. Everything else: the content is in doubt, condemn() it.
class IndexStore {
 public:
  enum class Found : std::uint8_t {
    nothing,   ///< a new, empty store
    content,   ///< prove it good, then settle(); or remove() it
    unproven,  ///< the last one who opened it died before settle(), or condemned it; it has been removed
  };

  virtual ~IndexStore() = default;
  /// Opens what is there. Until settle() a death of the process removes the content at the next open().
  virtual Result<Found> open() = 0;
  virtual Result<> settle() = 0;
  /// Has the next open() remove the content.
  virtual void condemn() = 0;
  /// Closes and deletes everything; open() may follow.
  virtual Result<> remove() = 0;

  /// All writes or none, durable on return.
  virtual Result<> commit(const std::vector<Write>& writes) = 0;
  /// The value of a row, in `value`; false when there is none.
  virtual Result<bool> get(Table table, Bytes key, std::vector<std::byte>& value) = 0;
  /// Visits the rows behind `after` (empty: all) in the order of their keys' bytes. The visitor must not use the store.
  virtual Result<> scan(Table table, Bytes after, RowVisitor& visitor) = 0;
};

struct LmdbOptions {
  std::uint64_t map_bytes = 64_MiB;        ///< to begin with; address space only
  std::uint64_t map_bytes_max = 1024_GiB;  ///< behind that: no_space
};

/// LMDB in `directory`, which is made when it is not there (its parent must be).
std::unique_ptr<IndexStore> make_lmdb_store(std::string directory, const LmdbOptions& options);

}  // namespace ringpost::index
