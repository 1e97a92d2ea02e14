// IndexStore on LMDB: one environment, full sync, opened under the protection of a mark file.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ringpost/index/snapshot.hh"
#include "ringpost/index/store.hh"

namespace ringpost::index {

namespace {

// Exists while nobody knows whether the content can be read: LMDB follows offsets in the file, so a damaged one may end the
// process.
constexpr const char* kMark = "/unproven";
constexpr const char* kFiles[] = {"/data.mdb", "/lock.mdb"};
constexpr const char* kTableNames[kTables] = {"head", "messages", "due", "generations"};
// One writer, one thread, and the partition's lock keeps other processes out: no lock file, so no reader slot can be left behind.
// Neither MDB_NOSYNC nor MDB_NOMETASYNC, ever; without MDB_WRITEMAP a stray pointer cannot write into the map.
constexpr unsigned kEnvironmentFlags = MDB_NOLOCK | MDB_NOTLS;
constexpr std::uint64_t kMapUnit = 1_MiB;

std::unexpected<Error> error_of_lmdb(int code) {
  if (code == MDB_MAP_FULL || code == ENOSPC || code == EDQUOT) return std::unexpected(Error{Errc::no_space, code});
  if (code == ENOMEM) return std::unexpected(Error{Errc::no_memory, code});
  if (code > 0) return std::unexpected(error_from_errno(code));
  return std::unexpected(Error{Errc::corrupt, code});  // detail: LMDB's own, negative
}
std::unexpected<Error> error_of_errno() { return std::unexpected(error_from_errno(errno)); }

MDB_val as_value(Bytes bytes) { return {bytes.size(), const_cast<std::byte*>(bytes.data())}; }
Bytes as_bytes(const MDB_val& value) { return {static_cast<const std::byte*>(value.mv_data), value.mv_size}; }

Result<> sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_of_errno();
  const int failed = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  if (failed) return std::unexpected(error_from_errno(error));
  return {};
}

/// Ends a transaction that was not committed.
class Transaction {
 public:
  Transaction(MDB_env* environment, unsigned flags) : begun_(::mdb_txn_begin(environment, nullptr, flags, &transaction_)) {}
  Transaction(const Transaction&) = delete;
  ~Transaction() {
    if (transaction_) ::mdb_txn_abort(transaction_);
  }
  /// LMDB's code.
  int begun() const { return begun_; }
  int commit() { return ::mdb_txn_commit(std::exchange(transaction_, nullptr)); }
  operator MDB_txn*() const { return transaction_; }

 private:
  MDB_txn* transaction_ = nullptr;
  int begun_;
};

class LmdbStore final : public IndexStore {
 public:
  LmdbStore(std::string directory, const LmdbOptions& options) : directory_(std::move(directory)), options_(options) {
    map_bytes_ = std::min(round_up(options_.map_bytes, kMapUnit), options_.map_bytes_max);
  }
  ~LmdbStore() override { close(); }

  Result<Found> open() override;
  Result<> settle() override;
  void condemn() override { (void)set_mark(); }
  Result<> remove() override;
  Result<> commit(const std::vector<Write>& writes) override;
  Result<bool> get(Table table, Bytes key, std::vector<std::byte>& value) override;
  Result<> scan(Table table, Bytes after, RowVisitor& visitor) override;

 private:
  std::string path(const char* name) const { return directory_ + name; }
  MDB_dbi handle(Table table) const { return handles_[std::to_underlying(table) - 1]; }
  void close();
  Result<> set_mark();
  Result<> delete_files();
  Result<> open_environment();
  Result<> check_file_size();
  Result<> open_tables();
  int try_commit(const std::vector<Write>& writes);
  Result<> make_room();
  Result<> grow();

