// An index as somebody finds it who judges it and must change nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ringpost/index/store.hh"

namespace ringpost::index {

/// All rows of an index, sealed as they are.
struct Snapshot {
  struct Row {
    Table table{};
    std::vector<std::byte> key, value;
  };
  enum class State : std::uint8_t {
    absent,      ///< there is none
    unproven,    ///< whoever opened it last died or condemned it; no row was read
    unreadable,  ///< LMDB cannot read it
    read,        ///< `rows` has all of it
  };
  State state = State::absent;
  std::vector<Row> rows;  ///< of each table in the order of their keys' bytes
};

/// A store with these rows, in which nothing can be committed.
std::unique_ptr<IndexStore> make_snapshot_store(Snapshot snapshot);

/// Takes rows one by one. Views last for the call.
class TableVisitor {
 public:
  virtual ~TableVisitor() = default;
  virtual void on_row(Table table, Bytes key, Bytes value) = 0;
};

/// Reads the LMDB environment in `directory`. The partition must be locked. LMDB follows offsets in the file: reading a damaged
/// one may end the process, so this is for one that nobody would miss.
Snapshot::State read_lmdb(const std::string& directory, TableVisitor& visitor);

}  // namespace ringpost::index
