#include "ringpost/base/log.hh"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <span>
#include <utility>

namespace ringpost {
namespace {

constexpr std::string_view kEllipsis = "...";
constexpr std::string_view kHexDigits = "0123456789abcdef";

struct Prefix {
  std::string_view plain;
  std::string_view journal;  // sd-daemon(3): syslog levels
};
constexpr std::array<Prefix, 4> kPrefixes{{{"error ", "<3>"}, {"warning ", "<4>"}, {"info ", "<6>"}, {"debug ", "<7>"}}};

bool stderr_is_journal() { return std::getenv("JOURNAL_STREAM") != nullptr; }

bool is_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

}  // namespace

/// One line under construction; text beyond the limit is cut and marked.
class LogLine {
 public:
  explicit LogLine(const PathNames& names) : names_(names) {}

  void add(std::string_view text) {
    std::size_t room = kTextMax - size_;
    if (text.size() > room) cut_ = true;
    text = text.substr(0, room);
    std::copy(text.begin(), text.end(), line_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += text.size();
  }

  void add_field(const LogField& field) {
    add(" ");
    add(field.key.text());
    add("=");
    add_value(field.value);
  }

  /// The finished line with its newline.
  std::span<const char> finish() {
    if (cut_) {
      std::copy(kEllipsis.begin(), kEllipsis.end(), line_.begin() + static_cast<std::ptrdiff_t>(size_));
      size_ += kEllipsis.size();
    }
    line_[size_++] = '\n';
    return {line_.data(), size_};
  }

 private:
  static constexpr std::size_t kTextMax = Log::kLineMax - kEllipsis.size() - 1;

  void add_value(const LogValue& value) {
    using Kind = LogValue::Kind;
    switch (value.kind_) {
      case Kind::literal: add_quoted(value.text_); break;
      case Kind::operator_text:
        if (names_.empty()) add_quoted(value.text_);
        else add_quoted(names_.readable(value.text_));
        break;
      case Kind::signed_number: add_number(static_cast<std::int64_t>(value.number_)); break;
      case Kind::unsigned_number: add_number(value.number_); break;
      case Kind::duration: add_duration(static_cast<std::int64_t>(value.number_)); break;
      case Kind::id: add_hex(static_cast<const std::byte*>(value.object_)); break;
      case Kind::ip: {
        char buffer[IpAddress::kTextMax];
        add(static_cast<const IpAddress*>(value.object_)->text(buffer));
        break;
      }
      case Kind::socket: {
        char buffer[SocketAddress::kTextMax];
        add_quoted(static_cast<const SocketAddress*>(value.object_)->text(buffer));
        break;
      }
      case Kind::error:
        add(value.text_);
        if (value.number_ != 0) {
          add("(");
          add_number(static_cast<std::int32_t>(value.number_));
          add(")");
        }
        break;
    }
  }

  template <typename Integer>
  void add_number(Integer number) {
    char digits[20];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    add(std::string_view{digits, end});
  }

  /// Milliseconds with three decimals: one unit everywhere, so that lines can be compared and summed.
  void add_duration(std::int64_t ns) {
    if (ns < 0) add("-");
    std::uint64_t us = (ns < 0 ? ~static_cast<std::uint64_t>(ns) + 1 : static_cast<std::uint64_t>(ns)) / 1000;
    add_number(us / 1000);
    std::uint64_t part = us % 1000;
    char decimals[] = {'.', static_cast<char>('0' + part / 100), static_cast<char>('0' + part / 10 % 10),
                       static_cast<char>('0' + part % 10)};
    add({decimals, sizeof decimals});
    add("ms");
  }

  void add_hex(const std::byte* id) {
    char digits[32];
    for (std::size_t i = 0; i < 16; ++i) {
      digits[2 * i] = kHexDigits[std::to_integer<unsigned>(id[i]) >> 4];
      digits[2 * i + 1] = kHexDigits[std::to_integer<unsigned>(id[i]) & 15];
    }
    add({digits, sizeof digits});
  }

  /// As it is when it is one plain word, else in quotes, with everything but printable ASCII escaped.
  void add_quoted(std::string_view text) {
    auto plain = [](char octet) { return octet > ' ' && octet <= '~' && octet != '"' && octet != '\\' && octet != '='; };
    if (!text.empty() && std::ranges::all_of(text, plain)) return add(text);
    add("\"");
    for (char octet : text) {
      if (octet == '"' || octet == '\\') {
        add({std::array{'\\', octet}.data(), 2});
      } else if (octet >= ' ' && octet <= '~') {
        add({&octet, 1});
      } else {
        auto value = static_cast<unsigned char>(octet);
        add({std::array{'\\', 'x', kHexDigits[value >> 4], kHexDigits[value & 15]}.data(), 4});
      }
    }
    add("\"");
  }

  const PathNames& names_;
  std::array<char, Log::kLineMax> line_;
  std::size_t size_ = 0;
  bool cut_ = false;
};

Log::Log(LogLevel level, LogStyle style, int fd)
    : level_(level),
      journal_(style == LogStyle::journal || (style == LogStyle::automatic && stderr_is_journal())),
      socket_(is_socket(fd)),
      fd_(fd) {}

void Log::write(LogLevel level, Literal text, Fields fields) {
  if (!enabled(level)) return;
  const Prefix& prefix = kPrefixes[static_cast<std::size_t>(level)];
  LogLine line{names_};
  line.add(journal_ ? prefix.journal : prefix.plain);
  line.add(text.text());
  for (const LogField& field : fields) line.add_field(field);
  std::span<const char> bytes = line.finish();

  // A reader of the log that stopped reading must not stop the server. Standard error is shared with other processes, so
  // it cannot be made non-blocking: a socket has a flag for one call, and a pipe that polls writable has room for a line.
  ssize_t written = -1;
  if (socket_) {
    written = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    pollfd writable{.fd = fd_, .events = POLLOUT, .revents = 0};
    if (::poll(&writable, 1, 0) == 1 && writable.revents == POLLOUT) written = ::write(fd_, bytes.data(), bytes.size());
  }
  if (written != static_cast<ssize_t>(bytes.size())) dropped_.fetch_add(1, std::memory_order_relaxed);
}

std::optional<std::uint64_t> LogLimit::admit(Instant now) {
  if (!refilled_) refilled_ = now;
  if (now > *refilled_ && interval_ > Duration::zero()) {
    auto earned = static_cast<std::uint64_t>((now - *refilled_) / interval_);
    *refilled_ += interval_ * static_cast<std::int64_t>(earned);
    tokens_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(burst_, tokens_ + earned));
  }
  if (tokens_ == 0) {
    ++suppressed_;
    return std::nullopt;
  }
  --tokens_;
  return std::exchange(suppressed_, 0);
}

}  // namespace ringpost
