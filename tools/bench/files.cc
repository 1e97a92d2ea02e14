#include "bench/files.hh"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <iterator>

namespace ringpost::bench {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (!file.is_open() || file.bad()) return std::nullopt;
  return text;
}

std::optional<std::string> require_file(const std::string& path) {
  auto text = read_file(path);
  if (!text) fmt::print(stderr, "ringpost-bench: cannot read {}\n", path);
  return text;
}

bool write_results(const std::string& path, std::string_view text) {
  if (path.empty()) return true;
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "we");
  bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file && file != stdout)
    written = std::fclose(file) == 0 && written;
  else if (file)
    written = std::fflush(file) == 0 && written;
  if (!written) fmt::print(stderr, "ringpost-bench: cannot write {}\n", path);
  return written;
}

}  // namespace ringpost::bench
