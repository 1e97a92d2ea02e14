// The index must not depend on how the message was cut into spans, nor on what the indexer read before.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "support.hh"

namespace {
std::size_t allocations = 0;  // the tests run on one thread
}
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ringpost::mime {
namespace {

using testing::describe;
using testing::index_of;
using testing::index_of_pieces;
using testing::with_crlf;

const std::string_view kMessages[] = {
    "From: a\nSubject: b\n c\nContent-Type: multipart/mixed;\n\tboundary=\"-x\"\n\npre\n---x\nContent-Type: message/rfc822\n\n"
    "Content-Type: multipart/x; boundary=-xy\n\n---xy\n\n-\n--\n---\n---xy--\n---x\nContent-Disposition: attachment;\n"
    "  filename*0=\"a\\\"\";\n filename*1=b\n\n\n\n---x--\nepi\n--\n",
    "no header\n\n--x\n",
    "Content-Type: multipart/mixed; boundary=x\n--x\n--x\nA\n--x",
    "Content-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=x\n\n\n--x\n\nA: b\n\n\n--x--",
    " fold\nA : b\n--\n",
    "From x\n\r\rA: b\n\n",
};

TEST(MimeSplit, at_every_point_gives_the_same_index) {
  for (const std::string_view lf : kMessages) {
    for (const std::string& message : {std::string(lf), with_crlf(lf)}) {
      const std::string whole = describe(index_of(message), message);
      for (std::size_t cut = 0; cut <= message.size(); ++cut) {
        ASSERT_EQ(describe(index_of_pieces(message, {cut}), message), whole) << "cut at " << cut;
      }
      std::vector<std::size_t> every_byte;
      for (std::size_t cut = 1; cut < message.size(); ++cut) every_byte.push_back(cut);
      ASSERT_EQ(describe(index_of_pieces(message, every_byte), message), whole);
    }
  }
}

TEST(MimeSplit, at_every_pair_of_points_gives_the_same_index) {
  const std::string message = with_crlf("Content-Type: multipart/a; boundary=x\n\n--x\nB: c\n d\n\n-\n--x--\n");
  const Index whole = index_of(message);
  for (std::size_t first = 0; first <= message.size(); ++first) {
    for (std::size_t second = first; second <= message.size(); ++second) {
      ASSERT_EQ(index_of_pieces(message, {first, second}), whole) << first << ", " << second;
    }
  }
}

TEST(MimeSplit, with_limits_in_reach_gives_the_same_index) {
  const std::string message = with_crlf(
      "Content-Type: multipart/mixed; boundary=x; name=\"" + std::string(2100, 'n') + "\"\nLong: " + std::string(2100, 'l') +
      "\n\n--x\nA: b\n\n--x\nC: d\nE: f\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\n--y--\n--x--\n");
  for (const Limits& limits :
       {Limits{.field_bytes_max = 2048}, Limits{.depth_max = 1}, Limits{.depth_max = 0}, Limits{.parts_max = 3},
        Limits{.fields_max = 3}, Limits{.header_bytes_max = 3000}, Limits{.header_bytes_max = 5000}}) {
    const std::string whole = describe(index_of(message, limits), message);
    for (std::size_t cut = 0; cut <= message.size(); cut += 1) {
      Indexer indexer(limits);
      indexer.feed(as_bytes(std::string_view(message).substr(0, cut)));
      indexer.feed(as_bytes(std::string_view(message).substr(cut)));
      const Index& index = indexer.finish();
      ASSERT_EQ(describe(index, message), whole) << "cut at " << cut;
      ASSERT_EQ(testing::broken_invariant(index, message.size()), "");
    }
  }
}

TEST(MimeSplit, a_used_indexer_is_as_good_as_a_new_one) {
  Indexer indexer;
  for (const std::string_view message : kMessages) {
    indexer.reset();
    indexer.feed(as_bytes(message));
    EXPECT_EQ(describe(indexer.finish(), message), describe(index_of(message), message));
  }
}

TEST(MimeSplit, indexing_allocates_nothing) {
  Indexer indexer;
  const std::string message = with_crlf(kMessages[0]);
  std::size_t parts = 0;
  const std::size_t before = allocations;
  for (std::size_t cut = 1; cut < message.size(); ++cut) {
    indexer.reset();
    indexer.feed(as_bytes(std::string_view(message).substr(0, cut)));
    indexer.feed(as_bytes(std::string_view(message).substr(cut)));
    parts += indexer.finish().parts().size();
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(parts, message.size());
}

}  // namespace
}  // namespace ringpost::mime
