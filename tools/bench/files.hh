// Whole files in, results out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringpost::bench {

/// Everything in the file. Nothing: it cannot be read.
std::optional<std::string> read_file(const std::string& path);
/// As above; standard error says when there is nothing.
std::optional<std::string> require_file(const std::string& path);

/// Writes `text` to the file, or to standard output for "-"; no path, no file. False: standard error has said why.
bool write_results(const std::string& path, std::string_view text);

}  // namespace ringpost::bench
