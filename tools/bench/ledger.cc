#include "bench/ledger.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace ringpost::bench {

namespace {

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits;
  auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
}

void append_time(std::string& out, WallTime at) {
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
  append_number(out, static_cast<std::uint64_t>(us / 1'000'000));
  out.push_back('.');
  std::string fraction = std::to_string(us % 1'000'000);
  out.append(6 - fraction.size(), '0').append(fraction);
}

std::string_view next_word(std::string_view& line) {
  std::size_t end = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

template <typename Integer>
bool read_number(std::string_view text, Integer& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_time(std::string_view text, WallTime& at) {
  std::int64_t seconds = 0, us = 0;
  std::size_t point = text.find('.');
  if (point == text.npos || text.size() != point + 7) return false;
  if (!read_number(text.substr(0, point), seconds) || !read_number(text.substr(point + 1), us) || seconds < 0 || us < 0)
    return false;
  at = WallTime{std::chrono::seconds(seconds) + std::chrono::microseconds(us)};
  return true;
}

std::unexpected<Error> last_error() { return std::unexpected(error_from_errno(errno)); }

/// Cuts the file behind its last newline.
Result<> cut_torn_line(int fd) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return last_error();
  if (!S_ISREG(info.st_mode)) return {};
  off_t size = info.st_size, keep = size;
  std::array<char, 4096> block;
  while (keep > 0) {
    auto want = static_cast<std::size_t>(std::min<off_t>(keep, block.size()));
    ssize_t got = ::pread(fd, block.data(), want, keep - static_cast<off_t>(want));
    if (got != static_cast<ssize_t>(want)) return got < 0 ? last_error() : std::unexpected(Error{Errc::io});
    std::size_t newline = std::string_view{block.data(), want}.rfind('\n');
    if (newline != std::string_view::npos) {
      keep -= static_cast<off_t>(want - newline - 1);
      break;
    }
    keep -= static_cast<off_t>(want);
  }
  if (keep != size && ::ftruncate(fd, keep) != 0) return last_error();
  return {};
}

}  // namespace

void append_line(std::string& out, const LedgerEntry& entry, std::string_view name, std::uint64_t value) {
  out.append(entry.token).push_back(' ');
  append_number(out, entry.size);
  out.append(1, ' ').append(entry.hash.hex()).push_back(' ');
  append_number(out, entry.recipients);
  out.push_back(' ');
  append_time(out, entry.at);
  out.append(1, ' ').append(name).push_back('=');
  append_number(out, value);
  out.push_back('\n');
}

std::optional<LedgerEntry> parse_line(std::string_view line) {
  LedgerEntry entry;
  entry.token = next_word(line);
  if (!is_token(entry.token)) return std::nullopt;  // "-" is one
  if (!read_number(next_word(line), entry.size)) return std::nullopt;
  auto hash = ContentHash::from_hex(next_word(line));
  if (!hash) return std::nullopt;
  entry.hash = *hash;
  if (!read_number(next_word(line), entry.recipients)) return std::nullopt;
  if (!read_time(next_word(line), entry.at)) return std::nullopt;
  if (line.find('=') == line.npos) return std::nullopt;
  return entry;
}

Result<LedgerFile> LedgerFile::open(const std::string& path) {
  LedgerFile file{::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644)};
  if (!file) return last_error();
  if (auto cut = cut_torn_line(file.fd_); !cut) return std::unexpected(cut.error());
  return file;
}

LedgerFile& LedgerFile::operator=(LedgerFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LedgerFile::~LedgerFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> LedgerFile::write(std::string_view lines) const {
  while (fd_ >= 0 && !lines.empty()) {
    ssize_t written = ::write(fd_, lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return last_error();
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace ringpost::bench
