// Packets: what is asked, what is understood, and everything that is not (D2).
#include <gtest/gtest.h>

#include "packets.hh"
#include "ringpost/dns/answer.hh"

namespace ringpost::dns {
namespace {

using W = PacketWriter;

Octets query_for(std::string_view name, Type type, QueryOptions options = {}) {
  return make_query(name, type, 0x1234, options).value();
}

TEST(DnsQuery, has_one_question_recursion_edns_and_the_do_bit) {
  const Octets packet = query_for("Example.com", Type::mx);
  const Octets expected = data_of(W{}.u16(0x1234)
                                      .u16(0x0100)
                                      .u16(1)
                                      .u16(0)
                                      .u16(0)
                                      .u16(1)
                                      .name("Example.com")
                                      .u16(15)
                                      .u16(1)
                                      .u8(0)
                                      .u16(41)
                                      .u16(kUdpBytes)
                                      .u32(0x8000)
                                      .u16(0));
  EXPECT_EQ(packet, expected);
  const Octets plain = query_for("example.com", Type::aaaa, {.edns = false});
  EXPECT_EQ(plain, data_of(W{}.u16(0x1234).u16(0x0100).u16(1).u16(0).u16(0).u16(0).name("example.com").u16(28).u16(1)));
}

TEST(DnsQuery, of_no_name_is_about_the_root) {
  const Octets packet = query_for("", Type::soa, {.edns = false});
  EXPECT_EQ(packet, data_of(W{}.u16(0x1234).u16(0x0100).u16(1).u16(0).u16(0).u16(0).u8(0).u16(6).u16(1)));
}

TEST(DnsQuery, mixes_the_case_of_letters_and_nothing_else) {
  Prng prng(7);
  const Octets plain = query_for("mail-1.example.com", Type::a);
  int differ = 0;
  for (int round = 0; round < 100; ++round) {
    const Octets mixed = query_for("mail-1.example.com", Type::a, {.letters = &prng});
    ASSERT_EQ(mixed.size(), plain.size());
    EXPECT_NE(match(plain,
                    [&] {
                      Octets r = mixed;
                      r[2] |= std::byte{0x80};
                      return r;
                    }()),
              Match::no);
    for (std::size_t at = 0; at < plain.size(); ++at) {
      if (mixed[at] == plain[at]) continue;
      EXPECT_EQ(mixed[at] ^ plain[at], std::byte{0x20});
      ++differ;
    }
  }
  EXPECT_GT(differ, 500);  // half of 1,500 letters
  EXPECT_LT(differ, 1000);
}

TEST(DnsQuery, only_names_one_can_ask_for) {
  const std::string label63(63, 'a'), label64(64, 'a');
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
  for (std::string_view name :
       {std::string_view{"a"}, std::string_view{"_25._tcp.mx.example"}, std::string_view{label63}, std::string_view{longest}})
    EXPECT_TRUE(is_askable(name)) << name;
  for (std::string_view name : {"", ".", "a..b", ".a", "a.", "a b", "a\\.b", "a\nb", "\xc3\xa4.example", "[192.0.2.1]"})
    EXPECT_FALSE(is_askable(name)) << name;
  EXPECT_FALSE(is_askable(label64));
  EXPECT_FALSE(is_askable(longest + "b"));
  EXPECT_FALSE(is_askable(std::string_view{"a\0b", 3}));
  EXPECT_EQ(make_query("secret.onion", Type::mx, 1, {}).error().code, Errc::not_found);
  EXPECT_TRUE(make_query(longest, Type::mx, 1, {}));
}

// ---- matching

TEST(DnsMatch, D3_takes_id_and_question_octet_for_octet) {
  const Octets query = query_for("eXaMple.com", Type::mx);
  const auto response = [](std::string_view name, Type type, std::uint16_t id = 0x1234, unsigned flags = W::kResponse) {
    return W(id, flags).question(name, type).bytes();
  };
  EXPECT_EQ(match(query, response("eXaMple.com", Type::mx)), Match::yes);
  EXPECT_EQ(match(query, response("example.com", Type::mx)), Match::case_differs);
  EXPECT_EQ(match(query, response("eXaMple.com", Type::a)), Match::no);
  EXPECT_EQ(match(query, response("eXaMple.net", Type::mx)), Match::no);
  EXPECT_EQ(match(query, response("eXaMple.com", Type::mx, 0x1235)), Match::no);
  EXPECT_EQ(match(query, response("eXaMple.com", Type::mx, 0x1234, 0)), Match::no) << "a query";
  EXPECT_EQ(match(query, response("eXaMple.com", Type::mx, 0x1234, W::kResponse | 0x2800)), Match::no) << "another opcode";
  EXPECT_EQ(match(query, W{}.question("eXaMple.com", Type::mx).question("eXaMple.com", Type::mx).bytes()), Match::no);
  EXPECT_EQ(match(query, W{}.bytes()), Match::no) << "no question";
  EXPECT_EQ(match(query, W(0x1234, W::kResponse | 1).bytes()), Match::bare_error);
  EXPECT_EQ(match(query, W(0x1235, W::kResponse | 1).bytes()), Match::no);
  const Octets whole = response("eXaMple.com", Type::mx);
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(match(query, Bytes{whole}.first(size)), Match::no) << size;
  // '@' and '`' differ in the same bit as letters do, and are none.
  const Octets digits = query_for("1.example", Type::mx);
  Octets other = W{}.question("1.example", Type::mx).bytes();
  other[kHeaderBytes + 1] ^= std::byte{0x20};
  EXPECT_EQ(match(digits, other), Match::no);
}

// ---- reading

Octets rich_answer() {
  W packet(0x1234, W::kResponse | W::kRecursion | W::kAuthentic);
  packet.question("example.com", Type::mx);
  packet.count(6).pointer(12).u16(15).u16(1).u32(300).u16(9).u16(10).u8(4).raw(as_bytes("Mail")).pointer(12);
  packet.record("EXAMPLE.com", Type::mx, 200, mx_data(20, "backup.example.net"));
  packet.record("other.example", Type::a, 60, a_data("192.0.2.1"));
  packet.record("other.example", Type::aaaa, 60, a_data("2001:db8::1"));
  packet.record("example.com", static_cast<Type>(46), 60, name_data("any.thing"));  // RRSIG: passed over
  packet.record("example.com", Type::soa, 60, soa_data(30), 8);
  packet.record("other.example", Type::a, 60, a_data("192.0.2.66"), 10);
  packet.count(10).name("").u16(41).u16(1232).u32(0x00008000).u16(0);
  return packet.bytes();
}

TEST(DnsPacket, sections_flags_and_compressed_names) {
  const auto read = parse_response(rich_answer());
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->authenticated && read->recursive && !read->authoritative && !read->referral);
  ASSERT_EQ(read->answers.size(), 4u);
  EXPECT_EQ(read->answers[0].owner, "example.com");
  EXPECT_EQ(read->answers[0].ttl_s, 300u);
  EXPECT_EQ(std::get<Exchange>(read->answers[0].data), (Exchange{10, "mail.example.com"}));
  EXPECT_EQ(std::get<Exchange>(read->answers[1].data), (Exchange{20, "backup.example.net"}));
  EXPECT_EQ(read->answers[1].owner, "example.com");
  EXPECT_EQ(std::get<IpAddress>(read->answers[2].data).text(), "192.0.2.1");
  EXPECT_EQ(std::get<IpAddress>(read->answers[3].data).text(), "2001:db8::1");
  ASSERT_EQ(read->authorities.size(), 1u);
  EXPECT_EQ(std::get<Authority>(read->authorities[0].data).minimum_s, 30u);
}

TEST(DnsPacket, D2_cut_at_every_octet_it_is_no_answer) {
  const Octets whole = rich_answer();
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse_response(Bytes{whole}.first(size))) << size;
}

