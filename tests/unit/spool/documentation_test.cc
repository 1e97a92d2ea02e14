// docs/formats/{segment,records,store}.md say what the code does: their worked examples, byte by byte.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "ringpost/base/id.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/spool/records.hh"
#include "ringpost/spool/store.hh"

namespace ringpost::spool {
namespace {

template <std::size_t Size>
std::array<std::byte, Size> counting(int first) {
  std::array<std::byte, Size> bytes;
  for (std::size_t i = 0; i < Size; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

/// Lines of sixteen bytes behind their offset, as the pages print them.
std::string dump(Bytes bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    const std::byte offset[2] = {static_cast<std::byte>(at >> 8), static_cast<std::byte>(at & 255)};
    text += "    " + hex(offset) + ' ' + hex(bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at))) + '\n';
  }
  return text;
}

std::string page(const std::string& name) {
  std::ifstream file(RP_DOCS "/formats/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_in(const std::string& page_name, const std::string& part) {
  EXPECT_NE(page(page_name).find(part), std::string::npos) << page_name << " should hold:\n" << part;
}

/// One segment with one group of a MESSAGE and an OUTCOME; every input is a row of counting bytes.
struct Example {
  StoreId store{counting<16>(0x10)};
  PartitionId partition{counting<16>(0x20)};
  IncarnationId incarnation{counting<16>(0x30)};
  MessageId message{counting<16>(0x70)};
  std::array<std::byte, 32> metadata_key = counting<32>(0x40);
  std::array<std::byte, 32> message_key = counting<32>(0x80);
  crypto::SegmentHeader header{store, partition, incarnation, 1, counting<16>(0x60), 4_MiB, 0};
  crypto::GenerationKeys keys{metadata_key, store, partition, header.generation, header.salt};
  std::vector<std::byte> block = std::vector<std::byte>(crypto::kBlockBytes), group = std::vector<std::byte>(crypto::kBlockBytes);
  crypto::Sealer sealer{group};
  crypto::GroupHeader group_header{.generation = 1, .number = 1, .written_ns = 1'700'000'000'000'000'000};
  Bytes message_record, outcome_record;
  Key256 detail_key;

  Example() {
    crypto::Sealer::segment_header(header, keys, block);
    crypto::MessageSealer parts(Key256(message_key), store, message);
    detail_key = parts.detail_key();
    const Key256 wrap_key = crypto::derive_wrap_key(counting<32>(0xa0), store, partition, incarnation);
    const crypto::WrappedKey wrapped =
        parts.wrap(crypto::AeadKey(wrap_key.view()),
                   {.scope_key = KeyId{counting<16>(0xc0)}, .partition = partition, .incarnation = incarnation, .owner = 0},
                   counting<12>(0xd0));
    const Envelope::Recipient recipient{"bert@example.net", "", 0};
    const Envelope envelope{.declared_eight_bit = true,
                            .client = IpAddress::from_ipv4(0xc0000201),
                            .helo = "client.example",
                            .reverse_path = "anna@example.org",
                            .recipients = {&recipient, 1}};
    const std::string_view body = "Subject: hi\r\n\r\nhello\r\n";
    const RecipientStatus waiting;
    const WallTime arrived{Duration{1'700'000'000'000'000'000}};
    const Scheduling scheduling{
        .arrived = arrived, .due = arrived, .size = body.size(), .mail_class = MailClass::outgoing, .recipients = {&waiting, 1}};
    {
      crypto::RecordSealer record(
          sealer.slot(crypto::record_bytes(1, encoded_bytes(envelope), body.size(), encoded_bytes(scheduling))), 3, 1, 0, message,
          1);
      record.add_wrapped_key(wrapped);
      encode(envelope, record.envelope_room(encoded_bytes(envelope)));
      record.seal_envelope(parts);
      record.seal_final(parts, as_bytes(body));
      encode(scheduling, record.metadata_room(encoded_bytes(scheduling)));
      const crypto::SealedRecord sealed = record.finish(keys.metadata);
      message_record = sealed.view();
      sealer.add(sealed);
    }
    const Outcome::Recipient delivered{0, {.state = RecipientState::delivered, .attempts = 1, .reply = {250, 2, 0, 0}}, "250 ok"};
    const Outcome outcome{.message_generation = 1,
                          .revision = 1,
                          .due = arrived,
                          .host = {IpAddress::from_ipv4(0xc6336401), 25},
                          .recipients = {&delivered, 1}};
    const std::size_t detail = encoded_detail_bytes(outcome);
    crypto::RecordSealer record(sealer.slot(crypto::record_bytes(0, crypto::kNonceBytes + detail, {}, encoded_bytes(outcome))), 4,
                                1, 0, message, 2);
    std::vector<std::byte> texts(detail);
    encode_detail(outcome, texts);
    record.seal_detail(crypto::AeadKey(detail_key.view()), counting<12>(0xf0), texts);
    encode(outcome, record.metadata_room(encoded_bytes(outcome)));
    const crypto::SealedRecord sealed = record.finish(keys.metadata);
    outcome_record = sealed.view();
    sealer.add(sealed);
    sealer.finish(group_header, keys);
  }
};

TEST(SegmentPage, the_worked_example_is_what_the_code_writes) {
  const Example example;
  expect_in("segment.md", dump(Bytes{example.block}.first(160)));
  expect_in("segment.md", dump(Bytes{example.group}.first(crypto::GroupHeader::kBytes)));
  expect_in("segment.md", "MAC key      " + hex(example.keys.mac.view()));
  const Key256 metadata = crypto::derive_key(example.metadata_key, example.header.salt, "ringpost metadata",
                                             {example.store.bytes, example.partition.bytes, Bytes{example.block}.subspan(64, 8)});
  expect_in("segment.md", "metadata key " + hex(metadata.view()));
  EXPECT_EQ(crypto::verify_group(example.group, example.group_header, example.keys), crypto::GroupFault::none);
}

TEST(RecordsPage, the_worked_examples_are_what_the_code_writes) {
  const Example example;
  expect_in("records.md", dump(example.message_record));
  expect_in("records.md", dump(example.outcome_record));
  expect_in("records.md", "detail key   " + hex(example.detail_key.view()));
}

TEST(StorePage, the_worked_example_is_what_the_code_writes) {
  const auto file = encode_store_file(StoreId{counting<16>(0x10)});
  expect_in("store.md", dump(file));
  EXPECT_EQ(decode_store_file(file).value(), StoreId{counting<16>(0x10)});
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    auto flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_store_file(flipped));
  }
}

}  // namespace
}  // namespace ringpost::spool
