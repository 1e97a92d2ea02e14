// DANE: which TLSA records a chain of certificates satisfies (T7; RFC 7671, RFC 7672 section 3).
#include "ringpost/tls/dane.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "certificates.hh"
#include "tlsa.hh"

namespace ringpost::tls {
namespace {

using namespace testing;
using std::chrono::days;
class Dane : public ::testing::Test {
 protected:
  using Records = std::vector<Association>;

  PeerVerdict judge(const std::vector<Octets>& chain, const Records& records, std::vector<std::string_view> names = {"mx.test"}) {
    std::vector<Bytes> views(chain.begin(), chain.end());
    return judge_dane(views, records, names, world_);
  }

  FixedWorld world_{today() + std::chrono::minutes{1}};
  const std::vector<Octets> mx_ = ders(files().mx_chain);  // mx, middle
  const std::vector<Octets> rsa_ = ders(files().mx_rsa_chain), alone_ = ders(files().alone), other_ = ders(files().other_chain);
  const Octets root_ = ders(files().root)[0], &middle_ = mx_[1];
};

TEST_F(Dane, T7_usage_3_each_selector_and_matching_type) {
  for (const auto& chain : {mx_, rsa_, alone_}) {
    for (unsigned selector : {0u, 1u}) {
      for (unsigned matching : {0u, 1u, 2u}) {
        const Association good = record(3, selector, matching, chain[0]);
        EXPECT_TRUE(is_usable(good));
        EXPECT_EQ(judge(chain, {good}), PeerVerdict::ok) << selector << matching;
        EXPECT_EQ(judge(chain, {spoilt(good)}), PeerVerdict::no_tlsa_match) << selector << matching;
        EXPECT_EQ(judge(other_, {good}), PeerVerdict::no_tlsa_match) << selector << matching;
      }
    }
  }
}

TEST_F(Dane, T7_usage_3_asks_for_no_name_and_no_date) {
  world_.set(today() + days{400});
  EXPECT_EQ(judge(mx_, {record(3, 1, 1, mx_[0])}, {"elsewhere.test"}), PeerVerdict::ok);
  EXPECT_EQ(judge(mx_, {record(3, 1, 1, mx_[1])}), PeerVerdict::no_tlsa_match) << "of an authority's certificate it says nothing";
}

TEST_F(Dane, T7_usage_2_each_selector_and_matching_type) {
  std::vector<Octets> whole = mx_;
  whole.push_back(root_);
  for (unsigned selector : {0u, 1u}) {
    for (unsigned matching : {0u, 1u, 2u}) {
      EXPECT_EQ(judge(mx_, {record(2, selector, matching, middle_)}), PeerVerdict::ok) << selector << matching;
      EXPECT_EQ(judge(whole, {record(2, selector, matching, root_)}), PeerVerdict::ok) << selector << matching;
      if (matching != 0) EXPECT_EQ(judge(whole, {spoilt(record(2, selector, matching, root_))}), PeerVerdict::no_tlsa_match);
      const PeerVerdict not_sent = matching == 0 ? PeerVerdict::ok : PeerVerdict::no_tlsa_match;
      EXPECT_EQ(judge(mx_, {record(2, selector, matching, root_)}), not_sent) << selector << matching << ": the root is not sent";
      EXPECT_EQ(judge({mx_[0]}, {record(2, selector, matching, middle_)}), not_sent) << selector << matching;
    }
  }
}

TEST_F(Dane, T7_usage_2_asks_for_a_name_and_the_date) {
  const Association middle = record(2, 0, 1, middle_);
  EXPECT_EQ(judge(mx_, {middle}, {"elsewhere.test"}), PeerVerdict::wrong_name);
  EXPECT_EQ(judge(mx_, {middle}, {"elsewhere.test", "mx.test"}), PeerVerdict::ok);
  EXPECT_EQ(judge(mx_, {middle}, {"a.wild.test"}), PeerVerdict::ok);
  for (const Association& each : {middle, record(2, 1, 0, root_), record(2, 1, 0, middle_)}) {
    world_.set(today() + days{40});
    EXPECT_EQ(judge(mx_, {each}), PeerVerdict::expired);
    EXPECT_EQ(judge({mx_[0]}, {record(2, 1, 0, middle_)}), PeerVerdict::expired);
    world_.set(today() - days{1});
    EXPECT_EQ(judge(mx_, {each}), PeerVerdict::not_yet_valid);
  }
}

TEST_F(Dane, T7_usage_2_is_about_an_authority_and_the_path_to_it_holds) {
  EXPECT_EQ(judge(mx_, {record(2, 0, 1, mx_[0])}), PeerVerdict::no_tlsa_match) << "the peer's own certificate is none";
  EXPECT_EQ(judge(alone_, {record(2, 0, 1, alone_[0])}), PeerVerdict::no_tlsa_match);
  // An authority glued behind a certificate that it did not issue.
  EXPECT_EQ(judge({alone_[0], middle_}, {record(2, 0, 1, middle_)}), PeerVerdict::no_tlsa_match);
  EXPECT_EQ(judge({mx_[0], ders(files().stranger_root)[0]}, {record(2, 0, 1, ders(files().stranger_root)[0])}), PeerVerdict::no_tlsa_match);
  std::vector<Octets> changed = mx_;
  changed[0].back() ^= std::byte{1};
  for (const Association& each : {record(2, 0, 1, middle_), record(2, 0, 0, middle_)}) EXPECT_EQ(judge(changed, {each}), PeerVerdict::bad_chain);
  EXPECT_EQ(judge(changed, {record(2, 1, 0, middle_)}), PeerVerdict::bad_chain);
}

TEST_F(Dane, T7_what_is_unusable) {
  const Association good = record(3, 1, 1, mx_[0]);
  auto with = [&](auto change) {
    Association changed = good;
    change(changed);
    return changed;
  };
  const Association unusable[] = {with([](Association& a) { a.usage = 0; }),     with([](Association& a) { a.usage = 1; }),
                                  with([](Association& a) { a.usage = 4; }),     with([](Association& a) { a.usage = 255; }),
                                  with([](Association& a) { a.selector = 2; }),  with([](Association& a) { a.matching = 3; }),
                                  with([](Association& a) { a.matching = 2; }),  with([](Association& a) { a.data.pop_back(); }),
                                  with([](Association& a) { a.data.push_back({}); }), with([](Association& a) { a.data.clear(); }),
                                  with([](Association& a) { a.matching = 0; }),
                                  with([](Association& a) { a.selector = a.matching = 0; })};
  for (const Association& each : unusable) {
    EXPECT_FALSE(is_usable(each)) << int{each.usage} << int{each.selector} << int{each.matching};
    EXPECT_EQ(judge(mx_, {each}), PeerVerdict::no_tlsa_match);
    EXPECT_EQ(judge(mx_, {each, good}), PeerVerdict::ok) << "what is beside it still counts";
  }
}

TEST_F(Dane, T7_several_records_one_that_holds_is_enough) {
  const Association now = record(3, 1, 1, mx_[0]), next = record(3, 1, 1, other_[0]);
  EXPECT_EQ(judge(mx_, {now, next}), PeerVerdict::ok);
  EXPECT_EQ(judge(mx_, {next, now}), PeerVerdict::ok);
  EXPECT_EQ(judge(other_, {now, next}, {"mx.test"}), PeerVerdict::ok);
  EXPECT_EQ(judge(alone_, {now, next}), PeerVerdict::no_tlsa_match);
  EXPECT_EQ(judge(mx_, {next, record(2, 0, 1, middle_)}), PeerVerdict::ok);
  EXPECT_EQ(judge(mx_, {next, record(2, 0, 1, middle_)}, {"elsewhere.test"}), PeerVerdict::wrong_name);
}

// RFC 7671 section 9: who publishes both digests means the stronger one.
TEST_F(Dane, T7_of_two_digests_the_stronger_one_counts) {
  EXPECT_EQ(judge(mx_, {record(3, 1, 1, mx_[0]), spoilt(record(3, 1, 2, mx_[0]))}), PeerVerdict::no_tlsa_match);
  EXPECT_EQ(judge(mx_, {spoilt(record(3, 1, 1, mx_[0])), record(3, 1, 2, mx_[0])}), PeerVerdict::ok);
  EXPECT_EQ(judge(mx_, {record(3, 1, 1, mx_[0]), spoilt(record(3, 0, 2, mx_[0]))}), PeerVerdict::ok) << "of another selector";
  EXPECT_EQ(judge(mx_, {record(3, 1, 1, mx_[0]), spoilt(record(2, 1, 2, middle_))}), PeerVerdict::ok) << "of another usage";
}

TEST_F(Dane, a_peer_that_shows_nothing_or_rubbish) {
  EXPECT_EQ(judge({}, {record(3, 1, 1, mx_[0])}), PeerVerdict::none);
  EXPECT_EQ(judge({Octets(100)}, {record(3, 1, 1, mx_[0])}), PeerVerdict::no_tlsa_match);
  EXPECT_EQ(judge({Octets(100)}, {record(2, 1, 1, middle_)}), PeerVerdict::unreadable);
}

TEST_F(Dane, the_key_of_a_certificate_has_a_verdict_for_every_octet) {
  const Octets& whole = mx_[0];
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(public_key_info(Bytes{whole}.first(size)));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned value : {0u, 0x7fu, 0x80u, 0x84u, 0xffu}) {
      Octets changed = whole;
      changed[at] = static_cast<std::byte>(value);
      if (const auto key = public_key_info(changed)) EXPECT_TRUE(is_sequence(*key));
      (void)judge({changed, middle_}, {record(2, 1, 0, middle_)});
    }
  }
}

