#include "ringpost/smtp/submission_header.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

constexpr std::string_view kAdded = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <00000000000000000000000000000000@mx.test>\r\n";

/// What goes on, or the refusal's code: the content fed in pieces cut at `cuts`.
std::string read(std::string_view content, std::vector<std::size_t> cuts = {}) {
  SubmissionHeader header;
  std::string behind;
  std::size_t at = 0;
  cuts.push_back(content.size());
  for (std::size_t cut : cuts) {
    const std::string_view piece = content.substr(at, cut - at);
    at = cut;
    if (header.is_whole()) behind.append(piece);
    else header.feed(as_bytes(piece));
    if (header.is_whole() && behind.empty()) behind = header.rest();
  }
  if (!header.is_whole()) {
    header.finish();
    behind = header.rest();
  }
  if (header.refusal()) return std::to_string(header.refusal().code);
  return header.text({}, "mx.test", WallTime{}) + behind;
}

struct Case {
  std::string_view content, expected;
};

std::vector<Case> cases() {
  static const std::string with_body = "Subject: x\r\n" + std::string{kAdded} + "\r\nbody\r\n", none = std::string{kAdded} + "\r\nbody\r\n",
                           folded = "To: a,\r\n b\r\n\tc\r\n" + std::string{kAdded} + "\r\n: body\r\n",
                           empty = std::string{kAdded} + "\r\n", open = "Subject: x\r\n" + std::string{kAdded} + "\r\n",
                           half = "Subject: x\r\n" + std::string{kAdded} + "\r\nno end";
  return {{"Subject: x\r\n\r\nbody\r\n", with_body},
          {"Subject: x\r\nbody\r\n", with_body},
          {"body\r\n", none},
          {"\r\nbody\r\n", none},
          {"To: a,\r\n b\r\n\tc\r\n\r\n: body\r\n", folded},
          {"", empty},
          {"Subject: x\r\n", open},
          {"Subject: x", open},
          {"Subject: x\r\nno end", half},
          {"DATE: 1\r\nmessage-id : <a@b>\r\n\r\nx", "DATE: 1\r\nmessage-id : <a@b>\r\n\r\nx"},
          {"From: a@b\r\nFROM: c@d\r\n\r\n", "554"},
          {"Subject: a\r\nX: y\r\nsubject\t: b\r\n\r\n", "554"},
          {"Received: a\r\nReceived: b\r\nComments: c\r\nComments: d\r\nDate: 1\r\nMessage-ID: <a@b>\r\n\r\n",
           "Received: a\r\nReceived: b\r\nComments: c\r\nComments: d\r\nDate: 1\r\nMessage-ID: <a@b>\r\n\r\n"}};
}

TEST(SubmissionHeader, is_completed_and_judged_however_it_is_cut) {
  for (const Case& each : cases()) {
    EXPECT_EQ(read(each.content), each.expected) << each.content;
    for (std::size_t first = 0; first <= each.content.size(); ++first)
      for (std::size_t second = first; second <= each.content.size(); ++second)
        EXPECT_EQ(read(each.content, {first, second}), each.expected) << each.content << first << ' ' << second;
  }
}

TEST(SubmissionHeader, has_its_bound) {
  SubmissionHeader header;
  const std::string line = "X-Long: " + std::string(1000, 'a') + "\r\n";
  for (int i = 0; i < 300; ++i) header.feed(as_bytes(line));
  EXPECT_EQ(header.refusal().code, 554);
  EXPECT_FALSE(header.is_whole());
}

}  // namespace
}  // namespace ringpost::smtp
