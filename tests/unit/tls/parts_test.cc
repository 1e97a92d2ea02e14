// The parts that do no I/O: PEM, certificates and keys, chains and roots, tickets, the first message.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "certificates.hh"
#include "ringpost/tls/tickets.hh"
#include "ringpost/tls/trust.hh"
#include "tls/client_hello.hh"
#include "tls/parsed.hh"
#include "tls/pem.hh"

namespace ringpost::tls {
namespace {

using namespace testing;
using std::chrono::days;
using std::chrono::hours;

struct Read {
  FixedWorld world{today() + std::chrono::minutes{1}};

  std::string complaint(const std::string& chain, const std::string& key) {
    auto read = read_certificate("test", as_bytes(chain), as_bytes(key), world);
    if (read) return "fine";
    return (read.error().file == CertificateFile::chain ? "chain " : "key ") + read.error().reason;
  }
};

TEST(Certificates, a_chain_and_its_key) {
  const Certificate mx = made_of("mx", files().mx_chain, files().mx_key);
  EXPECT_EQ(mx.kind, KeyKind::ecdsa);
  std::vector<std::string> hosts = mx.hosts;
  std::ranges::sort(hosts);
  EXPECT_EQ(hosts, (std::vector<std::string>{"*.wild.test", "mx.test"}));
  EXPECT_LT(mx.not_before, today() + hours{1});
  EXPECT_GT(mx.not_after, today() + days{29});
  EXPECT_EQ(made_of("rsa", files().mx_rsa_chain, files().mx_rsa_key).kind, KeyKind::rsa);
}

TEST(Attacks, T10_files_that_do_not_fit_are_told_apart) {
  Read read;
  const TestFiles& f = files();
  EXPECT_EQ(read.complaint(f.mx_chain, f.mx_key), "fine");
  EXPECT_EQ(read.complaint(f.mx_chain, f.other_key), "key does not match the certificate");
  EXPECT_EQ(read.complaint(f.mx_chain, f.mx_rsa_key), "key does not match the certificate");
  EXPECT_EQ(read.complaint(f.mx_chain, ""), "key holds no private key in PEM");
  EXPECT_EQ(read.complaint("", f.mx_key), "chain holds no certificate in PEM");
  EXPECT_EQ(read.complaint(f.mx_chain.substr(0, 200), f.mx_key), "chain a PEM block does not end");
  EXPECT_EQ(read.complaint("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f.mx_key),
            "chain certificate 1 cannot be read");
  // One file for both, in either order.
  const std::string key_last = f.mx_chain + f.mx_key, key_first = f.mx_key + f.mx_chain;
  EXPECT_EQ(read.complaint(key_last, key_last), "fine");
  EXPECT_EQ(read.complaint(key_first, key_first), "fine");
  // The authority before the server, and one too many.
  const std::string own = f.mx_chain.substr(0, f.mx_chain.find(f.middle));
  EXPECT_EQ(read.complaint(f.middle + own, f.mx_key),
            "chain is in the wrong order: certificate 2 is the one of the key, and must come first");
  EXPECT_EQ(read.complaint(own + f.root + f.middle, f.mx_key),
            "chain is in the wrong order: certificate 2 did not issue certificate 1");
  EXPECT_EQ(read.complaint(own + f.middle + f.root, f.mx_key), "fine");
  EXPECT_EQ(read.complaint(own, f.mx_key), "fine");
}

TEST(Attacks, T10_a_chain_that_is_not_valid_now) {
  Read read;
  read.world.set(today() + days{100});
  EXPECT_TRUE(read.complaint(files().mx_chain, files().mx_key).starts_with("chain has expired on 2"));
  read.world.set(today() - days{100});
  EXPECT_TRUE(read.complaint(files().mx_chain, files().mx_key).starts_with("chain is not valid before 2"));
}

TEST(Certificates, an_encrypted_key_is_named_as_what_it_is) {
  Read read;
  EXPECT_EQ(
      read.complaint(files().mx_chain, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
      "key the private key is encrypted; nobody is there to type its password");
}

TEST(Certificates, names_stand_for_hosts) {
  EXPECT_TRUE(stands_for("mx.test", "MX.Test"));
  EXPECT_FALSE(stands_for("mx.test", "mx.test."));
  EXPECT_FALSE(stands_for("", ""));
  EXPECT_TRUE(stands_for("*.test", "mx.test"));
  EXPECT_FALSE(stands_for("*.test", "a.mx.test"));
  EXPECT_FALSE(stands_for("*.test", "test"));
  EXPECT_FALSE(stands_for("*.test", ".test"));
  EXPECT_FALSE(stands_for("m*.test", "mx.test"));
  EXPECT_FALSE(stands_for("*", "test"));
  EXPECT_FALSE(stands_for("*.", "test."));
}

TEST(Certificates, times_of_both_kinds) {
  auto time = [](std::string_view text, unsigned char tag) {
    const std::string der = std::string{static_cast<char>(tag), static_cast<char>(text.size())} + std::string{text};
    return parse_time(as_bytes(der));
  };
  using namespace std::chrono;
  EXPECT_EQ(time("260102030405Z", 23), WallTime{sys_days{2026y / 1 / 2}} + hours{3} + minutes{4} + seconds{5});
  EXPECT_EQ(time("700101000000Z", 23), WallTime{});
  EXPECT_EQ(time("20491231235959Z", 24), WallTime{sys_days{2050y / 1 / 1}} - seconds{1});
  EXPECT_EQ(time("99991231235959Z", 24), WallTime::max());
  for (const char* bad :
       {"", "Z", "260102030405", "261302030405Z", "260230030405Z", "260102240405Z", "26010203040xZ", "2601020304Z"})
    EXPECT_FALSE(time(bad, 23)) << bad;
}

TEST(Pem, blocks_and_their_bytes) {
  const std::string file =
      "words\n-----BEGIN A-----\nYWJj\n-----END A-----\nmore\n-----BEGIN B-----\r\nYW\r\nI=\r\n-----END B-----";
  const auto blocks = pem_blocks(file);
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_EQ(as_text(*pem_bytes((*blocks)[0])), "abc");
  EXPECT_EQ(as_text(*pem_bytes((*blocks)[1])), "ab");
  EXPECT_EQ(pem_blocks("nothing")->size(), 0u);
  EXPECT_FALSE(pem_blocks("-----BEGIN A-----\nYWJj\n-----END B-----\n"));
  for (const char* bad : {"YWJ", "YWJj=", "Y===", "YW=j", "YW!j"}) {
    const std::string text = std::string{"-----BEGIN A-----\n"} + bad + "\n-----END A-----\n";
    EXPECT_FALSE(pem_bytes(pem_blocks(text)->front())) << bad;
  }
}

// ---- chains

struct Chain {
  explicit Chain(const std::string& pem) {
    const auto blocks = pem_blocks(pem);
    for (const PemBlock& block : *blocks) ders.push_back(*pem_bytes(block));
    for (const auto& der : ders) views.push_back(der);
  }
  std::vector<std::vector<std::byte>> ders;
  std::vector<Bytes> views;
};

PeerVerdict judge(const std::string& roots, const std::string& chain, std::vector<std::string_view> names = {"mx.test"},
                  days later = days{0}) {
  FixedWorld world{today() + std::chrono::minutes{1} + later};
  auto store = TrustStore::read(as_bytes(roots), world);
  EXPECT_TRUE(store);
  const Chain sent{chain};
  return store->judge(sent.views, names, world);
}

TEST(Attacks, T6_each_fault_of_a_peer_has_its_name) {
  const TestFiles& f = files();
  EXPECT_EQ(judge(f.root, f.mx_chain), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.mx_rsa_chain), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.mx_chain + f.root), PeerVerdict::ok);
  EXPECT_EQ(judge(f.stranger_root + f.root, f.mx_chain), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.other_chain), PeerVerdict::wrong_name);
  EXPECT_EQ(judge(f.root, f.other_chain, {"mx.test", "other.test"}), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.other_chain, {}), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.mx_chain, {"a.wild.test"}), PeerVerdict::ok);
  EXPECT_EQ(judge(f.root, f.alone), PeerVerdict::self_signed);
  EXPECT_EQ(judge(f.root, f.stranger_chain), PeerVerdict::unknown_issuer);
  EXPECT_EQ(judge(f.root, f.stranger_chain + f.stranger_root), PeerVerdict::unknown_issuer);
  EXPECT_EQ(judge(f.root, f.mx_chain, {"mx.test"}, days{100}), PeerVerdict::expired);
  EXPECT_EQ(judge(f.root, f.mx_chain, {"mx.test"}, days{-100}), PeerVerdict::not_yet_valid);
  EXPECT_EQ(judge(f.alone, f.alone), PeerVerdict::ok);
  EXPECT_EQ(judge(f.alone, f.alone, {"mx.test"}, days{100}), PeerVerdict::expired);
  // The middle is missing.
  EXPECT_EQ(judge(f.root, f.mx_chain.substr(0, f.mx_chain.find(f.middle))), PeerVerdict::unknown_issuer);
  EXPECT_EQ(judge(f.root, f.short_chain), PeerVerdict::weak);
  EXPECT_EQ(judge(f.root, f.old_chain), PeerVerdict::weak);
  EXPECT_EQ(judge(f.root, f.old_chain, {"mx.test"}, days{100}), PeerVerdict::weak) << "whatever else it is";
  // Whom the operator trusts need not be a root.
  EXPECT_EQ(judge(f.middle, f.mx_chain), PeerVerdict::ok);
}

