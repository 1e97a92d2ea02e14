// What the indexer finds in small messages, well formed and not.
#include "ringpost/mime/index.hh"

#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::mime {
namespace {

using testing::flag_names;
using testing::index_of;
using testing::with_crlf;

std::string_view text_at(std::string_view message, Extent extent) { return Source{.bytes = as_bytes(message)}.text(extent); }
std::string_view body_of(std::string_view message, const Part& part) {
  return message.substr(part.body_begin, part.body_end - part.body_begin);
}

TEST(MimeIndex, plain_message_has_one_part_and_its_fields) {
  const std::string message = "From: a@example.com\r\nSubject: one\r\n two\r\nReceived: x\r\nreceived: y\r\n\r\nHello\r\n";
  const Index index = index_of(message);
  ASSERT_EQ(index.parts().size(), 1U);
  ASSERT_EQ(index.fields().size(), 4U);
  EXPECT_EQ(text_at(message, index.fields()[1].name()), "Subject");
  EXPECT_EQ(text_at(message, index.fields()[1].value()), " one\r\n two");
  EXPECT_EQ(body_of(message, index.parts()[0]), "Hello\r\n");
  EXPECT_EQ(index.count(HeaderId::received), 2U);
  EXPECT_EQ(index.count("RECEIVED", Source{.bytes = as_bytes(message)}), 2U);
  EXPECT_EQ(index.find(HeaderId::bcc), nullptr);
  EXPECT_EQ(flag_names(index.flags()), "");
}

TEST(MimeIndex, header_field_finds_unlisted_names_in_any_case) {
  const std::string message = "X-One: 1\r\nx-two: 2\r\n\r\n";
  const Index index = index_of(message);
  const Source source{.bytes = as_bytes(message)};
  const Field* field = index.header_field("X-Two", source);
  ASSERT_NE(field, nullptr);
  EXPECT_EQ(source.text(field->value()), " 2");
  EXPECT_EQ(index.header_field("X-Three", source), nullptr);
}

TEST(MimeIndex, source_gives_nothing_outside_its_stretch) {
  const Source source{.bytes = as_bytes("header"), .begin = 10};
  EXPECT_EQ(source.text({10, 6}), "header");
  EXPECT_EQ(source.text({9, 3}), "");
  EXPECT_EQ(source.text({12, 5}), "");
  EXPECT_EQ(source.text({100, 1}), "");
}

TEST(MimeIndex, multipart_bodies_leave_the_line_end_to_the_delimiter) {
  for (const std::string_view line_end : {"\n", "\r\n"}) {
    std::string message =
        "Content-Type: multipart/mixed; boundary=\"b 1\"\n\npreamble\n--b 1\n\none\n--b 1 \t\nContent-Type: IMAGE/Gif; "
        "name=x.gif\n"
        "Content-Transfer-Encoding: Base64\nContent-Disposition: attachment; filename=\"y z.gif\"\n\nR0lG\n\n--b 1--\nepilogue\n";
    if (line_end == "\r\n") message = with_crlf(message);
    const Index index = index_of(message);
    ASSERT_EQ(index.parts().size(), 3U);
    const Part& root = index.parts()[0];
    EXPECT_EQ(root.body, Body::multipart);
    EXPECT_EQ(text_at(message, root.boundary), "b 1");
    EXPECT_EQ(body_of(message, index.parts()[1]), "one");
    const Part& image = index.parts()[2];
    EXPECT_EQ(image.type, MediaType::image);
    EXPECT_EQ(image.encoding, Encoding::base64);
    EXPECT_EQ(image.disposition, Disposition::attachment);
    EXPECT_EQ(text_at(message, image.name), "x.gif");
    EXPECT_EQ(text_at(message, image.filename), "y z.gif");
    EXPECT_EQ(body_of(message, image), "R0lG" + std::string(line_end));
    EXPECT_EQ(flag_names(index.flags()), "");
    EXPECT_EQ(testing::broken_invariant(index, message.size()), "");
  }
}

TEST(MimeIndex, message_rfc822_nests_and_digest_children_are_messages) {
  const std::string message = with_crlf(
      "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: first\n\nbody 1\n--d\nContent-Type: text/plain\n\nno "
      "message\n"
      "--d\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\ninner\n--i--\n--d--\n");
  const Index index = index_of(message);
  ASSERT_EQ(index.parts().size(), 7U);
  EXPECT_EQ(index.parts()[1].body, Body::message);
  EXPECT_EQ(index.parts()[2].parent, 1);
  EXPECT_EQ(body_of(message, index.parts()[2]), "body 1");
  EXPECT_NE(index.find(HeaderId::subject, 2), nullptr);
  EXPECT_EQ(index.parts()[3].body, Body::leaf);
  EXPECT_EQ(index.parts()[4].body, Body::message);
  EXPECT_EQ(index.parts()[5].body, Body::multipart);
  EXPECT_EQ(index.parts()[6].depth, 3);
  EXPECT_EQ(body_of(message, index.parts()[6]), "inner");
  EXPECT_EQ(flag_names(index.flags()), "");
}

struct Oddity {
  std::string_view what;
  std::string_view message;
  std::size_t parts;
  std::string_view flags;
};

class MimeOddities : public ::testing::TestWithParam<Oddity> {};

TEST_P(MimeOddities, set_flags_and_keep_the_rest) {
  const std::string message = with_crlf(GetParam().message);
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), GetParam().parts) << testing::describe(index, message);
  EXPECT_EQ(flag_names(index.flags()), GetParam().flags) << testing::describe(index, message);
  EXPECT_EQ(testing::broken_invariant(index, message.size()), "");
}

