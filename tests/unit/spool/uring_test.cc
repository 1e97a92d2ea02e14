// The spool on the kernel's ring and a real filesystem.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/spool/log.hh"
#include "ringpost/spool/message_reader.hh"
#include "ringpost/spool/store.hh"

namespace ringpost::spool {
namespace {

using runtime::Task;

struct Places : RecoveryVisitor {
  struct Place {
    MessageId id;
    Position place;
    std::vector<Extent> chunks;
  };
  std::vector<Place> messages;
  std::size_t damages = 0;
  void on_message(const RecoveredMessage& message) override { 
    messages.push_back({message.id, message.place, extents_of(message.scheduling.chunks)});
  }
  void on_outcome(const RecoveredOutcome&) override {}
  void on_audit(const IncarnationId&, std::uint64_t, Bytes) override {}
  void on_audit_acknowledged(const AuditMark&) override {}
  void on_damage(const Damage&) override { ++damages; }
};

class SpoolOnUring : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (std::filesystem::temp_directory_path() / "ringpost-spool.XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    auto ring = runtime::UringRing::create({});
    if (!ring) GTEST_SKIP() << "no io_uring here";
    ring_ = std::move(*ring);
    for (MutableBytes& buffer : buffers_) buffer = *ring_->make_io_buffer(256_KiB);
    ASSERT_TRUE(ring_->start());
  }
  void TearDown() override {
    ring_.reset();
    std::filesystem::remove_all(folder_);
  }
  void drive(Task<void> task) {
    runtime::Scope scope(*ring_);
    scope.spawn(std::move(task));
    while (scope.running() > 0)
      ring_->run_once(std::chrono::milliseconds{20});  // what the ready frames end is seen after the turn
  }

  Task<void> prepare() {
    Result<> probed = co_await probe_direct(*ring_, folder_);
    direct_ = probed.has_value();
    if (!probed) EXPECT_EQ(probed.error().code, Errc::unsupported);
    const std::string name = co_await filesystem_name(*ring_, folder_);
    EXPECT_NE(name, "unknown");
    Result<std::optional<StoreId>> none = co_await read_store(*ring_, folder_);
    EXPECT_TRUE(none && !*none);
    Result<> created = co_await create_store(*ring_, folder_, store_);
    EXPECT_TRUE(created);
    Result<> again = co_await create_store(*ring_, folder_, store_);
    EXPECT_EQ(again.error().code, Errc::exists);
    Result<std::optional<StoreId>> found = co_await read_store(*ring_, folder_);
    EXPECT_TRUE(found && *found == store_);
    EXPECT_TRUE(is_empty(*ring_, folder_).value_or(false));
    Result<> partition = co_await create_partition(*ring_, folder_, partition_);
    EXPECT_TRUE(partition);
    EXPECT_EQ(list_partitions(*ring_, folder_).value(), std::vector{partition_});
  }

  Task<void> open(Places& places) {
    LogOptions options;
    options.directory = partition_directory(folder_, partition_);
    options.store = store_;
    options.partition = partition_;
    options.direct = direct_;
    options.segment_bytes = 1_MiB;
    options.buffers[0] = buffers_[0];
    options.buffers[1] = buffers_[1];
    auto opened = co_await Log::open(*ring_, options, std::vector<std::byte>(32), places);
    EXPECT_TRUE(opened);
    if (!opened) co_return;
    log_ = std::move(*opened);
    for (const Places::Place& known : places.messages) log_->retain(known.id, known.place, known.chunks);
    Result<> started = co_await log_->start();
    EXPECT_TRUE(started);
  }

  Task<void> send(std::uint8_t number, std::size_t bytes) {
    const MessageId id{{std::byte{number}}};
    crypto::MessageSealer sealer(Key256(std::vector<std::byte>(32, std::byte{number})), store_, id);
    std::string body(bytes, static_cast<char>('a' + number));
    std::string_view rest = body;
    Chunks chunks;
    while (rest.size() > crypto::kChunkBytesMax) {
      Result<Room> room = co_await log_->reserve(bytes_of_chunk(crypto::kChunkBytesMax), Use::mail);
      Result<Position> added = room->add_chunk(chunks, sealer, as_bytes(rest.substr(0, crypto::kChunkBytesMax)));
      EXPECT_TRUE(added);
      room->commit();
      rest.remove_prefix(crypto::kChunkBytesMax);
    }
    const crypto::WrappedKey wrapped;
    const RecipientStatus status;
    const Envelope::Recipient recipient{"bert@example.net", "", 0};
    MessageDraft draft;
    draft.sealer = &sealer;
    draft.keys = {&wrapped, 1};
    draft.scheduling.size = bytes;
    draft.scheduling.recipients = {&status, 1};
    draft.envelope.recipients = {&recipient, 1};
    draft.last_piece = as_bytes(rest);
    draft.chunks = &chunks;
    Result<Room> room = co_await log_->reserve(bytes_of(draft), Use::mail);
    Result<Position> place = room->add_message(draft);
    EXPECT_TRUE(place);
    const Ticket ticket = room->commit();
    Result<> done = co_await log_->durable(ticket);
    EXPECT_TRUE(done);
  }

  Task<void> read(MessageId id, Position place, std::size_t bytes) {
    MessageReader reader(*log_, id, place);
    Result<> loaded = co_await reader.load();
    EXPECT_TRUE(loaded);
    EXPECT_TRUE(reader.unlock(Key256(std::vector<std::byte>(32, id.bytes[0]))));
    for (int round = 0; round < 2; ++round) {
      std::size_t seen = 0;
      while (true) {
        Result<Bytes> piece = co_await reader.next();
        EXPECT_TRUE(piece);
        if (!piece || piece->empty()) break;
        EXPECT_EQ(std::to_integer<int>(piece->front()), 'a' + std::to_integer<int>(id.bytes[0]));
        seen += piece->size();
      }
      EXPECT_EQ(seen, bytes);
      reader.rewind();
    }
  }

  std::string folder_;
  std::unique_ptr<runtime::UringRing> ring_;
  MutableBytes buffers_[2];
  bool direct_ = true;
  StoreId store_{{std::byte{1}}};
  PartitionId partition_{{std::byte{2}}};
  std::unique_ptr<Log> log_;
};

TEST_F(SpoolOnUring, mail_survives_a_restart) {
  drive(prepare());
  Places first, second;
  drive(open(first));
  ASSERT_NE(log_, nullptr);
  EXPECT_TRUE(first.messages.empty());
  const std::size_t sizes[] = {10, 4096, 65'537, 700'000};
  for (std::uint8_t i = 0; i < 4; ++i) drive(send(static_cast<std::uint8_t>(i + 1), sizes[i]));
  drive(log_->stop());
  log_.reset();
  EXPECT_FALSE(is_empty(*ring_, folder_).value_or(true));
  drive(open(second));
  ASSERT_EQ(second.messages.size(), 4u);
  EXPECT_EQ(second.damages, 0u);
  for (std::size_t i = 0; i < 4; ++i) drive(read(second.messages[i].id, second.messages[i].place, sizes[i]));
  drive(log_->stop());
  log_.reset();
}

}  // namespace
}  // namespace ringpost::spool
