#include "ringpost/auditd/journal.hh"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "ringpost/config/configuration.hh"

namespace ringpost::auditd {

namespace {

constexpr std::string_view kPrefix = "audit-", kSuffix = ".jsonl";
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kLineBytesMax = 4096;
constexpr std::string_view kMarksCounts = "{\"marks\":\"counts\"", kMarksEnd = "{\"marks\":\"end\"}";

std::string file_name(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string{kPrefix} + std::string(8 - std::min<std::size_t>(8, digits.size()), '0') + digits + std::string{kSuffix};
}

std::optional<std::uint64_t> number_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return number;
}

/// The value behind `"key":` in one of our own lines: to the next comma or brace, quotes taken off. Empty when absent.
std::string_view field(std::string_view line, std::string_view key) {
  std::string quoted = "\"" + std::string{key} + "\":";
  std::size_t at = line.find(quoted);
  if (at == std::string_view::npos) return {};
  std::string_view value = line.substr(at + quoted.size());
  value = value.substr(0, value.find_first_of(",}"));
  if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
  return value;
}

}  // namespace

Journal::Journal(runtime::Ring& ring, Log& log, std::string directory, std::uint64_t file_bytes_max)
    : ring_(ring), log_(log), directory_(std::move(directory)), file_bytes_max_(file_bytes_max) {
  ring_.random(incarnation_.bytes);
}

runtime::Task<Result<>> Journal::open() {
  auto opened = co_await ring_.open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) co_return std::unexpected(opened.error());
  directory_fd_ = Fd{static_cast<int>(*opened)};
  auto lock = co_await ring_.open("lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, directory_fd_);
  if (!lock) co_return std::unexpected(lock.error());
  lock_fd_ = Fd{static_cast<int>(*lock)};
  auto locked = ring_.lock_file(lock_fd_);
  if (!locked) co_return std::unexpected(locked.error());

  auto entries = ring_.list_directory(directory_);
  if (!entries) co_return std::unexpected(entries.error());
  std::vector<std::uint64_t> numbers;
  for (const auto& entry : *entries)
    if (auto number = number_of(entry.name)) numbers.push_back(*number);
  std::sort(numbers.rbegin(), numbers.rend());
  // A file whose marks never became whole says nothing yet; the one before it does.
  for (std::uint64_t number : numbers) {
    number_ = std::max(number_, number);
    auto read = co_await read_marks(number);
    if (read) break;
    if (read.error().code != Errc::corrupt) co_return std::unexpected(read.error());
    log_.warning("the newest audit file was begun and not finished, reading the one before", {{"file", number}});
  }
  co_return co_await begin_file();
}

// The whole lines of one file, up to the first that is damaged: after a crash that is the end of what was synced. All of it is
// written back and synced now: a predecessor may have died between writing and syncing, or after a sync that failed, and then the
// page cache shows as clean what the disk never got. Errors: corrupt: it does not begin with whole marks.
runtime::Task<Result<>> Journal::read_marks(std::uint64_t number) {
  std::string name = file_name(number);
  auto opened = co_await ring_.open(name.c_str(), O_RDWR | O_NOFOLLOW, 0, directory_fd_);
  if (!opened) co_return std::unexpected(opened.error());
  Fd file{static_cast<int>(*opened)};
  std::vector<std::byte> block(kReadBytes);
  std::string carry;
  std::uint64_t offset = 0, counts = 0;
  bool marked = false, damaged = false;
  std::map<IncarnationId, std::uint64_t> before = marks_;
  Result<> outcome;
  while (!damaged) {
    auto read = co_await ring_.read(file, block, offset);
    if (!read) outcome = std::unexpected(read.error());
    if (!read || *read == 0) break;
    outcome = co_await write_all(file, Bytes{block}.first(*read), offset);
    if (!outcome) break;
    offset += *read;
    carry.append(as_text(Bytes{block}.first(*read)));
    std::size_t begin = 0;
    for (std::size_t end; !damaged && (end = carry.find('\n', begin)) != std::string::npos; begin = end + 1) {
      std::string_view line = std::string_view{carry}.substr(begin, end - begin);
      if (line == kMarksEnd) marked = true;
      else damaged = !take_line(line);
      if (!damaged) counts += line.size() + 1;
    }
    carry.erase(0, begin);
    damaged = damaged || carry.size() > kLineBytesMax;
  }
  if (damaged || !carry.empty())
    log_.warning("an audit file ends in a line that a crash tore, or is damaged", {{"file", number}, {"counts_bytes", counts}});
  if (outcome && marked) {
    auto synced = co_await ring_.sync_data(file);
    if (!synced) outcome = std::unexpected(synced.error());
  }
  (void)co_await ring_.close(file);
  if (!outcome) co_return outcome;
  left_[number] = marked ? counts : 0;
  if (marked) co_return outcome;
  marks_ = before;
  co_return std::unexpected(Error{Errc::corrupt});
}