TEST(Attacks, T6_a_certificate_that_may_not_issue_does_not_issue) {
  // Somebody's server certificate used as an authority: the signature is right, the right is missing.
  const std::string script =
      "cd " + files().folder + R"( && openssl req -new -key other.key -subj /CN=forged -out forged.csr 2>>log &&
    printf 'subjectAltName=DNS:mx.test' >forged.ext &&
    openssl x509 -req -in forged.csr -CA mx.pem -CAkey mx.key -CAcreateserial -days 30 -extfile forged.ext -out forged.pem 2>>log &&
    cat forged.pem mx.pem middle.pem >forged-chain.pem)";
  ASSERT_EQ(std::system(script.c_str()), 0);
  std::string text;
  if (FILE* file = std::fopen((files().folder + "/forged-chain.pem").c_str(), "r")) {
    char buffer[4096];
    while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, count);
    std::fclose(file);
  }
  EXPECT_EQ(judge(files().root, text), PeerVerdict::bad_chain);
}

TEST(Trust, a_changed_bit_is_no_certificate_of_ours) {
  FixedWorld world{today() + std::chrono::minutes{1}};
  auto store = TrustStore::read(as_bytes(files().root), world);
  const std::string_view name = "mx.test";
  Chain sent{files().mx_chain};
  for (std::size_t at = 0; at < sent.ders[0].size(); ++at) {
    sent.ders[0][at] ^= std::byte{1};
    EXPECT_NE(store->judge(sent.views, {&name, 1}, world), PeerVerdict::ok) << at;
    sent.ders[0][at] ^= std::byte{1};
  }
  EXPECT_EQ(store->judge(sent.views, {&name, 1}, world), PeerVerdict::ok);
  EXPECT_EQ(store->judge({}, {&name, 1}, world), PeerVerdict::none);
  EXPECT_EQ(TrustStore{}.judge(sent.views, {}, world), PeerVerdict::unknown_issuer);
}

