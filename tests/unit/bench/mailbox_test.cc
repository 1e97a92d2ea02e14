#include "bench/mailbox.hh"

#include <gtest/gtest.h>

namespace ringpost::bench {
namespace {

TEST(Mailbox, lines_end_with_crlf) {
  EXPECT_EQ(with_crlf("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd\r\n");
  EXPECT_EQ(with_crlf("\n\r\r\n"), "\r\n\r\n\r\n");
}

TEST(Mailbox, mbox_is_split_at_from_lines_behind_empty_ones) {
  Messages found = split_mbox(
      "From a@example.org Sat Nov 28 2026\nSubject: one\n\nbody\nFrom there\n\n>From quoted\n>>From twice\n\n"
      "From b@example.org Sat Nov 28 2026\r\nSubject: two\r\n\r\nlast without newline");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], "Subject: one\r\n\r\nbody\r\nFrom there\r\n\r\nFrom quoted\r\n>From twice\r\n");
  EXPECT_EQ(found[1], "Subject: two\r\n\r\nlast without newline\r\n");
}

TEST(Mailbox, what_is_no_mbox_has_no_messages) {
  EXPECT_TRUE(split_mbox("").empty());
  EXPECT_TRUE(split_mbox("Subject: one\n\nbody\n").empty());
}

}  // namespace
}  // namespace ringpost::bench
