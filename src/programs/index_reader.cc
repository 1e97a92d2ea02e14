#include "programs/index_reader.hh"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "ringpost/harden/process.hh"
#include "ringpost/harden/sandbox.hh"

namespace ringpost::programs {

namespace {

// On the pipe, for each row: table u8 (kEnd: the state instead), bytes of the key u8, 0 u16, bytes of the value u32; key; value.
constexpr std::size_t kHeadBytes = 8;
constexpr std::uint8_t kEnd = 0xff;
constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr rlim_t kProcessorSeconds = 600;

/// The child's side: rows into the pipe.
class IntoPipe final : public index::TableVisitor {
 public:
  explicit IntoPipe(int pipe) : pipe_(pipe) {}

  void on_row(index::Table table, Bytes key, Bytes value) override {
    if (key.size() > index::RowKey::kBytesMax) return;  // none of ours, so the sums will not fit
    head(static_cast<std::uint8_t>(table), static_cast<std::uint8_t>(key.size()), static_cast<std::uint32_t>(value.size()));
    buffer_.insert(buffer_.end(), key.begin(), key.end());
    buffer_.insert(buffer_.end(), value.begin(), value.end());
    if (buffer_.size() >= kPieceBytes) flush();
  }
  void end(index::Snapshot::State state) {
    head(kEnd, static_cast<std::uint8_t>(state), 0);
    flush();
  }

 private:
  void head(std::uint8_t table, std::uint8_t key_bytes, std::uint32_t value_bytes) {
    std::array<std::byte, kHeadBytes> bytes{std::byte{table}, std::byte{key_bytes}};
    store_le(bytes.data() + 4, value_bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  void flush() {
    for (Bytes rest = buffer_; !rest.empty();) {
      const ssize_t written = ::write(pipe_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) ::_exit(1);
      rest = rest.subspan(static_cast<std::size_t>(written));
    }
    buffer_.clear();
  }

  int pipe_;
  std::vector<std::byte> buffer_;
};

[[noreturn]] void read_into(int pipe, const std::string& directory, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  if (pipe != 3) ::dup2(pipe, 3);
  ::close_range(4, ~0u, 0);                                     // locks, sockets: none of its business
  const rlimit patience{kProcessorSeconds, kProcessorSeconds};  // a damaged file may lead in a circle
  ::setrlimit(RLIMIT_CPU, &patience);
  static_cast<void>(harden::forbid_core_dumps());
  const harden::PathRule rule{directory, harden::Access::read};
  static_cast<void>(harden::restrict_paths({&rule, 1}));
  static_cast<void>(harden::restrict_calls(harden::Role::helper));
  IntoPipe rows(3);
  rows.end(index::read_lmdb(directory, rows));
  ::_exit(0);
}

}  // namespace

std::expected<IndexReader, std::string> IndexReader::start(const std::string& directory) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(std::string{"pipe: "} + std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) read_into(ends[1], directory, parent);
  ::close(ends[1]);
  if (child > 0) return IndexReader{child, ends[0]};
  ::close(ends[0]);
  return std::unexpected(std::string{"fork: "} + std::strerror(errno));
}

IndexReader::IndexReader(IndexReader&& other) noexcept
    : process_(std::exchange(other.process_, -1)), pipe_(std::exchange(other.pipe_, -1)) {}

IndexReader::~IndexReader() {
  if (pipe_ >= 0) ::close(pipe_);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);  // it ends with its pipe
}

runtime::Task<index::Snapshot> IndexReader::collect(runtime::Ring& ring) {
  index::Snapshot snapshot{.state = index::Snapshot::State::unreadable, .rows = {}};
  std::vector<std::byte> pending, piece(kPieceBytes);
  bool complete = false;
  for (;;) {
    Result<std::uint32_t> read = co_await ring.read(Fd{pipe_}, piece, 0);
    if (!read || *read == 0) break;
    pending.insert(pending.end(), piece.begin(), piece.begin() + *read);
    Bytes rest = pending;
    while (rest.size() >= kHeadBytes && !complete) {
      const auto table = std::to_integer<std::uint8_t>(rest[0]);
      const auto key_bytes = std::to_integer<std::size_t>(rest[1]);
      const std::size_t value_bytes = load_le<std::uint32_t>(rest.data() + 4);
      if (table == kEnd) {
        complete = true;
        snapshot.state = static_cast<index::Snapshot::State>(key_bytes);
        break;
      }
      if (rest.size() < kHeadBytes + key_bytes + value_bytes) break;
      const Bytes key = rest.subspan(kHeadBytes, key_bytes), value = rest.subspan(kHeadBytes + key_bytes, value_bytes);
      snapshot.rows.push_back({static_cast<index::Table>(table), {key.begin(), key.end()}, {value.begin(), value.end()}});
      rest = rest.subspan(kHeadBytes + key_bytes + value_bytes);
    }
    pending.erase(pending.begin(), pending.end() - static_cast<std::ptrdiff_t>(rest.size()));
  }
  co_return snapshot;
}

}  // namespace ringpost::programs