TEST(DnsPacket, every_changed_octet_has_a_verdict) {
  Octets packet = rich_answer();
  for (std::byte& octet : packet) {
    const std::byte right = octet;
    for (unsigned value : {0u, 1u, 0x3fu, 0x40u, 0x80u, 0xc0u, 0xffu}) {
      octet = static_cast<std::byte>(value);
      (void)parse_response(packet);
    }
    octet = right;
  }
}

struct Odd {
  const char* what;
  Octets packet;
};

TEST(DnsPacket, D2_records_shorter_or_longer_than_their_type) {
  const auto with = [](Type type, Octets data) { return W{}.question("a.b", type).record("a.b", type, 60, data).bytes(); };
  const Octets short3{std::byte{1}, std::byte{2}, std::byte{3}};
  Octets long_a = a_data("192.0.2.1");
  long_a.push_back(std::byte{0});
  const std::vector<Odd> odd = {
      {"A of 3", with(Type::a, short3)},
      {"A of 5", with(Type::a, long_a)},
      {"A of 0", with(Type::a, {})},
      {"AAAA of 4", with(Type::aaaa, a_data("192.0.2.1"))},
      {"MX of 0", with(Type::mx, {})},
      {"MX of 2", with(Type::mx, {short3.begin(), short3.begin() + 2})},
      {"MX name cut", with(Type::mx, short3)},
      {"MX with more behind", with(Type::mx, data_of(W{}.u16(1).name("a.b").u8(0)))},
      {"SRV of 6", with(Type::srv, data_of(W{}.u16(1).u16(2).u16(3)))},
      {"TLSA of 2", with(Type::tlsa, {short3.begin(), short3.begin() + 2})},
      {"TLSA without data", with(Type::tlsa, short3)},
      {"TXT of 0", with(Type::txt, {})},
      {"TXT string longer than the record", with(Type::txt, data_of(W{}.u8(9).raw(as_bytes("short"))))},
      {"CNAME of 0", with(Type::cname, {})},
      {"SOA cut", with(Type::soa, data_of(W{}.name("a").name("b").u32(1)))},
      {"OPT among the answers", with(Type::opt, {})},
  };
  for (const Odd& each : odd) EXPECT_FALSE(parse_response(each.packet)) << each.what;
  EXPECT_TRUE(parse_response(with(Type::srv, data_of(W{}.u16(1).u16(2).u16(3).name("a.b")))));
  EXPECT_EQ(
      std::get<Association>(parse_response(with(Type::tlsa, data_of(W{}.u8(3).u8(1).u8(1).u32(7))))->answers[0].data).data.size(),
      4u);
  const auto text = parse_response(with(Type::txt, data_of(W{}.u8(2).raw(as_bytes("ab")).u8(0).u8(1).raw(as_bytes("c")))));
  EXPECT_EQ(std::get<Text>(text->answers[0].data).octets, "abc");
}

