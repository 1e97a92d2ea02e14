#include "ringpost/keyd/store.hh"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "ringpost/base/assert.hh"
#include "ringpost/keyd/event_file.hh"
#include "ringpost/runtime/small_file.hh"

namespace ringpost::keyd {

using keys::protocol::Status;
using runtime::Task;

namespace {

constexpr char kKeystoreName[] = "keystore";
constexpr char kKeystoreNewName[] = "keystore.new";
constexpr char kLockName[] = "lock";
constexpr std::uint32_t kModeBits = 07777;
constexpr std::uint32_t kKekMode = 0400;
/// A daemon that was killed lets go of its lock a moment later.
constexpr Duration kLockPatience = std::chrono::seconds{5};
constexpr Duration kLockRetry = std::chrono::milliseconds{50};
constexpr std::int64_t kDaySeconds = 86400;

/// "0644", for the log.
class ModeText {
 public:
  explicit ModeText(std::uint32_t mode) { std::snprintf(text_.data(), text_.size(), "%04o", mode & kModeBits); }
  OperatorText text() const { return {text_.data()}; }

 private:
  std::array<char, 8> text_{};
};

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Store::Store(runtime::Ring& ring, Log& log, EventSink& events, StoreOptions options)
    : ring_(ring),
      log_(log),
      events_(events),
      options_(std::move(options)),
      idle_(ring),
      plaintext_(kKeystoreBytesMax),
      file_(kKeystoreBytesMax + 1) {}

Task<void> Store::acquire() {
  while (busy_) co_await idle_.wait();
  busy_ = true;
}

void Store::release() {
  busy_ = false;
  idle_.notify_one();
}

Task<void> Store::close() {
  co_await acquire();
  open_ = false;
  table_.clear();
  kek_->clear();
  for (Fd* fd : {&lock_, &directory_}) {
    if (!*fd) continue;
    Result<std::uint32_t> closed = co_await ring_.close(std::exchange(*fd, Fd{}));
    static_cast<void>(closed);  // the descriptor is gone either way
  }
  release();
}

// ---- opening

Task<Status> Store::open(bool may_create) {
  co_await acquire();
  kek_created_ = store_created_ = false;
  Status status = Status::ok;
  if (!open_) status = co_await try_open(may_create);
  if (status != Status::ok) {
    table_.clear();
    kek_->clear();
  }
  open_ = status == Status::ok;
  release();
  co_return status;
}

Task<Status> Store::try_open(bool may_create) {
  vacant_ = false;
  Status status = co_await open_directory();
  if (status == Status::ok) status = check_filesystem();
  if (status != Status::ok) co_return status;
  status = co_await lock();
  if (status != Status::ok) co_return status;

  bool has_kek = false;
  std::size_t bytes = 0;
  status = co_await load_kek(has_kek);
  if (status != Status::ok) co_return status;
  status = co_await load_keystore(bytes);
  if (status != Status::ok) co_return status;
  const bool has_keystore = bytes > 0;

  if (has_kek && has_keystore) {
    // A predecessor may have died, or failed, between the rename and the sync of the directory: nobody may rely on keys that a
    // power cut takes away.
    Result<std::uint32_t> durable = co_await ring_.sync_all(directory_);
    if (!durable) {
      log_.error("the key directory cannot be synced", {{"directory", OperatorText{options_.directory}}, {"why", durable.error()}});
      co_return Status::keystore_io;
    }
    status = open_keystore(Bytes{file_}.first(bytes), *kek_, plaintext_.bytes(), table_);
    if (status != Status::ok)
      log_.error("the key store does not open", {{"why", status}, {"directory", OperatorText{options_.directory}}});
    else
      co_await events_.store_opened(directory_, event_file_key(*kek_));
    co_return status;
  }
  vacant_ = !has_keystore;
  if (has_keystore || !may_create) co_return has_kek ? Status::keystore_missing : Status::kek_missing;
  if (!has_kek) status = co_await create_kek();
  if (status == Status::ok) {
    co_await events_.store_opened(directory_, event_file_key(*kek_));  // the new KEK's event is durable before anything is sealed under it
    status = co_await create_keystore();
  }
  vacant_ = vacant_ && status != Status::ok;
  co_return status;
}

/// Opens the directory, once, and looks at what was opened.
Task<Status> Store::open_directory() {
  const OperatorText name{options_.directory};
  if (!directory_) {
    // A launcher may hand it over open, when its parents are closed to us; that name is a link of the kernel's own.
    const bool is_handed_over = options_.directory.starts_with("/proc/self/fd/");
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_handed_over ? 0 : O_NOFOLLOW);
    Result<std::uint32_t> opened = co_await ring_.open(options_.directory.c_str(), flags);
    if (!opened) {
      log_.error("the key directory cannot be opened", {{"directory", name}, {"why", opened.error()}});
      const bool is_other = opened.error().detail == ELOOP || opened.error().detail == ENOTDIR;
      co_return is_other ? Status::directory_unsafe : Status::keystore_io;
    }
    directory_ = Fd{static_cast<int>(*opened)};
  }
  const Result<runtime::FileInfo> info = ring_.file_info(directory_);
  if (info && info->is_directory && info->owner == options_.user && (info->mode & 077) == 0) co_return Status::ok;
  if (info)
    log_.error("the key directory must be this user's and mode 0700",
               {{"directory", name}, {"mode", ModeText{info->mode}.text()}, {"owner", info->owner}, {"user", options_.user}});
  else
    log_.error("the key directory cannot be looked at", {{"directory", name}, {"why", info.error()}});
  Result<std::uint32_t> closed = co_await ring_.close(std::exchange(directory_, Fd{}));
  static_cast<void>(closed);  // opened anew the next time
  co_return Status::directory_unsafe;
}

/// Whoever steals or copies the spool's disk must not get the keys with it.
Status Store::check_filesystem() {
  const Result<runtime::DiskInfo> spool = ring_.disk_info(options_.spool_directory);
  const Result<runtime::DiskInfo> store = ring_.disk_info(options_.directory);
  const Result<runtime::DiskInfo> kek = ring_.disk_info(parent_of(options_.kek_file));
  const bool apart = spool && store && kek && store->device != spool->device && kek->device != spool->device;
  if (apart) return Status::ok;
  const OperatorText keys{options_.directory}, mail{options_.spool_directory};
  if (options_.allow_same_filesystem) {
    if (std::exchange(told_same_filesystem_, true)) return Status::ok;
    log_.warning("keys lie on the spool's filesystem, as keys.allow_same_filesystem permits: a stolen disk gives both",
                 {{"keys", keys}, {"spool", mail}});
    return Status::ok;
  }
  if (!spool || !store || !kek)
    log_.error("cannot tell whether keys and mail are on different filesystems", {{"keys", keys},
                                                                                  {"spool", mail},
                                                                                  {"why", !spool   ? spool.error()
                                                                                          : !store ? store.error()
                                                                                                   : kek.error()}});
  else
    log_.error("keys and mail lie on one filesystem: move keys.directory, or set keys.allow_same_filesystem = yes",
               {{"keys", keys}, {"spool", mail}});
  return Status::same_filesystem;
}

Task<Status> Store::lock() {
  if (lock_) co_return Status::ok;
  Result<std::uint32_t> opened = co_await ring_.open(kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600, directory_);
  if (!opened) co_return Status::keystore_io;
  const Fd file{static_cast<int>(*opened)};
  const Instant deadline = ring_.now() + (std::exchange(lock_waited_, true) ? Duration{} : kLockPatience);
  for (;;) {
    const Result<> locked = ring_.lock_file(file);
    if (locked) break;
    if (locked.error().code == Errc::busy && ring_.now() < deadline) {
      co_await ring_.sleep_for(kLockRetry);
      continue;
    }
    log_.error("the key directory is in use by another ringpost-keyd: stop that one, or give this one a keys.directory of its own",
               {{"directory", OperatorText{options_.directory}}, {"why", locked.error()}});
    Result<std::uint32_t> closed = co_await ring_.close(file);
    static_cast<void>(closed);
    co_return Status::locked;
  }
  lock_ = file;
  co_return Status::ok;
}

Task<Status> Store::load_kek(bool& found) {
  const OperatorText name{options_.kek_file};
  Result<std::uint32_t> opened = co_await ring_.open(options_.kek_file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  found = opened.has_value();
  if (!opened) {
    if (opened.error().code == Errc::not_found) co_return Status::ok;
    log_.error("the key-encryption key cannot be opened", {{"file", name}, {"why", opened.error()}});
    const bool is_unsafe = opened.error().code == Errc::permission || opened.error().detail == ELOOP;  // a symbolic link
    co_return is_unsafe ? Status::kek_unsafe : Status::keystore_io;
  }
  const Fd file{static_cast<int>(*opened)};
  const Result<runtime::FileInfo> info = ring_.file_info(file);
  Status status = Status::ok;
  if (!info || !info->is_regular || (info->mode & kModeBits) != kKekMode || info->owner != options_.user || info->links != 1) {
    status = Status::kek_unsafe;
    if (info)
      log_.error("the key-encryption key must be a regular file of this user with mode 0400 and one name",
                 {{"file", name},
                  {"mode", ModeText{info->mode}.text()},
                  {"owner", info->owner},
                  {"user", options_.user},
                  {"names", info->links}});
    else
      log_.error("the key-encryption key cannot be looked at", {{"file", name}, {"why", info.error()}});
  } else {
    const MutableBytes buffer = plaintext_.bytes().first(kKekFileBytesMax + 1);
    Result<std::size_t> size = co_await runtime::read_whole(ring_, file, buffer);
    std::optional<Key256> kek;
    if (size) kek = parse_kek(buffer.first(*size));
    wipe(buffer);
    if (kek) {
      *kek_ = std::move(*kek);
    } else if (size) {
      status = Status::kek_unusable;
      log_.error("the key-encryption key must be 32 bytes, or 64 hexadecimal digits", {{"file", name}, {"bytes", *size}});
    } else {
      status = Status::keystore_io;
      log_.error("the key-encryption key cannot be read", {{"file", name}, {"why", size.error()}});
    }
  }
  Result<std::uint32_t> closed = co_await ring_.close(file);
  static_cast<void>(closed);
  co_return status;
}

/// Reads the file whole into file_; no bytes: there is none.
Task<Status> Store::load_keystore(std::size_t& bytes) {
  Result<std::uint32_t> opened = co_await ring_.open(kKeystoreName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0, directory_);
  if (!opened && opened.error().code == Errc::not_found) co_return Status::ok;
  Result<std::size_t> size = std::unexpected(opened ? Error{Errc::io} : opened.error());
  if (opened) {
    const Fd file{static_cast<int>(*opened)};
    size = co_await runtime::read_whole(ring_, file, file_);
    Result<std::uint32_t> closed = co_await ring_.close(file);
    static_cast<void>(closed);
  }
  if (!size) {
    log_.error("the key store cannot be read", {{"directory", OperatorText{options_.directory}}, {"why", size.error()}});
    co_return Status::keystore_io;
  }
  bytes = *size;
  if (bytes > 0) co_return Status::ok;
  log_.error("the key store is empty: restore it", {{"directory", OperatorText{options_.directory}}});
  co_return Status::keystore_damaged;
}

// ---- creating and rewriting

Task<Status> Store::create_kek() {
  if (parent_of(options_.kek_file) != options_.directory) co_return Status::kek_missing;  // from elsewhere: not ours to make
  ring_.random(kek_->mutable_view());
  const std::string temporary = options_.kek_file + ".new";
  Result<std::uint32_t> removed = co_await ring_.unlink(temporary.c_str());
  static_cast<void>(removed);  // a start that was cut short may have left one
  Result<std::uint32_t> step =
      co_await ring_.open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kKekMode);
  if (step) {
    const Fd file{static_cast<int>(*step)};
    // The one key that stands in clear: everything else is sealed under it, and what guards it is where it lies.
    step = co_await ring_.write_public(file, kek_->view(), 0);
    if (step && *step != kek_->view().size()) step = std::unexpected(Error{Errc::no_space});
    if (step) step = co_await ring_.sync_all(file);
    Result<std::uint32_t> closed = co_await ring_.close(file);
    static_cast<void>(closed);
    if (step) step = co_await ring_.rename(temporary.c_str(), options_.kek_file.c_str());
    if (step) step = co_await ring_.sync_all(directory_);
  }
  if (!step) {
    log_.error("the key-encryption key cannot be written", {{"file", OperatorText{options_.kek_file}}, {"why", step.error()}});
    co_return Status::keystore_io;
  }
  kek_created_ = true;
  const KekId id = kek_id(*kek_);
  log_.warning("created a key-encryption key: back it up apart from the spool, without it no mail can be read",
               {{"file", OperatorText{options_.kek_file}}, {"kek", id}});
  events_.key_event(event::Kind::kek_created, id);
  co_return Status::ok;
}

Task<Status> Store::create_keystore() {
  ring_.random(table_.store.bytes);
  ring_.random(table_.metadata_key().mutable_view());
  ring_.random(table_.address_hash_key().mutable_view());
  Result<> written = co_await rewrite();
  if (!written) co_return Status::keystore_io;
  store_created_ = true;
  log_.info("created a key store", {{"store", table_.store}, {"directory", OperatorText{options_.directory}}});
  co_return Status::ok;
}

/// Writes the table as a new file and puts it in the old one's place.
Task<Result<>> Store::rewrite() {
  crypto::Nonce nonce;
  ring_.random(nonce);
  ++table_.revision;
  const std::size_t bytes = keystore_bytes(table_.scope_keys().size());
  const SealedBytes sealed = seal_keystore(table_, *kek_, nonce, plaintext_.bytes(), MutableBytes{file_}.first(bytes));
  Result<> replaced = co_await runtime::replace_whole(ring_, directory_, kKeystoreName, kKeystoreNewName, sealed);
  if (!replaced)
    log_.error("the key store cannot be written", {{"directory", OperatorText{options_.directory}}, {"why", replaced.error()}});
  co_return replaced;
}

Task<Result<KeyId>> Store::key_for(keys::Scope scope, keys::KeyClass key_class) {
  co_await acquire();
  Result<KeyId> result = std::unexpected(Error{Errc::unavailable});
  if (open_) {
    const auto now_s = std::chrono::floor<std::chrono::seconds>(ring_.wall_now()).time_since_epoch().count();
    const auto day = static_cast<std::uint32_t>(std::max<std::int64_t>(now_s, 0) / kDaySeconds);
    if (const ScopeKey* key = table_.find(scope, key_class, day)) {
      result = key->id;
    } else if (table_.is_full()) {
      log_.error("the key store is full", {{"keys", kScopeKeysMax}});
      result = std::unexpected(Error{Errc::limit});
    } else {
      ScopeKey made{.scope = scope, .key_class = key_class, .day = day, .created_s = now_s};
      ring_.random(made.id.bytes);
      ring_.random(made.key.mutable_view());
      const KeyId id = made.id;
      table_.add(std::move(made));
      Result<> written = co_await rewrite();
      if (written) {
        result = id;
        log_.info("created a scope key", {{"key", id}, {"day", day}});
        events_.key_event(event::Kind::key_created, id);
        co_await events_.settled();
      } else {
        table_.drop_last();
      }
    }
  }
  release();
  co_return result;
}

}  // namespace ringpost::keyd
