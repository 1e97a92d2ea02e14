#include "ringpost/smtp/address.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;
using enum AddressFault;

AddressFault mailbox(std::string_view text, Utf8 utf8 = Utf8::refused) { return parse_mailbox(text, utf8).fault; }

TEST(Address, a_mailbox_is_split_into_views_of_what_was_sent) {
  Path path = parse_reverse_path("<Joe.Q@Example.ORG> SIZE=1", Utf8::refused);
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path.kind, Path::Kind::mailbox);
  EXPECT_EQ(path.mailbox.local, "Joe.Q");
  EXPECT_EQ(path.mailbox.domain, "Example.ORG");
  EXPECT_EQ(path.address(), "Joe.Q@Example.ORG");
  EXPECT_EQ(path.size, 19u);
  EXPECT_FALSE(path.mailbox.quoted || path.mailbox.literal || path.mailbox.utf8 || path.source_route);
}

TEST(Address, the_null_sender_is_for_reverse_paths_only) {
  Path path = parse_reverse_path("<>", Utf8::refused);
  EXPECT_TRUE(path.ok() && path.null_sender());
  EXPECT_EQ(path.address(), "");
  EXPECT_EQ(path.size, 2u);
  EXPECT_EQ(parse_forward_path("<>", Utf8::refused).fault, syntax);
}

TEST(Address, postmaster_needs_no_domain_in_a_forward_path) {
  Path path = parse_forward_path("<PostMaster> X", Utf8::refused);
  EXPECT_TRUE(path.ok());
  EXPECT_EQ(path.kind, Path::Kind::postmaster);
  EXPECT_EQ(path.address(), "PostMaster");
  EXPECT_EQ(path.size, 12u);
  EXPECT_EQ(parse_reverse_path("<postmaster>", Utf8::refused).fault, no_domain);
  EXPECT_EQ(parse_forward_path("<postmasters>", Utf8::refused).fault, no_domain);
}

TEST(Address, a_source_route_is_read_and_left_out) {
  Path path = parse_forward_path("<@one.example,@two.example:u@three.example>", Utf8::refused);
  ASSERT_TRUE(path.ok());
  EXPECT_TRUE(path.source_route);
  EXPECT_EQ(path.address(), "u@three.example");
  for (auto text : {"<@one:>", "<@one,two:u@x>", "<@one u@x>", "<@:u@x>", "<@one,@two>", "<@[1.2.3.4]:u@x>"}) {
    EXPECT_FALSE(parse_forward_path(text, Utf8::refused).ok()) << text;
  }
}

TEST(Address, paths_that_do_not_fit_the_grammar) {
  for (auto text :
       {"",       "a@b",     "<a@b",     "< a@b>",  "<a@b >",     "<a @b>",    "<a@ b>",  "<<a@b>>",      "<a@b@c>", "<@>",
        "<a@>",   "<@b>",    "<.a@b>",   "<a.@b>",  "<a..b@c>",   "<a@b.>",    "<a@.b>",  "<a@b..c>",     "<a@b_c>", "<a@-b>",
        "<a@b->", "<a,b@c>", "<a(c)@b>", "<\"a@b>", "<\"a\"b@c>", "<a\\@b@c>", "<a@b\r>", "<a@[1.2.3.4>", "<a@[]>",  "[a@b]"}) {
    EXPECT_FALSE(parse_reverse_path(text, Utf8::allowed).ok()) << text;
    EXPECT_FALSE(parse_forward_path(text, Utf8::allowed).ok()) << text;
  }
}

