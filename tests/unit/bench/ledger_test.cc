#include "bench/ledger.hh"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ringpost::bench {
namespace {

class LedgerFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ringpost-ledger.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = name + "/ledger";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() const {
    std::ifstream file{path_, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  void put(std::string_view text) const { std::ofstream{path_, std::ios::binary} << text; }

  std::filesystem::path folder_;
  std::string path_;
};

LedgerEntry entry() {
  return {.token = "run-1",
          .size = 4096,
          .hash = {0x1122334455667788, 0x99aabbccddeeff00},
          .recipients = 3,
          .at = WallTime{std::chrono::seconds(1'795'376'782) + std::chrono::microseconds(4'312)}};
}

TEST(Ledger, line_is_as_documented_and_reads_back) {
  std::string line;
  append_line(line, entry(), "received", 1);
  EXPECT_EQ(line, "run-1 4096 112233445566778899aabbccddeeff00 3 1795376782.004312 received=1\n");
  line.pop_back();
  auto back = parse_line(line);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->token, "run-1");
  EXPECT_EQ(back->size, 4096u);
  EXPECT_EQ(back->hash, entry().hash);
  EXPECT_EQ(back->recipients, 3u);
  EXPECT_EQ(back->at, entry().at);
}

TEST(Ledger, no_piece_of_a_line_is_a_line) {
  std::string line;
  append_line(line, entry(), "r", 1);
  line.pop_back();
  std::size_t whole = line.find('=');
  for (std::size_t size = 0; size < whole; ++size) EXPECT_FALSE(parse_line(line.substr(0, size))) << line.substr(0, size);
  EXPECT_FALSE(parse_line("run-1 -4 112233445566778899aabbccddeeff00 3 1.000000 r=1"));
  EXPECT_FALSE(parse_line("run-1 4 112233445566778899aabbccddeeff0 3 1.000000 r=1"));
  EXPECT_FALSE(parse_line("run-1 4 112233445566778899aabbccddeeff00 3 1.5 r=1"));
  EXPECT_FALSE(parse_line("run 1 4 112233445566778899aabbccddeeff00 3 1.000000 r=1"));
}

TEST_F(LedgerFileTest, lines_are_in_the_file_when_write_returns_and_are_appended) {
  {
    auto ledger = LedgerFile::open(path_);
    ASSERT_TRUE(ledger);
    ASSERT_TRUE(ledger->write("one\n"));
    EXPECT_EQ(content(), "one\n");
  }
  auto again = LedgerFile::open(path_);
  ASSERT_TRUE(again);
  ASSERT_TRUE(again->write("two\nthree\n"));
  EXPECT_EQ(content(), "one\ntwo\nthree\n");
}

TEST_F(LedgerFileTest, a_torn_last_line_is_cut_off) {
  put("one\ntorn");
  ASSERT_TRUE(LedgerFile::open(path_));
  EXPECT_EQ(content(), "one\n");
  put("torn");
  ASSERT_TRUE(LedgerFile::open(path_));
  EXPECT_EQ(content(), "");
  put("one\n" + std::string(10'000, 'x'));  // longer than a block
  ASSERT_TRUE(LedgerFile::open(path_));
  EXPECT_EQ(content(), "one\n");
}

TEST_F(LedgerFileTest, errors_are_values) {
  EXPECT_EQ(LedgerFile::open(path_ + "/none/here").error().code, Errc::not_found);
  auto full = LedgerFile::open("/dev/full");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->write("line\n").error().code, Errc::no_space);
}

TEST(Ledger, none_takes_everything) { EXPECT_TRUE(LedgerFile{}.write("line\n")); }

}  // namespace
}  // namespace ringpost::bench
