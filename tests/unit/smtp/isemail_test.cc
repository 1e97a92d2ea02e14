// The isemail vectors decide what is a forward-path address.
#include "ringpost/smtp/address.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

void append_utf8(std::string& out, unsigned code) {
  if (code >= 0x2400 && code < 0x2400 + 0x20)
    out += static_cast<char>(code - 0x2400);  // the file's way to write controls
  else if (code < 0x80)
    out += static_cast<char>(code);
  else
    FAIL() << "a code point the vectors did not have: " << code;
}

/// The text of an element that holds no other: the entities and the character references resolved.
std::string xml_text(std::string_view raw) {
  std::string out;
  while (!raw.empty()) {
    if (raw.starts_with("\xe2\x90") && raw.size() >= 3) {  // U+2400 + n written out
      append_utf8(out, 0x2400 + (static_cast<unsigned char>(raw[2]) & 0x3fu));
      raw.remove_prefix(3);
      continue;
    }
    if (raw.front() != '&') {
      out += raw.front();
      raw.remove_prefix(1);
      continue;
    }
    std::string entity(raw.substr(1, raw.find(';') - 1));
    raw.remove_prefix(entity.size() + 2);
    if (entity == "amp")
      out += '&';
    else if (entity == "lt")
      out += '<';
    else if (entity == "gt")
      out += '>';
    else if (entity == "quot")
      out += '"';
    else if (entity.starts_with("#x"))
      append_utf8(out, static_cast<unsigned>(std::stoul(entity.substr(2), nullptr, 16)));
    else if (entity.starts_with("#"))
      append_utf8(out, static_cast<unsigned>(std::stoul(entity.substr(1))));
    else
      ADD_FAILURE() << "entity " << entity;
  }
  return out;
}

std::string element(std::string_view test, const std::string& name) {
  std::size_t begin = test.find("<" + name + ">"), end = test.find("</" + name + ">");
  if (begin == std::string_view::npos || end == std::string_view::npos) return "";
  begin += name.size() + 2;
  return xml_text(test.substr(begin, end - begin));
}

TEST(Attacks, A2_isemail_vectors_decide) {
  auto file = corpus_file("address-idna/isemail/tests.xml");
  if (!file) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  int accepted = 0, refused = 0;
  std::string_view rest = *file;
  for (std::size_t at; (at = rest.find("<test id=")) != std::string_view::npos;) {
    rest.remove_prefix(at);
    std::size_t end = rest.find("</test>");
    ASSERT_NE(end, std::string_view::npos);
    std::string_view test = rest.substr(0, end);
    rest.remove_prefix(end);
    std::string address = element(test, "address"), category = element(test, "category");
    bool expected = category == "ISEMAIL_VALID_CATEGORY" || category == "ISEMAIL_DNSWARN" || category == "ISEMAIL_RFC5321";
    EXPECT_EQ(parse_mailbox(address, Utf8::refused).ok(), expected) << test;
    EXPECT_EQ(parse_forward_path("<" + address + ">", Utf8::refused).ok(), expected) << test;
    ++(expected ? accepted : refused);
  }
  EXPECT_GE(accepted, 20);
  EXPECT_GE(refused, 40);
}

}  // namespace
}  // namespace ringpost::smtp
