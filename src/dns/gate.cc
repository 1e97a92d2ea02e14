#include "gate.hh"

#include <algorithm>

namespace ringpost::dns {

runtime::Task<bool> FairGate::enter(std::uint64_t party, Instant deadline) {
  if (closed_) co_return false;
  if (inside_ < open_max_ && waiting_ == 0) {
    ++inside_;
    co_return true;
  }
  if (waiting_ >= waiting_max_ && !make_room(party)) co_return false;
  Waiter waiter(ring_);
  lanes_[party].push_back(&waiter);
  ++waiting_;
  while (waiter.state == State::waiting) {
    const bool in_time = co_await waiter.signal.wait(deadline);
    if (in_time || waiter.state != State::waiting) continue;
    remove(party, waiter);
    waiter.state = State::refused;
  }
  co_return waiter.state == State::admitted;
}

void FairGate::leave() {
  RP_ASSERT(inside_ > 0);
  --inside_;
  if (lanes_.empty()) return;
  auto lane = lanes_.upper_bound(served_last_);
  if (lane == lanes_.end()) lane = lanes_.begin();
  served_last_ = lane->first;
  Waiter& next = *lane->second.front();
  remove(lane->first, next);
  ++inside_;
  settle(next, State::admitted);
}

void FairGate::close() {
  closed_ = true;
  while (!lanes_.empty()) {
    Waiter& waiter = *lanes_.begin()->second.front();
    remove(lanes_.begin()->first, waiter);
    settle(waiter, State::refused);
  }
}

bool FairGate::make_room(std::uint64_t party) {
  const auto longest = std::ranges::max_element(lanes_, {}, [](const auto& lane) { return lane.second.size(); });
  auto own = lanes_.find(party);
  const std::size_t own_size = own == lanes_.end() ? 0 : own->second.size();
  if (longest == lanes_.end() || longest->second.size() <= own_size + 1) return false;
  Waiter& latest = *longest->second.back();
  remove(longest->first, latest);
  settle(latest, State::refused);
  return true;
}

void FairGate::remove(std::uint64_t party, Waiter& waiter) {
  auto lane = lanes_.find(party);
  std::erase(lane->second, &waiter);
  if (lane->second.empty()) lanes_.erase(lane);
  --waiting_;
}

void FairGate::settle(Waiter& waiter, State state) {
  waiter.state = state;
  waiter.signal.notify_one();
}

}  // namespace ringpost::dns
