#include "ringpost/shard/work_table.hh"

#include <gtest/gtest.h>

#include <array>

namespace ringpost::shard {
namespace {

struct Memory {
  alignas(64) std::array<std::byte, WorkTable::kBytes> bytes{};
  void fail() { WorkTable::blame(bytes.data()); }
};

MessageId id(std::uint32_t number) {
  MessageId id;
  store_le(id.bytes.data(), number);
  return id;
}

TEST(WorkTable, a_message_named_by_two_deaths_is_poison_and_its_neighbours_are_not) {
  Memory memory;
  {
    WorkTable table{memory.bytes};
    table.begin(id(1));
    table.begin(id(2));
    table.begin(id(3));
    table.end(id(3));
    memory.fail();
  }
  {
    WorkTable table{memory.bytes};
    EXPECT_FALSE(table.is_poison(id(1)));
    table.begin(id(1));
    table.begin(id(4));
    memory.fail();
  }
  WorkTable table{memory.bytes};
  EXPECT_TRUE(table.is_poison(id(1)));
  for (std::uint32_t other : {2u, 3u, 4u}) EXPECT_FALSE(table.is_poison(id(other))) << other;
  table.forget(id(1));
  EXPECT_FALSE(table.is_poison(id(1)));
}

TEST(WorkTable, who_is_killed_from_outside_blames_nobody) {
  Memory memory;
  for (int start = 0; start < 5; ++start) {
    WorkTable table{memory.bytes};
    EXPECT_FALSE(table.is_poison(id(1)));
    table.begin(id(1));
  }
}

TEST(WorkTable, two_deaths_need_not_follow_each_other) {
  Memory memory;
  for (int start = 0; start < 6; ++start) {
    WorkTable table{memory.bytes};
    EXPECT_EQ(table.is_poison(id(1)), start > 4) << start;
    table.begin(id(1));
    if (start == 0 || start == 4) memory.fail();
  }
}

TEST(WorkTable, more_messages_than_places_go_unnamed) {
  Memory memory;
  {
    WorkTable table{memory.bytes};
    for (std::uint32_t number = 1; number <= 1000; ++number) table.begin(id(number));
    for (std::uint32_t number = 1000; number > 100; --number) table.end(id(number));
    table.begin(id(2000));
    memory.fail();
  }
  WorkTable table{memory.bytes};
  table.begin(id(1));
  table.begin(id(2000));
  table.begin(id(500));
  memory.fail();
  WorkTable last{memory.bytes};
  EXPECT_TRUE(last.is_poison(id(1)) && last.is_poison(id(2000)));
  EXPECT_FALSE(last.is_poison(id(500)));
}

TEST(WorkTable, the_one_named_longest_ago_makes_room) {
  Memory memory;
  for (std::uint32_t number = 1; number <= 200; ++number) {
    WorkTable table{memory.bytes};
    table.begin(id(number));
    memory.fail();
  }
  for (std::uint32_t number : {1u, 200u}) {
    WorkTable table{memory.bytes};
    table.begin(id(number));
    memory.fail();
  }
  WorkTable table{memory.bytes};
  EXPECT_FALSE(table.is_poison(id(1))) << "its first death is forgotten";
  EXPECT_TRUE(table.is_poison(id(200)));
}

TEST(WorkTable, foreign_memory_is_begun_anew) {
  Memory memory;
  memory.bytes.fill(std::byte{0xff});
  memory.fail();
  WorkTable table{memory.bytes};
  MessageId ones;
  ones.bytes.fill(std::byte{0xff});
  EXPECT_FALSE(table.is_poison(ones));
}

}  // namespace
}  // namespace ringpost::shard
