// How answers look in a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace ringpost::ctl {

/// Throws Failure.
nlohmann::json parse(std::string_view text);
void print_line(std::string_view line);
/// One `key value` a line, objects within indented.
void print_object(const nlohmann::json& object, const std::string& indent = {});
/// "1,234,567", "12.3 MB", "3 h 20 min".
std::string grouped(std::uint64_t number);
std::string bytes_text(double bytes);
std::string duration_text(std::uint64_t seconds);

}  // namespace ringpost::ctl