// ---- OpenSSL's vectors

struct Vector {
  std::string number;
  bool ignores_names = false;
  bool good = false;
  std::vector<Association> records;
  std::vector<Octets> chain;
};

std::vector<Vector> read_vectors(const std::string& text) {
  std::vector<Vector> vectors;
  std::istringstream lines{text};
  std::string line, number;
  while (std::getline(lines, line)) {
    if (line.starts_with("# ") && line.find_first_not_of("0123456789", 2) == line.npos) number = line.substr(2);
    if (line.empty() || line[0] == '#') continue;
    Vector vector{.number = number};
    int records = 0, certificates = 0, nonames = 0, verdict = 0, depth = 0;
    std::istringstream{line} >> records >> certificates >> nonames >> verdict >> depth;
    vector.ignores_names = nonames != 0;
    vector.good = verdict == 0;
    for (int i = 0; i < records && std::getline(lines, line); ++i) {
      int usage = 0, selector = 0, matching = 0;
      std::string hex;
      std::istringstream{line} >> usage >> selector >> matching >> hex;
      Association record{static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching), {}};
      for (std::size_t at = 0; at + 1 < hex.size(); at += 2)
        record.data.push_back(static_cast<std::byte>(std::stoul(hex.substr(at, 2), nullptr, 16)));
      vector.records.push_back(std::move(record));
    }
    std::string pem;
    for (int ends = 0; ends < certificates && std::getline(lines, line);) {
      pem += line + "\n";
      ends += line.starts_with("-----END");
    }
    vector.chain = ders(pem);
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

TEST(Attacks, T7_openssl_vectors) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  std::ostringstream text;
  text << std::ifstream{std::string{root} + "/mtasts-tlsrpt-dane/openssl/openssl-danetest.in"}.rdbuf();
  const std::vector<Vector> vectors = read_vectors(text.str());
  EXPECT_GT(vectors.size(), 10u);
  FixedWorld world{today()};
  const std::string_view names[] = {"example.com"};
  for (const Vector& vector : vectors) {
    ASSERT_FALSE(vector.chain.empty()) << vector.number;
    const std::vector<Bytes> chain(vector.chain.begin(), vector.chain.end());
    const auto asked = vector.ignores_names ? std::span<const std::string_view>{} : std::span<const std::string_view>{names};
    const PeerVerdict verdict = judge_dane(chain, vector.records, asked, world);
    const bool usable = std::ranges::any_of(vector.records, &is_usable);
    const bool pkix = std::ranges::all_of(vector.records, [](const Association& each) { return each.usage < 2; });
    if (pkix) EXPECT_FALSE(usable) << vector.number << ": usages 0 and 1 are not for SMTP";
    if (usable) EXPECT_EQ(verdict == PeerVerdict::ok, vector.good) << vector.number << ": " << verdict_name(verdict);
    else EXPECT_EQ(verdict, PeerVerdict::no_tlsa_match) << vector.number;
  }
}

}  // namespace
}  // namespace ringpost::tls
