// Our own messages and their indexes, written down. After a wanted change: RINGPOST_GOLDEN_WRITE=1 writes them anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support.hh"

namespace ringpost::mime {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(MimeGolden, messages_have_the_indexes_written_down) {
  std::size_t messages = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(RINGPOST_GOLDEN_MIME)) {
    if (entry.path().extension() != ".eml") continue;
    ++messages;
    const std::string message = testing::with_crlf(read(entry.path()));
    const std::string got = testing::describe(testing::index_of(message), message);
    const fs::path golden = fs::path(entry.path()).replace_extension(".index");
    if (std::getenv("RINGPOST_GOLDEN_WRITE") != nullptr) std::ofstream(golden, std::ios::binary) << got;
    EXPECT_EQ(got, read(golden)) << entry.path();
  }
  EXPECT_GE(messages, 5U);
}

}  // namespace
}  // namespace ringpost::mime
