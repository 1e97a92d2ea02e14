#include "ringpost/base/utc_time.hh"

#include <algorithm>
#include <cstdio>

namespace ringpost {

std::string format_utc(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  char text[64];
  const int size = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02ld:%02ld:%02ldZ", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 static_cast<long>(clock.hours().count()), static_cast<long>(clock.minutes().count()),
                                 static_cast<long>(clock.seconds().count()));
  return {text, static_cast<std::size_t>(size)};
}

std::optional<std::chrono::sys_seconds> parse_utc(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (kForm[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != kForm[i]) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    for (char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year{number(0, 4)}, std::chrono::month{static_cast<unsigned>(number(5, 2))},
                                         std::chrono::day{static_cast<unsigned>(number(8, 2))}};
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || number(0, 4) < 1970 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} + std::chrono::seconds{second};
}

std::optional<std::chrono::sys_seconds> parse_date_time(std::string_view text) {
  constexpr std::size_t kPlainBytes = 19;  // "2026-11-22T18:35:15"
  if (text.size() <= kPlainBytes) return std::nullopt;
  std::string plain{text.substr(0, kPlainBytes)};
  std::string_view rest = text.substr(kPlainBytes);
  std::chrono::seconds more{};
  if (plain[10] == 't') plain[10] = 'T';
  if (plain.ends_with(":60")) {
    plain.replace(kPlainBytes - 2, 2, "59");
    more = std::chrono::seconds{1};
  }
  if (rest.front() == '.') {
    const std::size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    if (end == 1) return std::nullopt;
    if (rest.substr(1, end - 1).find_first_not_of('0') != rest.npos && more == std::chrono::seconds{}) more = std::chrono::seconds{1};
    rest.remove_prefix(end);
  }
  std::chrono::minutes ahead{};
  if (rest != "Z" && rest != "z") {
    // The same digits as a time of day, for they have the same bounds.
    if (rest.size() != 6 || (rest.front() != '+' && rest.front() != '-')) return std::nullopt;
    const auto offset = parse_utc("1970-01-01T" + std::string{rest.substr(1)} + ":00Z");
    if (!offset) return std::nullopt;
    ahead = std::chrono::duration_cast<std::chrono::minutes>(offset->time_since_epoch());
    if (rest.front() == '-') ahead = -ahead;
  }
  const auto time = parse_utc(plain + "Z");
  return time ? std::optional{*time + more - ahead} : std::nullopt;
}

}  // namespace ringpost
