#include "deliver/report_text.hh"

#include <algorithm>
#include <chrono>

namespace ringpost::deliver {

namespace {

constexpr std::size_t kFoldBytes = 76;

/// Bytes of the well-formed sequence `text` starts with (Unicode table 3-7); 0: there is none.
std::size_t sequence_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool refused = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
                       (lead == 0xf4 && second > 0x8f) || (lead == 0xc2 && second < 0xa0);  // the last: C1 controls
  return refused ? 0 : size;
}

}  // namespace

bool is_seven_bit(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = sequence_bytes(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string printable(std::string_view text, bool utf8_allowed, std::size_t bytes_max) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = sequence_bytes(text);
    const unsigned char c = static_cast<unsigned char>(text.front());
    const bool is_break = c == '\r' || c == '\n' || c == '\t' || c == ' ';
    if (out.size() + std::max<std::size_t>(size, 1) > bytes_max) break;
    if (is_break) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
    } else if (c >= 0x21 && c < 0x7f) {
      out.push_back(text.front());
    } else if (size > 1 && utf8_allowed) {
      out.append(text.substr(0, size));
    } else {
      out.push_back('?');
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  std::size_t column = name.size() + 2;
  bool first = true;
  while (!value.empty()) {
    const std::size_t end = std::min(value.find(' '), value.size());
    if (!first && column + 1 + end > kFoldBytes) {
      out.append("\r\n ");
      column = 1;
    } else if (!first) {
      out.push_back(' ');
      ++column;
    }
    out.append(value.substr(0, end));
    column += end;
    first = false;
    value.remove_prefix(std::min(end + 1, value.size()));
  }
  out.append("\r\n");
}

void append_quoted_printable(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
      out.append("\r\n");
      column = 0;
      ++i;
      continue;
    }
    const bool line_ends = i + 1 == text.size() || text[i + 1] == '\r';
    const bool is_plain = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !line_ends);
    const std::size_t needed = is_plain ? 1 : 3;
    if (column + needed > kFoldBytes - 1) {
      out.append("=\r\n");
      column = 0;
    }
    if (is_plain) out.push_back(static_cast<char>(c));
    else out.append({'=', kDigits[c >> 4], kDigits[c & 15]});
    column += needed;
  }
}

std::string mail_date(WallTime time) {
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::seconds>(time - day)};
  const auto two = [](auto value) {
    const auto number = static_cast<unsigned>(value);
    return std::string{static_cast<char>('0' + number / 10 % 10), static_cast<char>('0' + number % 10)};
  };
  std::string out{kDays[std::chrono::weekday{day}.c_encoding()]};
  out.append(", ").append(two(static_cast<unsigned>(date.day()))).append(" ");
  out.append(kMonths[static_cast<unsigned>(date.month()) - 1]).append(" ").append(std::to_string(static_cast<int>(date.year())));
  out.append(" ").append(two(clock.hours().count())).append(":").append(two(clock.minutes().count()));
  return out.append(":").append(two(clock.seconds().count())).append(" +0000");
}

std::string hex_text(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::byte byte : bytes) out.append({kDigits[std::to_integer<unsigned>(byte) >> 4], kDigits[std::to_integer<unsigned>(byte) & 15]});
  return out;
}

}  // namespace ringpost::deliver
