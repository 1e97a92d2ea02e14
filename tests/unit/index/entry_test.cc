// The encoding of entries: every value survives, every other byte string is refused.
#include <fstream>
#include <sstream>

#include "index_world.hh"

namespace ringpost::index {
namespace {

std::vector<std::byte> encoded(const Entry& entry) {
  std::vector<std::byte> out;
  append_encoded(entry, out);
  return out;
}

Entry example() {
  Entry entry{.id = *id_from_hex<MessageId>("000102030405060708090a0b0c0d0e0f")};
  entry.place = {.generation = 5, .offset = 8192, .length = 4408};
  entry.revision = 2;
  entry.size = 3000;
  entry.arrived = WallTime{std::chrono::seconds{1'800'000'000}};
  entry.due = WallTime{std::chrono::seconds{1'800'000'900}};
  entry.mail_class = spool::MailClass::incoming;
  entry.recipients.assign(3, {});
  entry.recipients[2] = {.state = spool::RecipientState::failed,
                         .attempts = 2,
                         .reason = event::Reason::next_hop_refused,
                         .reply = {.code = 550, .enhanced_class = 5, .enhanced_subject = 1, .enhanced_detail = 1}};
  return entry;
}

TEST(IndexEntry, any_entry_survives) {
  Prng prng(1);
  for (int i = 0; i < 2000; ++i) {
    const Entry entry = random_entry(prng);
    const Result<Entry> again = decode_entry(entry.id, encoded(entry));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, entry);
  }
}

TEST(IndexEntry, extremes_survive) {
  Entry entry = example();
  entry.place = {~std::uint64_t{0}, ~std::uint32_t{0}, ~std::uint32_t{0}};
  entry.revision = ~std::uint32_t{0};
  entry.size = ~std::uint64_t{0};
  entry.arrived = WallTime::min();
  entry.due = WallTime::max();
  entry.chunks = {{1, 1, 1}, {~std::uint64_t{0}, spool::kChunksMax - 1, ~std::uint64_t{0}}};
  entry.recipients.assign(spool::kRecipientsMax, {});
  const auto bytes = encoded(entry);
  EXPECT_LT(bytes.size(), 100u) << "equal recipients share one run";
  const Result<Entry> again = decode_entry(entry.id, bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, entry);
}

TEST(IndexEntry, the_example_of_the_format_page_is_what_the_code_writes) {
  std::ifstream page{RP_DOCS "/formats/index.md"};
  std::stringstream text;
  text << page.rdbuf();
  ASSERT_FALSE(text.str().empty());
  EXPECT_NE(text.str().find("    " + hex(encoded(example())) + "\n"), std::string::npos) << hex(encoded(example()));
}

TEST(IndexEntry, a_piece_of_an_entry_is_refused) {
  const auto bytes = encoded(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_entry({}, Bytes{bytes}.first(size))) << size;
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_entry({}, longer));
}

TEST(IndexEntry, what_decodes_has_no_other_encoding) {
  Prng prng(2);
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    auto bytes = encoded(random_entry(prng));
    bytes[prng.below(bytes.size())] = static_cast<std::byte>(prng.below(256));
    const Result<Entry> entry = decode_entry({}, bytes);
    if (!entry) continue;
    ++accepted;
    ASSERT_EQ(encoded(*entry), bytes);
  }
  EXPECT_GT(accepted, 1000) << "damage that only changes values is not for the decoder to see";
}

TEST(IndexEntry, is_scheduled_while_somebody_waits_and_nobody_holds_it) {
  Entry entry = example();
  EXPECT_TRUE(entry.is_scheduled());
  entry.held = true;
  EXPECT_FALSE(entry.is_scheduled());
  entry.held = false;
  for (auto& recipient : entry.recipients) recipient.state = spool::RecipientState::delivered;
  EXPECT_FALSE(entry.is_scheduled());
}

}  // namespace
}  // namespace ringpost::index
