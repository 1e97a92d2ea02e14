#include "print.hh"

#include <cstdio>

#include "server.hh"

namespace ringpost::ctl {

using nlohmann::json;

json parse(std::string_view text) {
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) throw Failure{kNotAsked, "the server sent what is no JSON"};
  return value;
}

void print_line(std::string_view line) { std::printf("%.*s\n", static_cast<int>(line.size()), line.data()); }

void print_object(const json& object, const std::string& indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      std::printf("%s%s:\n", indent.c_str(), key.c_str());
      print_object(value, indent + "  ");
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        std::printf("%s%s %zu:\n", indent.c_str(), key.c_str(), i);
        print_object(value[i], indent + "  ");
      }
    } else {
      std::string text = value.is_string() ? value.get<std::string>() : value.is_null() ? "-" : value.dump();
      std::printf("%s%-28s %s\n", indent.c_str(), key.c_str(), text.c_str());
    }
  }
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit) bytes /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

std::string duration_text(std::uint64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 86'400) return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
  return std::to_string(seconds / 86'400) + " d " + std::to_string(seconds / 3600 % 24) + " h";
}

}  // namespace ringpost::ctl
