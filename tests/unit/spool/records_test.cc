// Plaintexts of records: there and back, and nothing else is accepted.
#include "ringpost/spool/records.hh"

#include <gtest/gtest.h>

#include "ringpost/base/prng.hh"

namespace ringpost::spool {
namespace {

const RecipientStatus kDeferred{RecipientState::waiting, 3, event::Reason::next_hop_deferred, {451, 4, 7, 1}, {}};
const RecipientStatus kFailed{RecipientState::failed, 1, event::Reason::next_hop_refused, {550, 5, 1, 1}, {}};

template <typename Value>
std::vector<std::byte> bytes_of_value(const Value& value) {
  std::vector<std::byte> bytes(encoded_bytes(value));
  encode(value, bytes);
  return bytes;
}

std::vector<std::byte> sample_scheduling() {
  const RecipientStatus statuses[] = {kDeferred, kFailed};
  const Position chunks[] = {{5, 4240, 65'600}, {6, 4096, 65'600}};
  return bytes_of_value(Scheduling{.arrived = WallTime{Duration{1'700'000'000'123'456'789}},
                                   .due = WallTime{Duration{1'700'000'300'000'000'000}},
                                   .size = 150'000,
                                   .copied_from = 4,
                                   .revision = 9,
                                   .mail_class = MailClass::outgoing,
                                   .held = true,
                                   .waited = {3600, true},
                                   .destination = {std::byte{0xaa}},
                                   .recipients = statuses,
                                   .chunks = chunks});
}

std::vector<std::byte> sample_envelope() {
  const Envelope::Recipient recipients[] = {{"bert@example.net", "NOTIFY=NEVER", 0}, {"\"c d\"@example.com", "", 1}};
  return bytes_of_value(Envelope{.smtputf8 = true,
                                 .declared_eight_bit = true,
                                 .eight_bit = false,
                                 .tls_wish = smtp::TlsWish::required,
                                 .client = IpAddress::from_ipv4(0xc0000201),
                                 .helo = "client.example",
                                 .reverse_path = "",
                                 .parameters = "ENVID=1",
                                 .recipients = recipients});
}

std::vector<std::byte> sample_outcome() {
  const Outcome::Recipient recipients[] = {{0, kDeferred, ""}, {7, kFailed, ""}};
  return bytes_of_value(Outcome{.message_generation = 5,
                                .revision = 2,
                                .held = false,
                                .due = WallTime{Duration{1'700'000'600'000'000'000}},
                                .waited = {7200, true},
                                .host = {IpAddress::from_ipv4(0xc6336401), 25},
                                .recipients = recipients});
}

std::vector<std::byte> sample_checkpoint() {
  return bytes_of_value(Checkpoint{.audit = {{{{std::byte{1}}}, 77}}, .generations = {{3, 40, 1}, {4, 60, 2}}});
}

TEST(Records, scheduling_there_and_back) {
  Arrays arrays;
  const auto bytes = sample_scheduling();
  const Result<Scheduling> decoded = decode_scheduling(bytes, arrays);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(bytes_of_value(*decoded), bytes);
  EXPECT_EQ(decoded->recipients[1], kFailed);
  EXPECT_EQ(decoded->chunks[1], (Position{6, 4096, 65'600}));
  EXPECT_TRUE(decoded->held);
  EXPECT_EQ(decoded->waited, (Waited{3600, true}));
}

TEST(Records, scheduling_keeps_what_the_sender_asked_for_and_nothing_takes_no_room) {
  Arrays arrays;
  const auto plain = sample_scheduling();
  Scheduling scheduling = *decode_scheduling(plain, arrays);
  EXPECT_FALSE(scheduling.terms.any());
  scheduling.terms = {.by_s = -5, .when_late = WhenLate::notify, .trace = true, .priority = -9};
  const auto bytes = bytes_of_value(scheduling);
  EXPECT_EQ(bytes.size(), plain.size() + kTermsBytes);
  Arrays again;
  const Result<Scheduling> decoded = decode_scheduling(bytes, again);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->terms, scheduling.terms);
  EXPECT_TRUE(decoded->waited.warned);
}

TEST(Records, terms_that_mean_nothing_are_refused) {
  const auto refused = [](Terms terms) { return !decode_terms(encode(terms)); };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({.by_s = 1}));
  EXPECT_TRUE(refused({.trace = true}));
  EXPECT_TRUE(refused({.by_s = kBySecondsMax + 1, .when_late = WhenLate::notify}));
  EXPECT_TRUE(refused({.by_s = 1, .when_late = static_cast<WhenLate>(3)}));
  EXPECT_FALSE(refused({.by_s = 0, .when_late = WhenLate::notify}));
  EXPECT_FALSE(refused({.priority = 9}));
  EXPECT_TRUE(refused({.priority = 10}));
  EXPECT_TRUE(refused({.priority = -10}));
}

TEST(Records, scheduling_keeps_the_hosts_that_answered) {
  const event::Host one{IpAddress::from_ipv4(0xc6336401), 25}, other{*IpAddress::parse("2001:db8::1"), 2525};
  std::vector<RecipientStatus> statuses(5, kDeferred);
  statuses[0].host = statuses[1].host = one;
  statuses[3].host = other;
  const auto bytes = bytes_of_value(Scheduling{.mail_class = MailClass::outgoing, .recipients = statuses});
  Arrays arrays;
  const Result<Scheduling> decoded = decode_scheduling(bytes, arrays);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(std::ranges::equal(decoded->recipients, statuses));
  EXPECT_EQ(bytes_of_value(*decoded), bytes);
  // Four runs, the last 96 bytes. A run that is too long, empty, or like its neighbour is no encoding of anything.
  const std::size_t runs = bytes.size() - 96;
  for (auto [offset, value] : {std::pair{runs, 3}, {runs, 0}, {runs + 6, 1}, {runs + 24, 2}}) {
    auto wrong = bytes;
    wrong[offset] = static_cast<std::byte>(value);
    EXPECT_FALSE(decode_scheduling(wrong, arrays)) << offset;
  }
  auto same = bytes;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(runs + 4), 20, same.begin() + static_cast<std::ptrdiff_t>(runs + 28));
  EXPECT_FALSE(decode_scheduling(same, arrays));
}

TEST(Records, an_outcome_without_a_host_leaves_the_one_that_is_known) {
  RecipientStatus known = kDeferred;
  known.host = {IpAddress::from_ipv4(0xc6336401), 25};
  const event::Host before = known.host;
  take_over(known, kFailed);
  EXPECT_EQ(known.state, RecipientState::failed);
  EXPECT_EQ(known.host, before);
  RecipientStatus said = kDeferred;
  said.host = {IpAddress::from_ipv4(0xc6336402), 26};
  take_over(known, said);
  EXPECT_EQ(known, said);
}

TEST(Records, envelope_there_and_back) {
  Arrays arrays;
  const auto bytes = sample_envelope();
  const Result<Envelope> decoded = decode_envelope(bytes, arrays);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(bytes_of_value(*decoded), bytes);
  EXPECT_EQ(decoded->recipients[0].parameters, "NOTIFY=NEVER");
  EXPECT_EQ(decoded->recipients[1].address, "\"c d\"@example.com");
  EXPECT_TRUE(decoded->reverse_path.empty());
}

TEST(Records, outcome_there_and_back) {
  Arrays arrays;
  const auto bytes = sample_outcome();
  const Result<Outcome> decoded = decode_outcome(bytes, arrays);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(bytes_of_value(*decoded), bytes);
  EXPECT_EQ(decoded->recipients[1].index, 7u);
  EXPECT_EQ(decoded->host.port, 25);
}

TEST(Records, texts_of_an_outcome_there_and_back) {
  const std::string longer(600, 'x');
  const Outcome::Recipient recipients[] = {{0, kDeferred, "451 later"}, {1, kFailed, ""}, {2, kFailed, longer}};
  const Outcome outcome{.message_generation = 1, .revision = 1, .recipients = recipients};
  std::vector<std::byte> bytes(encoded_detail_bytes(outcome));
  encode_detail(outcome, bytes);
  const auto texts = decode_detail(bytes);
  ASSERT_TRUE(texts);
  ASSERT_EQ(texts->size(), 2u);
  EXPECT_EQ((*texts)[0].text, "451 later");
  EXPECT_EQ((*texts)[1].index, 2u);
  EXPECT_EQ((*texts)[1].text.size(), kReplyTextBytesMax);
}

TEST(Records, texts_of_an_outcome_are_bounded) {
  const std::string text(kReplyTextBytesMax, 'x');
  std::vector<Outcome::Recipient> recipients(1000, {0, kDeferred, text});
  EXPECT_LE(encoded_detail_bytes(Outcome{.recipients = recipients}), kDetailBytesMax);
}

TEST(Records, checkpoint_and_abandon_there_and_back) {
  const auto bytes = sample_checkpoint();
  const auto checkpoint = decode_checkpoint(bytes);
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(bytes_of_value(*checkpoint), bytes);
  std::vector<std::byte> abandon(kAbandonBytes);
  encode(Abandon{7, 99}, abandon);
  EXPECT_EQ(decode_abandon(abandon).value(), (Abandon{7, 99}));
  encode(Abandon{0, 99}, abandon);
  EXPECT_FALSE(decode_abandon(abandon));
}

/// Any change of length is refused, and whatever else is accepted encodes to the very same bytes: no slack, no aliases.
template <typename Decode>
void only_canonical(const std::vector<std::byte>& sample, Decode decode) {
  for (std::size_t size = 0; size < sample.size(); ++size) EXPECT_FALSE(decode(Bytes{sample}.first(size))) << size;
  auto longer = sample;
  longer.push_back({});
  EXPECT_FALSE(decode(longer));
  Prng prng(7);
  for (int round = 0; round < 20'000; ++round) {
    auto mutated = sample;
    for (std::uint64_t i = 0; i <= prng.below(4); ++i) mutated[prng.below(mutated.size())] = static_cast<std::byte>(prng.next());
    decode(mutated);
  }
}

TEST(Records, only_canonical_bytes_are_accepted) {
  Arrays arrays;
  const auto same = [](Bytes bytes, const auto& decoded) {
    if (!decoded) return false;
    EXPECT_TRUE(std::ranges::equal(bytes_of_value(*decoded), bytes));
    return true;
  };
  only_canonical(sample_scheduling(), [&](Bytes bytes) { return same(bytes, decode_scheduling(bytes, arrays)); });
  only_canonical(sample_envelope(), [&](Bytes bytes) { return same(bytes, decode_envelope(bytes, arrays)); });
  only_canonical(sample_outcome(), [&](Bytes bytes) { return same(bytes, decode_outcome(bytes, arrays)); });
  only_canonical(sample_checkpoint(), [&](Bytes bytes) { return same(bytes, decode_checkpoint(bytes)); });
}

}  // namespace
}  // namespace ringpost::spool