TEST(DnsPacket, D2_names_that_loop_point_nowhere_or_never_end) {
  const auto owner = [](auto write) {
    W packet;
    packet.question("a.b", Type::mx).count(6);
    write(packet);
    return packet.u16(1).u16(1).u32(60).u16(4).u32(0).bytes();
  };
  const std::vector<Odd> odd = {
      {"points at itself", owner([](W& w) { w.pointer(w.size()); })},
      {"points forward", owner([](W& w) { w.pointer(w.size() + 4); })},
      {"points into the header", owner([](W& w) { w.pointer(0); })},
      {"points behind the end", owner([](W& w) { w.pointer(0x3fff); })},
      {"a label and back to it", owner([](W& w) {
         const std::size_t at = w.size();
         w.u8(1).u8('x').pointer(at);
       })},
      {"a reserved label type", owner([](W& w) { w.u8(0x80).u8(0); })},
      {"a label of 64", owner([](W& w) { w.u8(64).raw(Octets(64, std::byte{'a'})).u8(0); })},
      {"a label beyond the packet", owner([](W& w) { w.u8(60); })},
      {"256 octets", owner([](W& w) {
         for (int i = 0; i < 4; ++i) w.u8(63).raw(Octets(63, std::byte{'a'}));
         w.u8(0);
       })},
  };
  for (const Odd& each : odd) EXPECT_FALSE(parse_response(each.packet)) << each.what;
  EXPECT_TRUE(parse_response(owner([](W& w) { w.u8(0); }))) << "the root";
  EXPECT_TRUE(parse_response(owner([](W& w) {
    for (int i = 0; i < 3; ++i) w.u8(63).raw(Octets(63, std::byte{'a'}));
    w.u8(61).raw(Octets(61, std::byte{'a'})).u8(0);
  }))) << "255 octets";
}

