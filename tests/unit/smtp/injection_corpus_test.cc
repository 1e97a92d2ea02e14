// The published end-of-data variants, each with its only right answer.
#include <nlohmann/json.hpp>

#include "ringpost/smtp/data_decoder.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    auto value = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"sv.find(c);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

struct Verdict {
  std::size_t ended_at = 0;  ///< bytes up to the end; 0: it did not end
  bool refused = false;
};

Verdict decode(const std::vector<std::string>& pieces) {
  DataDecoder decoder;
  Verdict verdict;
  std::size_t consumed = 0;
  for (std::string piece : pieces) {
    for (MutableBytes input = std::as_writable_bytes(std::span{piece}); !input.empty() && verdict.ended_at == 0;) {
      auto step = decoder.next(input);
      consumed += step.consumed;
      input = input.subspan(step.consumed);
      if (step.end) verdict.ended_at = consumed;
    }
  }
  verdict.refused = bool(decoder.refusal());
  return verdict;
}

TEST(Attacks, E1_E30_published_end_of_data_variants) {
  auto file = corpus_file("smtp-injection/end-of-data-variants.json");
  if (!file) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  auto variants = nlohmann::json::parse(*file);
  ASSERT_GE(variants.size(), 10u);
  for (const auto& variant : variants) {
    std::string bytes = from_base64(variant["bytes_b64"].get<std::string>()), expected = variant["expected"].get<std::string>();
    std::string message = "Subject: x\r\n\r\ntext" + bytes + "MAIL FROM:<a@b>\r\n\r\n.\r\n";
    std::size_t at_variant = std::string("Subject: x\r\n\r\ntext").size() + bytes.rfind("\r\n.\r\n") + 5;
    for_each_cut(message, [&](const std::vector<std::string>& pieces) {
      Verdict verdict = decode(pieces);
      if (expected.starts_with("NOT end of data")) {
        ASSERT_EQ(verdict.ended_at, message.size()) << variant["id"];
        ASSERT_TRUE(verdict.refused) << variant["id"];
      } else if (expected.starts_with("message may end at the true CRLF.CRLF, but is refused")) {
        ASSERT_EQ(verdict.ended_at, at_variant) << variant["id"];
        ASSERT_TRUE(verdict.refused) << variant["id"];
      } else if (expected.starts_with("end of data")) {
        ASSERT_EQ(verdict.ended_at, at_variant) << variant["id"];
        ASSERT_FALSE(verdict.refused) << variant["id"];
      } else {
        ASSERT_TRUE(expected.starts_with("not end of data; ordinary text")) << expected;
        ASSERT_EQ(verdict.ended_at, message.size()) << variant["id"];
        ASSERT_FALSE(verdict.refused) << variant["id"];
      }
    });
  }
}

}  // namespace
}  // namespace ringpost::smtp
