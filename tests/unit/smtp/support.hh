// What the tests of this module share: cutting inputs, the corpus, the golden files.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp::testing {

using namespace std::string_literals;
using namespace std::string_view_literals;

/// The ways a test feeds one input: whole, cut in two at every point, and byte by byte. Each piece is copied to memory of its
/// own size, so that the sanitizers see a step over its end and nothing is held by accident.
inline void for_each_cut(std::string_view input, const std::function<void(const std::vector<std::string>&)>& use) {
  use({std::string(input)});
  for (std::size_t cut = 1; cut < input.size(); ++cut) {
    use({std::string(input.substr(0, cut)), std::string(input.substr(cut))});
  }
  std::vector<std::string> bytes;
  for (char c : input) bytes.emplace_back(1, c);
  use(bytes);
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

/// A file of the corpus; none when RINGPOST_CORPUS is unset (the caller skips). Set and absent is a failure.
inline std::optional<std::string> corpus_file(std::string_view name) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) return std::nullopt;
  return read_file(std::filesystem::path(root) / name);
}

inline std::string golden_file(std::string_view name) { return read_file(std::filesystem::path(RINGPOST_GOLDEN) / name); }

}  // namespace ringpost::smtp::testing