TEST(DnsPacket, D2_a_chain_of_pointers_is_bounded) {
  // Each label points to the one before it.
  W packet;
  packet.question("a", Type::a);
  std::size_t last = kHeaderBytes;
  for (int links = 1; links <= 100; ++links) {
    packet.count(6);
    const std::size_t at = packet.size();
    packet.u8(1).u8('x').pointer(last).u16(1).u16(1).u32(60).u16(4).u32(0);
    last = at;
    EXPECT_EQ(parse_response(packet.bytes()).has_value(), links <= 32) << links;
  }
}

TEST(DnsPacket, D2_a_thousand_mx_and_64_kib_are_read_and_more_records_are_not) {
  W many;
  many.question("example.com", Type::mx);
  for (unsigned i = 0; i < 1000; ++i)
    many.record("example.com", Type::mx, 60, mx_data(i % 7, "mx" + std::to_string(i) + ".example"));
  const auto read = parse_response(many.bytes());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->answers.size(), 1000u);

  W vast;
  vast.question("example.com", Type::txt);
  while (vast.size() < 65'000) vast.record("example.com", Type::txt, 60, data_of(W{}.u8(255).raw(Octets(255, std::byte{'t'}))));
  EXPECT_TRUE(parse_response(vast.bytes()));
  EXPECT_EQ(parse_response(Octets(65'536)).error().code, Errc::protocol);

  W too_many;
  too_many.question("a", Type::a);
  for (std::size_t i = 0; i <= kRecordsMax; ++i) too_many.record("a", Type::a, 60, a_data("192.0.2.1"));
  EXPECT_EQ(parse_response(too_many.bytes()).error().code, Errc::limit);
  EXPECT_FALSE(parse_response(W{}.count(6, 2000).bytes())) << "counted and not there";
}

TEST(DnsPacket, D2_odd_octets_in_names_come_escaped) {
  const auto name_of = [](std::string_view label) {
    const Octets data = data_of(W{}.u8(static_cast<unsigned>(label.size())).raw(as_bytes(label)).name("example"));
    const auto read = parse_response(W{}.question("a", Type::ptr).record("a", Type::ptr, 60, data).bytes());
    return read ? std::get<std::string>(read->answers[0].data) : std::string{"refused"};
  };
  EXPECT_EQ(name_of({"a\0b", 3}), "a\\000b.example");
  EXPECT_EQ(name_of("a.b"), "a\\.b.example");
  EXPECT_EQ(name_of("a\\b"), "a\\\\b.example");
  EXPECT_EQ(name_of("a\"b"), "a\\\"b.example");
  for (std::string_view label : {"\x1b[31m", "\r\n", "\xff\xfe", "\x7f"}) {
    const std::string name = name_of(label);
    for (char c : name) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << name;
    EXPECT_FALSE(is_askable(name));
  }
}

// ---- meaning

Interpretation meaning_of(const W& packet, std::string_view name = "a.example", Type type = Type::mx) {
  return interpret(parse_response(packet.bytes()).value(), name, type);
}

TEST(DnsAnswer, cnames_are_followed_and_strangers_are_not_looked_at) {
  W packet;
  packet.question("a.example", Type::mx);
  packet.record("c.example", Type::mx, 50, mx_data(5, "mx.example"));
  packet.record("b.example", Type::cname, 40, name_data("c.example"));
  packet.record("a.example", Type::cname, 900, name_data("b.example"));
  packet.record("victim.example", Type::mx, 9, mx_data(1, "evil.example"));
  const Interpretation read = meaning_of(packet);
  EXPECT_EQ(read.answer.outcome, Outcome::found);
  EXPECT_EQ(read.answer.name, "c.example");
  EXPECT_EQ(read.answer.records.size(), 1u);
  EXPECT_EQ(read.answer.ttl_s, 40u);
  EXPECT_EQ(read.aliases, 2);
}

// RFC 8914: what a resolver says of why it failed. Only the codes that mean a failed validation count.
TEST(DnsAnswer, T7_bogus_is_told_apart_from_a_failure_of_the_server) {
  auto failure = [](const Octets& options) {
    W packet(1, W::kResponse | W::kRecursion | 2);
    packet.question("a.example", Type::mx).record("", Type::opt, 0x8000, options, 10);
    return meaning_of(packet).answer.failure;
  };
  auto extended = [](unsigned code) { return data_of(W{}.u16(15).u16(2).u16(code)); };
  for (unsigned code = 0; code < 30; ++code) EXPECT_EQ(failure(extended(code)) == Failure::bogus, code >= 6 && code <= 12) << code;
  const Octets with_others = data_of(W{}.u16(10).u16(3).u8(1).u8(2).u8(3).u16(15).u16(6).u16(9).u32(0x6f6f6f6f).u16(15).u16(2).u16(22));
  EXPECT_EQ(failure(with_others), Failure::bogus);
  EXPECT_EQ(failure({}), Failure::server_failure);
  for (std::size_t cut = 1; cut < 6; ++cut) {
    Octets options = extended(6);
    options.resize(cut);
    EXPECT_EQ(failure(options), Failure::server_failure) << "an option that ends early says nothing";
  }
  EXPECT_EQ(failure(data_of(W{}.u16(15).u16(1).u8(6))), Failure::server_failure);
  EXPECT_EQ(failure(data_of(W{}.u16(15).u16(9).u16(6))), Failure::server_failure);
}

TEST(DnsPacket, knows_whether_signatures_came_with_it) {
  const Octets signature(24);
  auto signatures = [](const W& packet) { return parse_response(packet.bytes())->signatures; };
  EXPECT_TRUE(signatures(W{}.question("a.example", Type::a).record("a.example", Type::rrsig, 60, signature)));
  EXPECT_FALSE(signatures(W{}.question("a.example", Type::a).record("a.example", Type::a, 60, a_data("192.0.2.1"))));
  EXPECT_FALSE(signatures(W{}.question("a.example", Type::a).record("a.example", Type::rrsig, 60, signature, 8)));
}

TEST(DnsAnswer, D1_each_kind_of_no) {
  const auto soa = soa_data(30);
  EXPECT_EQ(meaning_of(W(1, W::kResponse | W::kRecursion | 3).question("a.example", Type::mx)).answer.outcome,
            Outcome::no_such_name);
  const auto no_data = meaning_of(W{}.question("a.example", Type::mx).record("example", Type::soa, 100, soa, 8));
  EXPECT_EQ(no_data.answer.outcome, Outcome::no_data);
  EXPECT_EQ(no_data.answer.ttl_s, 30u);
  EXPECT_EQ(meaning_of(W{}.question("a.example", Type::mx)).answer.outcome, Outcome::no_data);
  EXPECT_EQ(meaning_of(W{}.question("a.example", Type::mx)).answer.ttl_s, 0u) << "without SOA it is not kept";
  for (unsigned code : {1u, 2u, 4u, 5u, 9u, 15u}) {
    const auto read = meaning_of(W(1, W::kResponse | W::kRecursion | code).question("a.example", Type::mx));
    EXPECT_EQ(read.answer.outcome, Outcome::failed) << code;
    EXPECT_EQ(read.answer.failure, code == 5 ? Failure::refused : Failure::server_failure);
  }
  const auto lame =
      meaning_of(W(1, W::kResponse).question("a.example", Type::mx).record("example", Type::ns, 60, name_data("ns"), 8));
  EXPECT_EQ(lame.answer.failure, Failure::server_failure);
  W bad_version;
  bad_version.question("a.example", Type::mx).count(10).name("").u16(41).u16(512).u32(0x01000000).u16(0);
  EXPECT_EQ(meaning_of(bad_version).answer.outcome, Outcome::failed);
}

TEST(DnsAnswer, cnames_that_loop_or_lead_out) {
  W loop;
  loop.question("a.example", Type::mx).record("a.example", Type::cname, 60, name_data("b.example"));
  loop.record("b.example", Type::cname, 60, name_data("a.example"));
  EXPECT_EQ(meaning_of(loop).answer.failure, Failure::malformed);
  W out;
  out.question("a.example", Type::mx).record("a.example", Type::cname, 60, name_data("b.example"));
  EXPECT_TRUE(meaning_of(out).incomplete);
  EXPECT_EQ(meaning_of(out).answer.name, "b.example");
  out.record("example", Type::soa, 5, soa_data(5), 8);
  EXPECT_FALSE(meaning_of(out).incomplete);
  EXPECT_EQ(meaning_of(out).answer.outcome, Outcome::no_data);
}

}  // namespace
}  // namespace ringpost::dns