TEST(Trust, a_store_without_a_certificate_is_none) {
  FixedWorld world{today()};
  EXPECT_FALSE(TrustStore::read(as_bytes("text"), world));
  EXPECT_FALSE(TrustStore::read(as_bytes("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), world));
  auto store = TrustStore::read(as_bytes(files().root + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), world);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->roots(), 1u);
  EXPECT_EQ(store->unreadable(), 1u);
}

// ---- tickets

struct Tickets {
  std::array<std::byte, 32> secret{std::byte{7}};
  Instant born{hours{5}};
  TicketRoot root{secret, born};
  TicketKeys one{root, "mx", hours{6}}, other{root, "mx", hours{6}}, submission{root, "submission", hours{6}};
  std::array<std::byte, 12> nonce{};
  std::string text = "a session's secrets";

  TicketKeys::Sealed seal(TicketKeys& keys, Instant now) {
    return keys.seal(std::as_writable_bytes(std::span{text}), as_bytes("rsa"), nonce, now);
  }
  TicketKeys::Opened open(TicketKeys& keys, const TicketKeys::Sealed& with, Instant now, std::string_view purpose = "rsa") {
    std::string copy = text;
    const auto opened = keys.open(std::as_writable_bytes(std::span{copy}), as_bytes(purpose), with, now);
    EXPECT_EQ(opened != TicketKeys::Opened::no, copy == "a session's secrets");
    return opened;
  }
};

TEST(Attacks, T5_tickets_are_good_on_every_shard_for_two_periods) {
  using Opened = TicketKeys::Opened;
  Tickets t;
  const auto sealed = t.seal(t.one, t.born + hours{1});
  EXPECT_NE(t.text, "a session's secrets");
  EXPECT_EQ(t.open(t.one, sealed, t.born + hours{2}), Opened::current);
  EXPECT_EQ(t.open(t.other, sealed, t.born + hours{5}), Opened::current);
  EXPECT_EQ(t.open(t.submission, sealed, t.born + hours{2}), Opened::no);
  EXPECT_EQ(t.open(t.one, sealed, t.born + hours{2}, "other"), Opened::no);
  EXPECT_EQ(t.open(t.other, sealed, t.born + hours{6}), Opened::previous);
  EXPECT_EQ(t.open(t.other, sealed, t.born + hours{11}), Opened::previous);
  EXPECT_EQ(t.open(t.other, sealed, t.born + hours{12}), Opened::no);
  // A shard whose keys have moved on does not go back.
  EXPECT_EQ(t.open(t.other, sealed, t.born + hours{1}), Opened::no);
}

TEST(Attacks, T5_a_changed_ticket_opens_nothing) {
  Tickets t;
  const auto sealed = t.seal(t.one, t.born);
  for (std::size_t at = 0; at < 16; ++at) {
    auto changed = sealed;
    changed.iv[at] ^= std::byte{1};
    EXPECT_EQ(t.open(t.one, changed, t.born), TicketKeys::Opened::no) << at;
    changed = sealed;
    changed.tag[at] ^= std::byte{1};
    EXPECT_EQ(t.open(t.one, changed, t.born), TicketKeys::Opened::no) << at;
  }
}

// ---- the first message

std::string number(std::size_t value, std::size_t octets) {
  std::string text;
  for (std::size_t i = octets; i-- > 0;) text += static_cast<char>(value >> 8 * i & 0xff);
  return text;
}
std::string field(const std::string& text, std::size_t octets) { return number(text.size(), octets) + text; }

struct Hello {
  std::string suites = "\x13\x01";
  std::string algorithms = "\x04\x03\x08\x04";
  std::string name = "mx.test";
  std::string body() const {
    std::string extensions;
    if (!name.empty()) extensions += number(0, 2) + field(field(number(0, 1) + field(name, 2), 2), 2);
    if (!algorithms.empty()) extensions += number(13, 2) + field(field(algorithms, 2), 2);
    return "\x03\x03" + std::string(32, 'r') + field("", 1) + field(suites, 2) + field(std::string(1, '\0'), 1) +
           field(extensions, 2);
  }
  std::string wire(std::size_t record = 16384) const {
    std::string message = number(1, 1) + field(body(), 3), wire;
    for (std::size_t at = 0; at < message.size(); at += record) wire += "\x16\x03\x01" + field(message.substr(at, record), 2);
    return wire;
  }
};

ClientHello parsed(const Hello& hello) { return parse_client_hello(as_bytes(hello.body())); }

TEST(FirstMessage, says_what_the_choice_hangs_on) {
  const ClientHello both = parsed({});
  EXPECT_EQ(both.server_name, "mx.test");
  EXPECT_TRUE(both.ecdsa && both.rsa);
  EXPECT_EQ(parsed({.name = "MX.Test"}).server_name, "mx.test");
  const ClientHello old_rsa = parsed({.suites = "\xc0\x2f"});
  EXPECT_TRUE(old_rsa.rsa && !old_rsa.ecdsa);
  const ClientHello only_ecdsa = parsed({.algorithms = "\x04\x03"});
  EXPECT_TRUE(only_ecdsa.ecdsa && !only_ecdsa.rsa);
  const ClientHello neither = parsed({.algorithms = ""});
  EXPECT_FALSE(neither.ecdsa || neither.rsa);
}

TEST(Attacks, T4_a_server_name_that_is_no_host_is_none) {
  using namespace std::string_literals;
  for (const std::string& name :
       {"mx.test\\"s, "mx\0.test"s, std::string(300, 'a'), std::string(60'000, 'a'), "../../etc"s, "mx test"s, "m\xffx"s})
    EXPECT_EQ(parsed({.name = name}).server_name, "") << name.substr(0, 20);
}

TEST(FirstMessage, every_cut_of_it_says_something_or_nothing) {
  const std::string body = Hello{}.body();
  for (std::size_t size = 0; size < body.size(); ++size)
    (void)parse_client_hello(as_bytes(std::string_view{body}.substr(0, size)));
  for (std::size_t at = 0; at < body.size(); ++at)
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string changed = body;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      (void)parse_client_hello(as_bytes(changed));
    }
}

TEST(FirstMessage, is_whole_wherever_it_is_split) {
  using Status = HelloCollector::Status;
  for (std::size_t record : {std::size_t{16384}, std::size_t{7}, std::size_t{1}}) {
    const std::string wire = Hello{}.wire(record);
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
      HelloCollector collector;
      const Status first = collector.feed(as_bytes(std::string_view{wire}.substr(0, cut)));
      ASSERT_EQ(first, cut == wire.size() ? Status::whole : Status::need_more) << cut;
      if (first == Status::need_more) ASSERT_EQ(collector.feed(as_bytes(std::string_view{wire}.substr(cut))), Status::whole);
      ASSERT_EQ(as_text(collector.body()), Hello{}.body());
    }
  }
}

TEST(Attacks, T3_a_first_message_that_is_none_or_does_not_end) {
  using namespace std::string_literals;
  using Status = HelloCollector::Status;
  auto feed = [](const std::string& wire) { return HelloCollector{}.feed(as_bytes(wire)); };
  for (const std::string& bad :
       {"EHLO x\r\n"s, "\x80\x2e\x01\x03\x01"s, "\x15\x03\x01\x00\x02\x01\x00"s, "\x16\x02"s, "\x16\x03\x01\x00\x00"s,
        "\x16\x03\x01\x40\x01"s, "\x16\x03\x01\x00\x04\x02\x00\x00\x01"s, "\x16\x03\x01\x00\x04\x01\x01\x00\x00"s})
    EXPECT_EQ(feed(bad), Status::refused) << bad;
  // A record for each byte of a message that never ends.
  HelloCollector collector;
  Status status = collector.feed(as_bytes("\x16\x03\x01\x00\x04\x01\x00\x40\x00"s));
  std::size_t records = 0;
  for (; status == Status::need_more; ++records) status = collector.feed(as_bytes("\x16\x03\x01\x00\x01x"s));
  EXPECT_EQ(status, Status::refused);
  EXPECT_LT(records, 6'000u);
}

}  // namespace
}  // namespace ringpost::tls
