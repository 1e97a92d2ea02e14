#include "ringpost/shard/work_table.hh"

#include <algorithm>
#include <cstring>
#include <new>

#include "ringpost/base/assert.hh"

namespace ringpost::shard {

namespace {
constexpr char kMagic[8] = {'R', 'P', 'W', 'O', 'R', 'K', '1', '\n'};
}

WorkTable::WorkTable(MutableBytes memory) : table_(*reinterpret_cast<Layout*>(memory.data())) {
  RP_ASSERT(memory.size() >= kBytes && reinterpret_cast<std::uintptr_t>(memory.data()) % alignof(Layout) == 0);
  if (std::memcmp(table_.magic, kMagic, sizeof kMagic) != 0) {
    std::ranges::fill(memory.first(kBytes), std::byte{});
    std::memcpy(table_.magic, kMagic, sizeof kMagic);
  }
  for (MessageId& message : table_.in_work) {
    if (table_.failed != 0 && !message.is_zero()) name(message);
    message = {};
  }
  table_.failed = 0;
  for (std::uint32_t slot = kSlots; slot-- > 0;) free_.push_back(slot);
}

void WorkTable::begin(const MessageId& message) {
  if (free_.empty()) return;
  table_.in_work[free_.back()] = message;
  free_.pop_back();
}

void WorkTable::end(const MessageId& message) {
  MessageId* const slot = std::ranges::find(table_.in_work, message);
  if (slot == std::end(table_.in_work)) return;
  *slot = {};
  free_.push_back(static_cast<std::uint32_t>(slot - table_.in_work));
}

const WorkTable::Named* WorkTable::find(const MessageId& message) const {
  const Named* const found = std::ranges::find(table_.named, message, &Named::message);
  return found == std::end(table_.named) ? nullptr : found;
}

bool WorkTable::is_poison(const MessageId& message) const {
  const Named* const known = find(message);
  return known && known->deaths >= kDeaths;
}

void WorkTable::name(const MessageId& message) {
  Named* place = const_cast<Named*>(find(message));
  if (!place) {  // a free one, or that of the message that was named longest ago
    place = std::ranges::min_element(table_.named, {}, &Named::age);
    *place = {message, 0, 0};
  }
  ++place->deaths;
  place->age = ++table_.clock;
}

void WorkTable::forget(const MessageId& message) {
  if (Named* known = const_cast<Named*>(find(message))) *known = {};
}

void WorkTable::blame(std::byte* memory) noexcept {
  Layout* const table = reinterpret_cast<Layout*>(memory);
  if (std::memcmp(table->magic, kMagic, sizeof kMagic) == 0) table->failed = 1;
}

}  // namespace ringpost::shard
