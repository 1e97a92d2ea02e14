// Contract: files, directories, and the fdatasync that waits for its write.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "contract_support.hh"

namespace ringpost::runtime::contract {

namespace {

Task<void> write_and_read(Ring& ring, std::string path) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR | O_EXCL);
  CO_ASSERT(file);
  auto first = pattern(5000), second = pattern(300, 7);
  auto written = co_await ring.write(*file, sealed(first), 0);
  EXPECT_TRUE(written && *written == 5000);
  written = co_await ring.write(*file, sealed(second), 10'000);
  EXPECT_TRUE(written && *written == 300);
  auto synced = co_await ring.sync_data(*file);
  EXPECT_TRUE(synced);
  auto info = ring.file_info(*file);
  EXPECT_TRUE(info && info->size == 10'300 && info->is_regular && !info->is_directory && info->links == 1);

  std::vector<std::byte> found(20'000, std::byte{0xff});
  auto read = co_await ring.read(*file, found, 0);
  CO_ASSERT(read && *read == 10'300);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), found.begin()));
  EXPECT_TRUE(std::all_of(found.begin() + 5000, found.begin() + 10'000, [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_TRUE(std::equal(second.begin(), second.end(), found.begin() + 10'000));
  read = co_await ring.read(*file, MutableBytes{found}.first(10), 10'295);
  EXPECT_TRUE(read && *read == 5);
  read = co_await ring.read(*file, MutableBytes{found}.first(10), 10'300);
  EXPECT_TRUE(read && *read == 0);
  auto closed = co_await ring.close(*file);
  EXPECT_TRUE(closed);

  auto again = co_await open_file(ring, path, O_CREAT | O_RDWR | O_EXCL);
  EXPECT_TRUE(!again && again.error().code == Errc::exists);
  auto absent = co_await open_file(ring, path + ".none", O_RDONLY);
  EXPECT_TRUE(!absent && absent.error().code == Errc::not_found);
}

Task<void> write_then_sync(Ring& ring, std::string path) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto bytes = pattern(8192);
  auto good = co_await ring.write_then_sync(*file, sealed(bytes), 4096);
  EXPECT_TRUE(good.written && *good.written == 8192);
  EXPECT_TRUE(good.synced);
  auto read_only = co_await open_file(ring, path, O_RDONLY);
  CO_ASSERT(read_only);
  auto bad = co_await ring.write_then_sync(*read_only, sealed(bytes), 0);
  EXPECT_FALSE(bad.written);
  EXPECT_TRUE(!bad.synced && bad.synced.error().code == Errc::cancelled);
  (void)co_await ring.close(*read_only);
  (void)co_await ring.close(*file);
  auto info = ring.path_info(path);
  EXPECT_TRUE(info && info->size == 12'288);
}

Task<void> many_chains(Ring& ring, std::string path, std::size_t count) {
  auto good = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(good);
  auto bad = co_await open_file(ring, path, O_RDONLY);
  CO_ASSERT(bad);
  auto bytes = pattern(512);
  // Every third write fails; exactly its own sync is cancelled, however the chains fall on the queues.
  std::vector<std::unique_ptr<RawOperation>> syncs, writes;
  for (std::size_t i = 0; i < count; ++i) {
    Fd fd = i % 3 == 0 ? *bad : *good;
    syncs.push_back(std::make_unique<RawOperation>(ring, Operation{.code = OpCode::sync_data, .fd = fd}));
    Operation write{.code = OpCode::write, .fd = fd, .size = 512, .buffer = bytes.data(), .offset = i * 512};
    write.linked = &syncs.back()->operation();
    writes.push_back(std::make_unique<RawOperation>(ring, write));
    writes.back()->start();
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t written = co_await *writes[i];
    std::int32_t synced = co_await *syncs[i];
    if (i % 3 == 0) {
      EXPECT_LT(written, 0);
      EXPECT_EQ(synced, -ECANCELED);
    } else {
      EXPECT_EQ(written, 512);
      EXPECT_EQ(synced, 0);
    }
  }
  (void)co_await ring.close(*bad);
  (void)co_await ring.close(*good);
}

Task<void> arrange_directory(Ring& ring, std::string path) {
  std::string inner = path + "/inner";
  auto made = co_await ring.make_directory(inner.c_str());
  EXPECT_TRUE(made);
  made = co_await ring.make_directory(inner.c_str());
  EXPECT_TRUE(!made && made.error().code == Errc::exists);
  auto directory = co_await open_file(ring, inner, O_RDONLY | O_DIRECTORY);
  CO_ASSERT(directory);
  for (const char* name : {"c", "a", "b"}) {
    auto opened = co_await ring.open(name, O_CREAT | O_WRONLY, 0600, *directory);
    CO_ASSERT(opened);
    (void)co_await ring.close(Fd{static_cast<int>(*opened)});
  }
  auto renamed = co_await ring.rename("a", "z", *directory);
  EXPECT_TRUE(renamed);
  renamed = co_await ring.rename("none", "other", *directory);
  EXPECT_TRUE(!renamed && renamed.error().code == Errc::not_found);
  renamed = co_await ring.rename("b", "z", *directory);  // takes the other's place
  EXPECT_TRUE(renamed);
  auto deeper = co_await ring.make_directory("deeper", 0700, *directory);
  EXPECT_TRUE(deeper);
  auto synced = co_await ring.sync_all(*directory);
  EXPECT_TRUE(synced);

  auto entries = ring.list_directory(inner);
  CO_ASSERT(entries && entries->size() == 3);
  EXPECT_EQ((*entries)[0].name, "c");
  EXPECT_EQ((*entries)[1].name, "deeper");
  EXPECT_EQ((*entries)[2].name, "z");
  EXPECT_FALSE((*entries)[0].is_directory);
  EXPECT_TRUE((*entries)[1].is_directory);

  auto removed = co_await ring.unlink("c", *directory);
  EXPECT_TRUE(removed);
  removed = co_await ring.unlink("c", *directory);
  EXPECT_TRUE(!removed && removed.error().code == Errc::not_found);
  removed = co_await ring.unlink((inner + "/z").c_str());
  EXPECT_TRUE(removed);
  entries = ring.list_directory(inner);
  EXPECT_TRUE(entries && entries->size() == 1);
  (void)co_await ring.close(*directory);

  auto info = ring.path_info(inner);
  EXPECT_TRUE(info && info->is_directory && !info->is_regular && !info->is_symlink);
  auto nothing = ring.path_info(inner + "/z");
  EXPECT_TRUE(!nothing && nothing.error().code == Errc::not_found);
  auto unlisted = ring.list_directory(path + "/none");
  EXPECT_TRUE(!unlisted && unlisted.error().code == Errc::not_found);
  auto disk = ring.disk_info(path);
  EXPECT_TRUE(disk && disk->bytes_total > 0 && disk->bytes_free <= disk->bytes_total && disk->device == info->device);
}

Task<void> an_unlinked_file_lives_on(Ring& ring, std::string path) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto bytes = pattern(100), found = pattern(100, 3);
  (void)co_await ring.write(*file, sealed(bytes), 0);
  auto removed = co_await ring.unlink(path.c_str());
  EXPECT_TRUE(removed);
  auto read = co_await ring.read(*file, found, 0);
  EXPECT_TRUE(read && *read == 100 && found == bytes);
  (void)co_await ring.close(*file);
}

Task<void> allocate(Ring& ring, std::string path) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto allocated = co_await ring.allocate(*file, 0, 1_MiB);
  EXPECT_TRUE(allocated);
  auto info = ring.file_info(*file);
  EXPECT_TRUE(info && info->size == 1_MiB);
  std::vector<std::byte> found(4096, std::byte{1});
  auto read = co_await ring.read(*file, found, 1_MiB - 4096);
  EXPECT_TRUE(read && *read == 4096 && found == std::vector<std::byte>(4096));
  (void)co_await ring.close(*file);
}

Task<void> lock_twice(Ring& ring, std::string path) {
  auto first = co_await open_file(ring, path, O_CREAT | O_RDWR);
  auto second = co_await open_file(ring, path, O_RDWR);
  CO_ASSERT(first && second);
  auto locked = ring.lock_file(*first);
  EXPECT_TRUE(locked);
  locked = ring.lock_file(*first);
  EXPECT_TRUE(locked) << "the holder may ask again";
  locked = ring.lock_file(*second);
  EXPECT_TRUE(!locked && locked.error().code == Errc::busy);
  (void)co_await ring.close(*first);
  locked = ring.lock_file(*second);
  EXPECT_TRUE(locked);
  (void)co_await ring.close(*second);
}

Task<void> through_io_buffers(Ring& ring, std::string path, MutableBytes buffer) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto bytes = pattern(buffer.size());
  copy_bytes(buffer, bytes);
  auto written = co_await ring.write_then_sync(*file, sealed(buffer), 0);
  EXPECT_TRUE(written.written && *written.written == buffer.size() && written.synced);
  std::ranges::fill(buffer, std::byte{0});
  auto read = co_await ring.read(*file, buffer, 0);
  EXPECT_TRUE(read && *read == buffer.size());
  EXPECT_TRUE(std::ranges::equal(buffer, bytes));
  // A part of the buffer, at an odd place.
  read = co_await ring.read(*file, buffer.subspan(77, 1000), 13);
  EXPECT_TRUE(read && *read == 1000);
  EXPECT_TRUE(std::ranges::equal(buffer.subspan(77, 1000), Bytes{bytes}.subspan(13, 1000)));
  (void)co_await ring.close(*file);
}

Task<void> misuse_descriptors(Ring& ring) {
  std::byte byte{};
  auto read = co_await ring.read(Fd{987'654}, {&byte, 1}, 0);
  EXPECT_FALSE(read);
  auto closed = co_await ring.close(Fd{987'654});
  EXPECT_FALSE(closed);
  auto synced = co_await ring.sync_data(Fd{987'654});
  EXPECT_FALSE(synced);
  auto sent = co_await ring.send(Fd{987'654}, {&byte, 1});
  EXPECT_FALSE(sent);
  auto shut = co_await ring.shutdown(Fd{987'654}, 1);
  EXPECT_FALSE(shut);
}

}  // namespace

TEST_P(RingContract, what_is_written_is_read) { drive(write_and_read(ring(), world().directory() + "/file")); }
TEST_P(RingContract, H5_a_failed_write_cancels_its_sync) { drive(write_then_sync(ring(), world().directory() + "/file")); }
TEST_P(RingContract, chains_stay_whole_in_small_queues) {
  make_world({.entries = 8, .completions = 16});
  drive(many_chains(ring(), world().directory() + "/file", 100));
}
TEST_P(RingContract, directories_are_made_listed_and_synced) { drive(arrange_directory(ring(), world().directory())); }
TEST_P(RingContract, an_unlinked_file_lives_while_it_is_open) {
  drive(an_unlinked_file_lives_on(ring(), world().directory() + "/file"));
}
TEST_P(RingContract, allocated_space_reads_as_zeros) { drive(allocate(ring(), world().directory() + "/file")); }
TEST_P(RingContract, a_lock_is_held_once) { drive(lock_twice(ring(), world().directory() + "/lock")); }
TEST_P(RingContract, io_buffers_are_written_and_read) {
  auto buffer = ring().make_io_buffer(100'000);
  ASSERT_TRUE(buffer);
  EXPECT_GE(buffer->size(), 100'000u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 4096, 0u);
  drive(through_io_buffers(ring(), world().directory() + "/file", *buffer));
}
TEST_P(RingContract, a_wrong_descriptor_is_an_error_not_a_crash) { drive(misuse_descriptors(ring())); }

}  // namespace ringpost::runtime::contract