TEST(Address, address_literals) {
  for (auto text :
       {"[1.2.3.4]", "[255.255.255.255]", "[IPv6:::]", "[IPv6:::1]", "[ipv6:2001:db8::1]", "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1::]",
        "[IPv6:1:2:3:4:5:6:1.2.3.4]", "[IPv6:::ffff:1.2.3.4]", "[IPv6:::1.2.3.4]", "[IPv6:1:2:3:4:5:6::]"}) {
    EXPECT_EQ(parse_address_literal(text), none) << text;
  }
  for (auto text : {"[]",
                    "[1.2.3]",
                    "[1.2.3.4.5]",
                    "[256.1.1.1]",
                    "[1.2.3.4",
                    "[1.2.3.-4]",
                    "[1.2.3.4567]",
                    "[1..3.4]",
                    "[1.2.3.4 ]",
                    "[IPv6:]",
                    "[IPv6::1]",
                    "[IPv6:1]",
                    "[IPv6:1:2:3:4:5:6:7]",
                    "[IPv6:1:2:3:4:5:6:7:8:9]",
                    "[IPv6:1:2:3:4:5:6:7::]",
                    "[IPv6:12345::]",
                    "[IPv6:1::2::3]",
                    "[IPv6:1:::2]",
                    "[IPv6:1:2:3:4:5:6:7:]",
                    "[IPv6:g::]",
                    "[IPv6:1:2:3:4:5:1.2.3.4]",
                    "[IPv6:1:2:3:4:5::1.2.3.4]",
                    "[IPv6:1.2.3.4]",
                    "[IPv6:::1.2.3.4.5]",
                    "[2001:db8::1]"}) {
    EXPECT_EQ(parse_address_literal(text), bad_literal) << text;
  }
  EXPECT_EQ(parse_address_literal("[Tag:x]"), unsupported_literal);
  EXPECT_EQ(parse_address_literal("[1.2.3.4]x"), syntax);
}

TEST(Address, refusals_name_the_side_that_is_wrong) {
  EXPECT_FALSE(sender_refusal(none));
  EXPECT_EQ(sender_refusal(syntax).enhanced, (EnhancedCode{5, 1, 7}));
  EXPECT_EQ(recipient_refusal(syntax).enhanced, (EnhancedCode{5, 1, 3}));
  for (int fault = 1; fault <= static_cast<int>(utf8_not_allowed); ++fault) {
    Reply reply = recipient_refusal(static_cast<AddressFault>(fault));
    EXPECT_TRUE(reply.code == 501 || reply.code == 553) << fault;
    EXPECT_EQ(reply.enhanced.klass, 5);
  }
}

TEST(Attacks, C15_helo_names) {
  for (auto text :
       {"mx.example.org", "localhost", "a", "xn--bcher-kva.example", "1.2.3.4", "[1.2.3.4]", "[IPv6:::1]", "3com.example"}) {
    EXPECT_EQ(parse_helo_name(text), none) << text;
  }
  for (auto text : {"", "-a.example", "a-.example", "a_b.example",
                    "b\xc3\xbc"
                    "cher.example",
                    "[IPv6:fe80::1%25eth0]", "[999.1.1.1]", "[Tag:x]", "a..b", "a.example.", "a b", "$(id)", "a;b", "a\x1b[0m",
                    "[1.2.3.4", "(comment)"}) {
    EXPECT_NE(parse_helo_name(text), none) << text;
  }
  EXPECT_NE(parse_helo_name(std::string(1024, 'a')), none);
  EXPECT_NE(parse_helo_name("a\0b"sv), none);
}

TEST(Attacks, A1_shapes_that_open_relays_fell_for_have_one_reading) {
  auto forward = [](std::string_view text) { return parse_forward_path(text, Utf8::refused); };
  EXPECT_EQ(forward("<u%ext@us>").mailbox.domain, "us");
  EXPECT_EQ(forward("<\"u@ext\"@us>").mailbox.domain, "us");
  EXPECT_EQ(forward("<\"u@ext\"@us>").mailbox.local, "\"u@ext\"");
  EXPECT_EQ(forward("<@us:u@ext>").mailbox.domain, "ext");
  EXPECT_EQ(forward("<@us,@x:u@ext>").mailbox.domain, "ext");
  EXPECT_EQ(forward("<ext!u@us>").mailbox.domain, "us");
  EXPECT_EQ(forward("<u@[127.0.0.1]>").mailbox.domain, "[127.0.0.1]");
  EXPECT_EQ(forward("<u@[IPv6:::1]>").mailbox.domain, "[IPv6:::1]");
  for (auto text :
       {"<u@ext@us>", "@us:u@ext", "<ext!u>", "<u@ours.>", "<u>", "<\"u\">", "<\"u\r\"@us>", "u@ext", "<u@\xd0\xb5xt>"}) {
    EXPECT_FALSE(forward(text).ok()) << text;
  }
  EXPECT_FALSE(forward("<u@us\0>"sv).ok());
  EXPECT_FALSE(forward("<u@us>"sv.substr(0, 5)).ok());
}