/// False when it is no line of ours.
bool Journal::take_line(std::string_view line) {
  if (!line.starts_with("{\"") || !line.ends_with('}') || line.contains('\0')) return false;
  if (line.starts_with(kMarksCounts)) return true;
  auto incarnation = id_from_hex<IncarnationId>(field(line, "incarnation"));
  std::string_view digits = field(line, "sequence");
  std::uint64_t sequence = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), sequence);
  if (!incarnation || error != std::errc{} || end != digits.data() + digits.size()) return false;
  std::uint64_t& mark = marks_[*incarnation];
  mark = std::max(mark, sequence);
  return true;
}

runtime::Task<Result<>> Journal::begin_file() {
  if (file_) {
    left_[number_] = size_;
    (void)co_await ring_.close(std::exchange(file_, {}));
  }
  std::string name = file_name(++number_);
  auto opened = co_await ring_.open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, directory_fd_);
  if (!opened) co_return std::unexpected(opened.error());
  file_ = Fd{static_cast<int>(*opened)};
  size_ = 0;
  auto written = co_await write_opening(name);
  if (written) {
    left_.clear();
  } else {
    // Nothing is in it, and a full disk must not fill with such.
    if (file_) (void)co_await ring_.close(std::exchange(file_, {}));
    (void)co_await ring_.unlink(name.c_str(), directory_fd_);
    left_.erase(number_);
  }
  co_return written;
}

// What counts before this file, and how far each incarnation has come.
runtime::Task<Result<>> Journal::write_opening(const std::string& name) {
  for (const auto& [number, bytes] : left_)
    buffer_ += std::string{kMarksCounts} + ",\"file\":" + std::to_string(number) + ",\"bytes\":" + std::to_string(bytes) + "}\n";
  for (const auto& [incarnation, sequence] : marks_)
    buffer_ += "{\"marks\":\"of\",\"incarnation\":\"" + hex(incarnation) + "\",\"sequence\":" + std::to_string(sequence) + "}\n";
  buffer_ += std::string{kMarksEnd} + "\n";
  auto flushed = co_await flush();
  if (!flushed) co_return flushed;
  auto named = co_await ring_.sync_all(directory_fd_);
  if (!named) co_return std::unexpected(named.error());
  co_return Result<>{};
}

runtime::Task<Result<>> Journal::write_all(Fd file, Bytes bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    auto written = co_await ring_.write_public(file, bytes, offset);
    if (!written) co_return std::unexpected(written.error());
    offset += *written;
    bytes = bytes.subspan(*written);
  }
  co_return Result<>{};
}

// Writes the buffer and syncs it. After an error nothing more goes into the file: a failed sync may have lost what the page cache
// still shows, and a part of the buffer may be in it. The next file says that this part does not count.
runtime::Task<Result<>> Journal::flush() {
  const std::uint64_t end = size_ + buffer_.size();
  Result<> outcome = co_await write_all(file_, as_bytes(buffer_), size_);
  if (outcome) {
    auto synced = co_await ring_.sync_data(file_);
    if (!synced) outcome = std::unexpected(synced.error());
  }
  buffer_.clear();
  if (outcome) {
    size_ = end;
  } else {
    left_[number_] = size_;
    (void)co_await ring_.close(std::exchange(file_, {}));
  }
  co_return outcome;
}

runtime::Task<Result<std::uint64_t>> Journal::append(const event::Batch& batch) {
  auto found = marks_.find(batch.incarnation());
  std::uint64_t mark = found == marks_.end() ? 0 : found->second;
  if (batch.last_sequence() <= mark) co_return batch.last_sequence();
  if (!file_ || size_ >= file_bytes_max_) {
    auto begun = co_await begin_file();
    if (!begun) co_return std::unexpected(begun.error());
  }
  std::uint64_t own_before = own_sequence_;
  // Sequences begin at 1: what is missing in front of the first batch ever seen is missing, too.
  if (batch.first_sequence() > mark + 1) {
    log_.error("audit events are missing", {{"incarnation", batch.incarnation()}, {"first", mark + 1}});
    event::Event gap{.kind = event::Kind::audit_gap};
    gap.source = batch.incarnation();
    gap.first = mark + 1;
    gap.count = batch.first_sequence() - mark - 1;
    add_own(gap);
  }
  batch.for_each([&](const event::Event& event, Bytes) {
    if (event.stamp.sequence <= mark) return;
    event::append_json(event, buffer_, &config::key_name);
    buffer_ += '\n';
  });
  auto flushed = co_await flush();
  if (!flushed) {
    own_sequence_ = own_before;
    co_return std::unexpected(flushed.error());
  }
  marks_[batch.incarnation()] = batch.last_sequence();
  co_return batch.last_sequence();
}

void Journal::add_own(event::Event event) {
  event.stamp = {incarnation_, ++own_sequence_, ring_.wall_now(), event::Process::auditd, 0};
  event::append_json(event, buffer_, &config::key_name);
  buffer_ += '\n';
}

runtime::Task<Result<>> Journal::note(event::Event event) {
  if (!file_) {
    auto begun = co_await begin_file();
    if (!begun) co_return begun;
  }
  add_own(event);
  auto flushed = co_await flush();
  if (!flushed) --own_sequence_;
  co_return flushed;
}

runtime::Task<void> Journal::close() {
  for (Fd* fd : {&file_, &lock_fd_, &directory_fd_}) {
    if (*fd) (void)co_await ring_.close(*fd);
    *fd = {};
  }
}

}  // namespace ringpost::auditd
