// Every message of the corpus, and what two other parsers say of some.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ringpost/base/prng.hh"
#include "support.hh"

namespace ringpost::mime {
namespace {

namespace fs = std::filesystem;
using testing::broken_invariant;
using testing::describe;
using testing::index_of;
using testing::index_of_pieces;
using testing::with_crlf;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class MimeCorpus : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("RINGPOST_CORPUS");
    if (root == nullptr) GTEST_SKIP() << "RINGPOST_CORPUS is not set: no corpus to read";
    const fs::path folder = fs::path(root) / "mime";
    ASSERT_TRUE(fs::is_directory(folder)) << folder;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) files_.push_back(entry.path());
    }
    std::ranges::sort(files_);
    ASSERT_GT(files_.size(), 900U);
  }
  std::vector<fs::path> files_;
};

TEST_F(MimeCorpus, every_file_keeps_the_invariants_in_any_split_and_after_reuse) {
  Indexer reused;
  Prng random(1);
  for (const fs::path& path : files_) {
    const std::string message = with_crlf(read(path));
    const Index whole = index_of(message);
    ASSERT_EQ(broken_invariant(whole, message.size()), "") << path << "\n" << describe(whole, message);

    reused.reset();
    reused.feed(as_bytes(message));
    ASSERT_EQ(reused.finish(), whole) << path;

    for (const std::uint64_t piece_max : {3U, 80U, 5000U}) {
      if (message.size() > 100'000 && piece_max == 3) continue;
      std::vector<std::size_t> cuts;
      for (std::size_t at = 1 + random.below(piece_max); at < message.size(); at += 1 + random.below(piece_max))
        cuts.push_back(at);
      ASSERT_EQ(index_of_pieces(message, cuts), whole) << path;
    }
  }
}

TEST_F(MimeCorpus, lf_and_crlf_give_the_same_parts_and_fields) {
  for (const fs::path& path : files_) {
    const std::string message = read(path);
    if (message.find('\r') != std::string::npos) continue;
    const Index lf = index_of(message);
    const Index crlf = index_of(with_crlf(message));
    if (lf.flags().has(Flag::header_too_long) || crlf.flags().has(Flag::header_too_long)) continue;
    ASSERT_EQ(lf.parts().size(), crlf.parts().size()) << path;
    ASSERT_EQ(lf.fields().size(), crlf.fields().size()) << path;
    ASSERT_EQ(lf.flags(), crlf.flags()) << path;
  }
}

struct Agreement {
  std::size_t compared = 0;
  std::size_t agreed = 0;
  std::string differing;

  void compare(const fs::path& path, std::size_t ours, std::size_t theirs) {
    ++compared;
    if (ours == theirs) {
      ++agreed;
    } else {
      differing += path.filename().string() + ": " + std::to_string(ours) + ", they " + std::to_string(theirs) + "\n";
    }
  }
};

void report(const Agreement& agreement) {
  ::testing::Test::RecordProperty("compared", static_cast<int>(agreement.compared));
  ::testing::Test::RecordProperty("agreed", static_cast<int>(agreement.agreed));
  std::printf("agreed on %zu of %zu\n%s", agreement.agreed, agreement.compared, agreement.differing.c_str());
}

/// The parts of a message as mail-parser counts them; a message inside has a list of its own.
std::size_t count_parts(const nlohmann::json& message) {
  std::size_t count = 0;
  for (const nlohmann::json& part : message.at("parts")) {
    ++count;
    const nlohmann::json& body = part.at("body");
    if (body.is_object() && body.contains("Message")) count += count_parts(body.at("Message"));
  }
  return count;
}

TEST_F(MimeCorpus, mail_parser_counts_the_same_parts_in_most_messages) {
  Agreement agreement;
  Agreement well_formed;
  for (const fs::path& path : files_) {
    const fs::path opinion = fs::path(path).replace_extension(".json");
    if (path.extension() != ".eml" || path.string().find("mail-parser") == std::string::npos || !fs::exists(opinion)) continue;
    const nlohmann::json json = nlohmann::json::parse(read(opinion), nullptr, false);
    if (!json.is_object() || !json.contains("parts")) continue;
    const Index index = index_of(read(path));
    agreement.compare(path, index.parts().size(), count_parts(json));
    // It looks into base64 messages too; we leave those opaque, and say so.
    const bool malformed = path.parent_path().filename() == "malformed" || index.flags().has(Flag::encoded_container);
    if (!malformed) well_formed.compare(path, index.parts().size(), count_parts(json));
  }
  report(agreement);
  EXPECT_GE(agreement.compared, 50U);
  EXPECT_GE(agreement.agreed * 100, agreement.compared * 84) << agreement.differing;  // measured: 45 of 53
  EXPECT_GE(well_formed.compared, 30U);
  EXPECT_EQ(well_formed.agreed, well_formed.compared) << well_formed.differing;
}

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

TEST_F(MimeCorpus, mime4j_counts_the_same_parts_in_most_messages) {
  Agreement agreement;
  for (const fs::path& path : files_) {
    const fs::path opinion = fs::path(path).replace_extension(".xml");
    if (path.extension() != ".msg" || !fs::exists(opinion)) continue;
    const std::string xml = read(opinion);
    agreement.compare(path, index_of(read(path)).parts().size(), occurrences(xml, "<message>") + occurrences(xml, "<body-part>"));
  }
  report(agreement);
  EXPECT_GE(agreement.compared, 30U);
  EXPECT_GE(agreement.agreed * 100, agreement.compared * 94) << agreement.differing;  // measured: 37 of 39
}

}  // namespace
}  // namespace ringpost::mime
