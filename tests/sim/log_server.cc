#include "log_server.hh"

#include <fcntl.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <charconv>

namespace ringpost::sim {

namespace {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kGroupRecords = 16;
constexpr std::size_t kChecked = kLogRecordBytes - 8;

/// The records are public; only crypto makes sealed bytes, and it has no part in this.
SealedBytes sealed(Bytes bytes) { return std::bit_cast<SealedBytes>(bytes); }

}  // namespace

LogRecord make_record(std::uint64_t number) {
  LogRecord record;
  record.fill(static_cast<std::byte>(number * 31));
  store_le(record.data(), number);
  store_le(record.data() + kChecked, XXH3_64bits(record.data(), kChecked));
  return record;
}

std::optional<std::uint64_t> record_number(Bytes record) {
  if (record.size() != kLogRecordBytes) return std::nullopt;
  if (load_le<std::uint64_t>(record.data() + kChecked) != XXH3_64bits(record.data(), kChecked)) return std::nullopt;
  return load_le<std::uint64_t>(record.data());
}

LogServer::LogServer(runtime::Ring& ring, const SocketAddress& address, const LogBugs& bugs)
    : ring_(ring),
      address_(address),
      bugs_(bugs),
      scope_(ring),
      work_(ring),
      decided_(ring),
      group_(*ring.make_io_buffer(kGroupRecords * kLogRecordBytes)) {}

void LogServer::start() {
  auto listener = ring_.listen(address_, runtime::SocketKind::stream, {});
  RP_ASSERT(listener);
  listener_ = *listener;
  acceptor_.emplace(ring_, listener_);
  scope_.spawn(accept_all());
  scope_.spawn(write_all());
}

void LogServer::stop() {
  stopping_ = true;
  work_.notify_all();
  scope_.spawn(close_listener());
}

Task<void> LogServer::close_listener() {
  co_await acceptor_->stop();
  (void)co_await ring_.close(listener_);
}

Task<void> LogServer::accept_all() {
  for (;;) {
    auto accepted = co_await acceptor_->next();
    if (accepted) {
      scope_.spawn(session(*accepted));
    } else if (accepted.error().code == Errc::cancelled) {
      co_return;
    } else {
      co_await ring_.sleep_for(milliseconds{10});
    }
  }
}

Task<void> LogServer::session(Fd socket) {
  {
    runtime::Receiver receiver(ring_, socket);
    Entry entry;
    std::size_t have = 0;
    bool going = true;
    while (going) {
      auto chunk = co_await receiver.next(ring_.now() + seconds{30});
      if (!chunk) break;
      while (going && !chunk->empty()) {
        const std::size_t part = std::min(chunk->bytes().size(), kLogRecordBytes - have);
        copy_bytes(MutableBytes{entry.record}.subspan(have), chunk->bytes().first(part));
        chunk->consume(part);
        have += part;
        if (have < kLogRecordBytes) continue;
        have = 0;
        entry.decided = entry.durable = false;
        waiting_.push_back(&entry);
        work_.notify_all();
        while (!entry.decided) (void)co_await decided_.wait();
        going = entry.durable;
        if (going) going = co_await acknowledge(socket, entry.record);
      }
    }
    co_await receiver.stop();
  }
  (void)co_await ring_.close(socket);
}

Task<bool> LogServer::acknowledge(Fd socket, const LogRecord& record) {
  Bytes rest = Bytes{record}.first(8);
  while (!rest.empty()) {
    auto sent = co_await ring_.send(socket, rest, ring_.now() + seconds{30});
    if (!sent) co_return false;
    rest = rest.subspan(*sent);
  }
  co_return true;
}

Task<void> LogServer::write_all() {
  auto directory = co_await ring_.open(kLogDirectory, O_RDONLY | O_DIRECTORY);
  while (!directory) {  // the disk has to come back some time
    co_await ring_.sleep_for(seconds{1});
    directory = co_await ring_.open(kLogDirectory, O_RDONLY | O_DIRECTORY);
  }
  directory_ = Fd{static_cast<int>(*directory)};
  while (!stopping_ || !waiting_.empty()) {
    if (waiting_.empty()) {
      (void)co_await work_.wait();
      continue;
    }
    std::vector<Entry*> batch;
    batch.swap(waiting_);
    if (batch.size() > kGroupRecords) {
      waiting_.assign(batch.begin() + kGroupRecords, batch.end());
      batch.resize(kGroupRecords);
    }
    for (std::size_t i = 0; i < batch.size(); ++i) copy_bytes(group_.subspan(i * kLogRecordBytes), batch[i]->record);
    bool durable = static_cast<bool>(file_);
    if (!durable) durable = co_await open_next_file();
    if (durable) durable = co_await write_batch(group_.first(batch.size() * kLogRecordBytes));
    if (bugs_.no_backlog_check) {
      batch.insert(batch.end(), waiting_.begin(), waiting_.end());
      waiting_.clear();
    }
    for (Entry* entry : batch) {
      entry->decided = true;
      entry->durable = durable;
    }
    decided_.notify_all();
    if (!durable && file_) {  // what this file holds is uncertain: never another record into it
      (void)co_await ring_.close(file_);
      file_ = {};
    }
  }
  if (file_) (void)co_await ring_.close(file_);
  (void)co_await ring_.close(directory_);
}

Task<bool> LogServer::open_next_file() {
  auto entries = ring_.list_directory(kLogDirectory);
  if (!entries) co_return false;
  std::uint64_t last = 0;
  for (const auto& entry : *entries) {
    std::uint64_t number = 0;
    std::from_chars(entry.name.data(), entry.name.data() + entry.name.size(), number);
    last = std::max(last, number);
  }
  const std::string path = std::string{kLogDirectory} + "/" + std::to_string(last + 1);
  auto opened = co_await ring_.open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_DIRECT);
  if (!opened) co_return false;
  file_ = Fd{static_cast<int>(*opened)};
  offset_ = 0;
  if (bugs_.no_directory_sync) co_return true;
  auto synced = co_await ring_.sync_all(directory_);
  co_return synced.has_value();
}

Task<bool> LogServer::write_batch(Bytes bytes) {
  const std::uint64_t offset = offset_;
  offset_ += bytes.size();
  if (bugs_.ignore_short_write || bugs_.ack_before_sync) {
    auto written = co_await ring_.write(file_, sealed(bytes), offset);
    if (!written || (!bugs_.ignore_short_write && *written != bytes.size())) co_return false;
    if (bugs_.ack_before_sync) co_return true;
    auto synced = co_await ring_.sync_data(file_);
    co_return synced.has_value();
  }
  auto outcome = co_await ring_.write_then_sync(file_, sealed(bytes), offset);
  if (!outcome.written || *outcome.written != bytes.size()) co_return false;
  if (!outcome.synced && bugs_.retry_sync) {
    auto again = co_await ring_.sync_data(file_);
    co_return again.has_value();
  }
  co_return outcome.synced.has_value();
}

}  // namespace ringpost::sim