TEST(Attacks, A2_lengths_end_where_the_rfc_says) {
  std::string label(63, 'd'), local(64, 'l');
  EXPECT_EQ(mailbox(local + "@x"), none);
  EXPECT_EQ(mailbox(local + "l@x"), local_too_long);
  EXPECT_EQ(mailbox("\"" + std::string(62, 'q') + "\"@x"), none);
  EXPECT_EQ(mailbox("\"" + std::string(63, 'q') + "\"@x"), local_too_long);
  EXPECT_EQ(mailbox("u@" + label + ".x"), none);
  EXPECT_EQ(mailbox("u@d" + label + ".x"), label_too_long);
  std::string domain = label + "." + label + "." + label + "." + label;  // 255
  EXPECT_EQ(parse_domain(domain), none);
  EXPECT_EQ(parse_domain(domain + ".x"), domain_too_long);
  std::string room = domain.substr(0, 189);  // 64 + 1 + 189 = 254, and the brackets
  room.back() = 'd';
  EXPECT_EQ(parse_forward_path("<" + local + "@" + room + ">", Utf8::refused).fault, none);
  EXPECT_EQ(parse_forward_path("<" + local + "@" + room + "d>", Utf8::refused).fault, path_too_long);
  EXPECT_EQ(parse_forward_path("<@r:" + local + "@" + room + ">", Utf8::refused).fault, path_too_long);
}

TEST(Attacks, A2_quoted_strings) {
  for (auto text : {R"(""@x)", R"("a b"@x)", R"("a\"b"@x)", R"("\\"@x)", R"("a\@b"@x)", R"("\ "@x)"})
    EXPECT_EQ(mailbox(text), none) << text;
  for (auto text :
       {"\"\t\"@x", "\"\\\t\"@x", "\"\x7f\"@x", "\"\\\x7f\"@x", "\"\n\"@x", "\"\\\n\"@x", "\"a\\\"@x", "\"a\"@", "\"a\".b@x"}) {
    EXPECT_NE(mailbox(text), none) << text;
  }
  EXPECT_NE(mailbox("\"\0\"@x"sv), none);
  EXPECT_NE(mailbox("\"\\\0\"@x"sv), none);
}

TEST(Attacks, A3_shell_and_path_characters_are_data) {
  EXPECT_EQ(parse_mailbox("|cmd@x", Utf8::refused).mailbox.local, "|cmd");
  EXPECT_EQ(parse_mailbox("-oX@x", Utf8::refused).mailbox.local, "-oX");
  EXPECT_EQ(parse_mailbox("\";sleep 66;\"@x", Utf8::refused).mailbox.local, "\";sleep 66;\"");
  for (auto text : {";sleep 66;@x", "$(x)@x", "../../@x"}) EXPECT_NE(mailbox(text), none) << text;
}

TEST(Attacks, A4_utf8_needs_its_parameter_and_must_be_utf8) {
  auto text =
      "j\xc3\xbcrgen@b\xc3\xbc"
      "cher.example"sv;
  EXPECT_EQ(mailbox(text), utf8_not_allowed);
  EXPECT_EQ(recipient_refusal(utf8_not_allowed).enhanced, (EnhancedCode{5, 6, 7}));
  EXPECT_EQ(recipient_refusal(utf8_not_allowed).code, 553);
  Path path = parse_mailbox(text, Utf8::allowed);
  EXPECT_TRUE(path.ok() && path.mailbox.utf8);
  EXPECT_EQ(path.address(), text);
  EXPECT_TRUE(parse_mailbox("\"\xf0\x9f\x93\xac \"@x", Utf8::allowed).ok());
  EXPECT_TRUE(parse_reverse_path("<@b\xc3\xbc.x:u@x>", Utf8::allowed).mailbox.utf8);
  for (auto bad : {"\x80@x", "\xc0\xaf@x", "\xc3@x", "\xe2\x82@x", "\xed\xa0\x80@x", "\xf4\x90\x80\x80@x",
                   "\xf8\x88\x80\x80\x80@x", "\xc2\x85@x", "\xe2\x80\xa8@x", "\"\xc2\x9b\"@x",
                   "u@a\xef\xbc\x8e"
                   "b",
                   "u@a\xe3\x80\x82"
                   "b",
                   "u@a\xef\xbd\xa1"
                   "b"}) {
    EXPECT_EQ(mailbox(bad, Utf8::allowed), bad_utf8) << bad;
  }
}

}  // namespace
}  // namespace ringpost::smtp