  std::string directory_;
  LmdbOptions options_;
  std::uint64_t map_bytes_ = 0;
  MDB_env* environment_ = nullptr;
  MDB_dbi handles_[kTables] = {};
};

void LmdbStore::close() {
  if (environment_) ::mdb_env_close(std::exchange(environment_, nullptr));
}

Result<> LmdbStore::set_mark() {
  const int fd = ::open(path(kMark).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return error_of_errno();
  ::close(fd);
  return sync_directory(directory_);
}

Result<> LmdbStore::settle() {
  if (::unlink(path(kMark).c_str()) != 0) return error_of_errno();
  return sync_directory(directory_);
}

Result<> LmdbStore::delete_files() {
  for (const char* name : kFiles)
    if (::unlink(path(name).c_str()) != 0 && errno != ENOENT) return error_of_errno();
  return sync_directory(directory_);
}

Result<> LmdbStore::remove() {
  close();
  map_bytes_ = std::min(round_up(options_.map_bytes, kMapUnit), options_.map_bytes_max);
  return delete_files();
}

Result<IndexStore::Found> LmdbStore::open() {
  close();
  if (::mkdir(directory_.c_str(), 0700) == 0) {
    if (auto synced = sync_directory(directory_ + "/.."); !synced) return std::unexpected(synced.error());
  } else if (errno != EEXIST) {
    return error_of_errno();
  }
  struct stat info;
  const bool unproven = ::lstat(path(kMark).c_str(), &info) == 0;
  if (unproven) {
    if (auto deleted = delete_files(); !deleted) return std::unexpected(deleted.error());
  }
  const bool has_content = ::lstat(path(kFiles[0]).c_str(), &info) == 0;
  if (auto marked = set_mark(); !marked) return std::unexpected(marked.error());
  if (auto opened = open_environment(); !opened) return std::unexpected(opened.error());
  return unproven ? Found::unproven : has_content ? Found::content : Found::nothing;
}

Result<> LmdbStore::open_environment() {
  if (int error = ::mdb_env_create(&environment_)) return error_of_lmdb(error);
  ::mdb_env_set_maxdbs(environment_, kTables);
  ::mdb_env_set_mapsize(environment_, map_bytes_);
  if (int error = ::mdb_env_open(environment_, directory_.c_str(), kEnvironmentFlags, 0600)) {
    close();
    return error_of_lmdb(error);
  }
  MDB_envinfo info;
  ::mdb_env_info(environment_, &info);
  map_bytes_ = info.me_mapsize;  // an existing file may need more than was asked for
  Result<> good = check_file_size();
  if (good) good = open_tables();
  if (!good) close();
  return good;
}

/// A file that ends before its last page would end the process with SIGBUS.
Result<> LmdbStore::check_file_size() {
  MDB_envinfo info;
  MDB_stat statistics;
  int fd = -1;
  if (int error = ::mdb_env_info(environment_, &info)) return error_of_lmdb(error);
  if (int error = ::mdb_env_stat(environment_, &statistics)) return error_of_lmdb(error);
  if (int error = ::mdb_env_get_fd(environment_, &fd)) return error_of_lmdb(error);
  struct stat file;
  if (::fstat(fd, &file) != 0) return error_of_errno();
  const auto pages = static_cast<std::uint64_t>(file.st_size) / statistics.ms_psize;
  if (info.me_last_pgno >= pages) return std::unexpected(Error{Errc::corrupt, MDB_CORRUPTED});
  return {};
}

Result<> LmdbStore::open_tables() {
  Transaction transaction(environment_, 0);
  if (transaction.begun()) return error_of_lmdb(transaction.begun());
  for (std::size_t i = 0; i < kTables; ++i)
    if (int error = ::mdb_dbi_open(transaction, kTableNames[i], MDB_CREATE, &handles_[i])) return error_of_lmdb(error);
  if (int error = transaction.commit()) return error_of_lmdb(error);
  return {};
}

Result<> LmdbStore::commit(const std::vector<Write>& writes) {
  if (!environment_) return std::unexpected(Error{Errc::io});
  if (auto room = make_room(); !room) return room;
  for (;;) {
    const int error = try_commit(writes);
    if (error == 0) return {};
    if (error != MDB_MAP_FULL) return error_of_lmdb(error);
    if (auto grown = grow(); !grown) return grown;  // the transaction was aborted as a whole: nothing of it is lost, do it again
  }
}

int LmdbStore::try_commit(const std::vector<Write>& writes) {
  Transaction transaction(environment_, 0);
  if (transaction.begun()) return transaction.begun();
  for (const Write& write : writes) {
    MDB_val key = as_value(write.key.view());
    int error;
    if (write.value) {
      MDB_val value = as_value(write.value->view());
      error = ::mdb_put(transaction, handle(write.table), &key, &value, 0);
    } else {
      error = ::mdb_del(transaction, handle(write.table), &key, nullptr);
      if (error == MDB_NOTFOUND) error = 0;
    }
    if (error) return error;
  }
  return transaction.commit();
}

/// Grows the map before 70 % of it are in use: a commit rarely has to be made twice.
Result<> LmdbStore::make_room() {
  MDB_envinfo info;
  MDB_stat statistics;
  if (int error = ::mdb_env_info(environment_, &info)) return error_of_lmdb(error);
  if (int error = ::mdb_env_stat(environment_, &statistics)) return error_of_lmdb(error);
  const std::uint64_t used = (info.me_last_pgno + 1) * statistics.ms_psize;
  if (used <= map_bytes_ / 10 * 7 || map_bytes_ == options_.map_bytes_max) return {};
  return grow();
}

Result<> LmdbStore::grow() {
  const std::uint64_t larger = std::min(map_bytes_ * 2, options_.map_bytes_max);
  if (larger <= map_bytes_) return std::unexpected(Error{Errc::no_space, MDB_MAP_FULL});
  const int error = ::mdb_env_set_mapsize(environment_, larger);
  if (error == 0) {
    map_bytes_ = larger;
    return {};
  }
  // LMDB has given up the old map already. Without any map the environment is of no use.
  if (::mdb_env_set_mapsize(environment_, map_bytes_) != 0) {
    close();
    return std::unexpected(Error{Errc::io, error});
  }
  return error_of_lmdb(error);
}

Result<bool> LmdbStore::get(Table table, Bytes key_bytes, std::vector<std::byte>& value) {
  if (!environment_) return std::unexpected(Error{Errc::io});
  Transaction transaction(environment_, MDB_RDONLY);
  if (transaction.begun()) return error_of_lmdb(transaction.begun());
  MDB_val key = as_value(key_bytes), found;
  const int error = ::mdb_get(transaction, handle(table), &key, &found);
  if (error == MDB_NOTFOUND) return false;
  if (error) return error_of_lmdb(error);
  value.assign(as_bytes(found).begin(), as_bytes(found).end());
  return true;
}

Result<> LmdbStore::scan(Table table, Bytes after, RowVisitor& visitor) {
  if (!environment_) return std::unexpected(Error{Errc::io});
  Transaction transaction(environment_, MDB_RDONLY);
  if (transaction.begun()) return error_of_lmdb(transaction.begun());
  MDB_cursor* cursor = nullptr;
  if (int error = ::mdb_cursor_open(transaction, handle(table), &cursor)) return error_of_lmdb(error);
  MDB_val key = as_value(after), value;
  int error = ::mdb_cursor_get(cursor, &key, &value, after.empty() ? MDB_FIRST : MDB_SET_RANGE);
  if (error == 0 && !after.empty() && std::ranges::equal(as_bytes(key), after))
    error = ::mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  while (error == 0 && visitor.on_row(as_bytes(key), as_bytes(value))) error = ::mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  ::mdb_cursor_close(cursor);
  if (error != 0 && error != MDB_NOTFOUND) return error_of_lmdb(error);
  return {};
}

}  // namespace

std::unique_ptr<IndexStore> make_lmdb_store(std::string directory, const LmdbOptions& options) {
  return std::make_unique<LmdbStore>(std::move(directory), options);
}

Snapshot::State read_lmdb(const std::string& directory, TableVisitor& visitor) {
  using State = Snapshot::State;
  struct stat info;
  if (::lstat((directory + kMark).c_str(), &info) == 0) return State::unproven;
  if (::lstat((directory + kFiles[0]).c_str(), &info) != 0) return State::absent;
  if (!S_ISREG(info.st_mode)) return State::unreadable;
  MDB_env* environment = nullptr;
  if (::mdb_env_create(&environment) != 0) return State::unreadable;
  const std::unique_ptr<MDB_env, decltype(&::mdb_env_close)> closed(environment, &::mdb_env_close);
  ::mdb_env_set_maxdbs(environment, kTables);
  if (::mdb_env_open(environment, directory.c_str(), kEnvironmentFlags | MDB_RDONLY, 0600) != 0) return State::unreadable;
  const Transaction transaction(environment, MDB_RDONLY);
  if (transaction.begun()) return State::unreadable;
  for (std::size_t i = 0; i < kTables; ++i) {
    MDB_dbi handle = 0;
    const int error = ::mdb_dbi_open(transaction, kTableNames[i], 0, &handle);
    if (error == MDB_NOTFOUND) continue;
    MDB_cursor* cursor = nullptr;
    if (error != 0 || ::mdb_cursor_open(transaction, handle, &cursor) != 0) return State::unreadable;
    MDB_val key, value;
    int next = ::mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; next == 0; next = ::mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
      visitor.on_row(static_cast<Table>(i + 1), as_bytes(key), as_bytes(value));
    ::mdb_cursor_close(cursor);
    if (next != MDB_NOTFOUND) return State::unreadable;
  }
  return State::read;
}

}  // namespace ringpost::index