using namespace std::string_view_literals;
INSTANTIATE_TEST_SUITE_P(
    Table, MimeOddities,
    ::testing::Values(
        Oddity{"empty", "", 1, ""}, Oddity{"only an empty line", "\n", 1, ""}, Oddity{"no body", "A: b\n", 1, ""},
        Oddity{"no line end", "A: b", 1, ""}, Oddity{"no header", "just text\nmore\n", 1, "no_colon"},
        Oddity{"colon first", ": x\n\n", 1, "no_colon"}, Oddity{"space before colon", "From : x\n\n", 1, "space_before_colon"},
        Oddity{"space in name", "Fr om: x\n\n", 1, "no_colon"}, Oddity{"leading fold", " x\nA: b\n\n", 1, "leading_fold"},
        Oddity{"mbox", "From me Mon Jan 1\nA: b\n\n", 1, "mbox_from"}, Oddity{"nul in value", "A: b\0c\n\n"sv, 1, "nul"},
        Oddity{"nul in name", "A\0B: c\n\n"sv, 1, "no_colon nul"}, Oddity{"8-bit value", "A: \xc3\xa4\n\n", 1, "eight_bit"},
        Oddity{"no boundary", "Content-Type: multipart/mixed\n\n--x\n\n--x--\n", 1, "no_boundary"},
        Oddity{"empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\n----\n", 1, "no_boundary"},
        Oddity{"missing end", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n", 2, "missing_end"},
        Oddity{"never begun", "Content-Type: multipart/mixed; boundary=x\n\na\n", 1, "missing_end"},
        Oddity{"header only", "Content-Type: multipart/mixed; boundary=x\n", 1, "missing_end"},
        Oddity{"outer ends inner",
               "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\na\n--x--\n",
               3, "missing_end"},
        Oddity{"two empty parts", "Content-Type: multipart/mixed; boundary=x\n\n--x\n--x\n--x--\n", 3, "header_cut"},
        Oddity{"no empty line before the delimiter", "Content-Type: multipart/mixed; boundary=x\n--x\n\na\n--x--\n", 2,
               "no_colon"},
        Oddity{"delimiter with junk", "Content-Type: multipart/mixed; boundary=x\n\n--xyz\n\na\n--x--\n", 2, "boundary_junk"},
        Oddity{"delimiter in the epilogue", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n--x\n\n", 2, ""},
        Oddity{"two types", "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\n", 1,
               "duplicate_content_type"},
        Oddity{"two encodings", "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\n", 1,
               "duplicate_encoding"},
        Oddity{"two dispositions", "Content-Disposition: inline\nContent-Disposition: attachment\n\n", 1,
               "duplicate_disposition"},
        Oddity{"two boundaries", "Content-Type: multipart/mixed; boundary=x; boundary=y\n\n--y\n--x\n\n--x--\n", 2,
               "duplicate_parameter"},
        Oddity{"no subtype", "Content-Type: text\n\n", 1, "bad_content_type"},
        Oddity{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTog\n", 1,
               "encoded_container"},
        Oddity{"encoded multipart",
               "Content-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64\n\n--x\n\na\n--x--\n", 2,
               "encoded_container"},
        Oddity{"message without header", "Content-Type: message/rfc822\n\ntext only\n", 2, "no_colon"},
        Oddity{"message after a bad line", "Content-Type: message/rfc822\ntext only\n", 2, "no_colon"},
        Oddity{"continued boundary", "Content-Type: multipart/mixed; boundary*1=\"b\"; boundary*0=a\n\n--ab\n\nx\n--ab--\n", 2,
               ""},
        Oddity{"folded type", "Content-Type: multipart/mixed;\n\tboundary=\n  \"x\"\n\n--x\n\na\n--x--\n", 2, ""},
        Oddity{"comments", "Content-Type: (a (b) \\) c) multipart (d) / mixed ; (e;) boundary=x\n\n--x\n\na\n--x--\n", 2, ""},
        Oddity{"message/partial and external-body are leaves",
               "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/partial\n\nA: b\n--x\nContent-Type: "
               "message/external-body\n\nA: b\n--x--\n",
               3, ""}),
    [](const auto& info) {
      std::string name(info.param.what);
      for (char& c : name) c = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
      return name;
    });

TEST(MimeIndex, longest_open_boundary_wins_when_one_begins_like_the_other) {
  const std::string message = with_crlf(
      "Content-Type: multipart/mixed; boundary=foo\n\n--foo\nContent-Type: multipart/mixed; "
      "boundary=foobar\n\n--foobar\n\ninner\n"
      "--foobar--\n--foo\n\nouter\n--foo--\n");
  const Index index = index_of(message);
  ASSERT_EQ(index.parts().size(), 4U);
  EXPECT_EQ(body_of(message, index.parts()[2]), "inner");
  EXPECT_EQ(index.parts()[3].parent, 0);
  EXPECT_EQ(flag_names(index.flags()), "");
}

TEST(MimeIndex, equal_boundaries_belong_to_the_innermost) {
  const std::string message = with_crlf(
      "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; "
      "boundary=x\n\n--x\n\na\n--x--\n--x\n\nb\n--x--\n");
  const Index index = index_of(message);
  ASSERT_EQ(index.parts().size(), 4U);
  EXPECT_EQ(index.parts()[2].parent, 1);
  EXPECT_EQ(index.parts()[3].parent, 0);
}

TEST(MimeHeader, every_listed_name_is_found_in_any_case) {
  EXPECT_EQ(header_id("RECEIVED"), HeaderId::received);
  EXPECT_EQ(header_id("content-transfer-encoding"), HeaderId::content_transfer_encoding);
  EXPECT_EQ(header_id("Tls-Required"), HeaderId::tls_required);
  EXPECT_EQ(header_id("Receive"), HeaderId::other);
  EXPECT_EQ(header_id(""), HeaderId::other);
}

}  // namespace
}  // namespace ringpost::mime
