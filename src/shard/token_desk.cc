#include "shard/token_desk.hh"

#include <algorithm>

namespace ringpost::shard {

namespace {

using Seconds = std::chrono::duration<double>;

constexpr Duration kAhead = std::chrono::milliseconds(100), kLife = std::chrono::seconds(1);

double tokens_in(const config::Rate& rate, Duration time) {
  return static_cast<double>(rate.messages) * (Seconds(time).count() / Seconds(rate.per).count());
}

}  // namespace

// ---- what this shard wants and has

bool TokenDesk::take_token(std::uint64_t destination, const config::Rate& rate, std::size_t waiting) {
  auto [found, fresh] = purses_.try_emplace(destination);
  Purse& purse = found->second;
  if (fresh) purse.number = ++purses_begun_;
  purse.rate = rate;
  if (ring_.now() >= purse.until) purse.used = purse.granted;
  const bool had = use_one(purse);
  // Others may wait beside this one: nobody asks for them when it goes.
  const std::uint64_t left = waiting - (had ? 1 : 0);
  const auto ahead = static_cast<std::uint64_t>(std::max(1.0, tokens_in(rate, kAhead)));
  const std::uint64_t wanted = std::min(left, ahead), have = purse.granted - purse.used, coming = purse.wanted - purse.granted;
  if (have + coming < wanted) ask(destination, purse, wanted - have);
  return had || use_one(purse);  // at home the answer is there at once
}

bool TokenDesk::use_one(Purse& purse) {
  if (purse.used == purse.granted) return false;
  ++purse.used;
  return true;
}

/// `more`: than it was granted.
void TokenDesk::ask(std::uint64_t destination, Purse& purse, std::uint64_t more) {
  purse.wanted = purse.granted + more;
  MeshMessage message{.kind = MeshMessage::Kind::tokens_wanted};
  message.destination = destination;
  message.line = purse.number;
  message.limit = static_cast<std::uint32_t>(purse.rate.messages);
  message.per = purse.rate.per;
  message.total = purse.wanted;
  message.granted = purse.granted;
  send_(destination % shards_, message);
}

void TokenDesk::forget(std::uint64_t destination) {
  auto found = purses_.find(destination);
  if (found == purses_.end()) return;
  Purse purse = found->second;
  purses_.erase(found);
  if (purse.wanted > purse.granted) ask(destination, purse, 0);
}

void TokenDesk::take(std::size_t from, const MeshMessage& message) {
  if (message.kind == MeshMessage::Kind::tokens_wanted) take_wish(from, message);
  else take_grant(message);
}

void TokenDesk::take_grant(const MeshMessage& message) {
  auto found = purses_.find(message.destination);
  if (found == purses_.end() || found->second.number != message.line) return;  // of a purse that is over
  Purse& purse = found->second;
  if (message.total <= purse.granted) return;
  const Instant now = ring_.now();
  if (now >= purse.until) purse.used = purse.granted;
  purse.granted = message.total;
  purse.wanted = std::max(purse.wanted, purse.granted);
  const Duration interval = purse.rate.per / static_cast<Duration::rep>(purse.rate.messages);
  purse.until = now + std::max(kLife, interval);
  if (deliverer_) deliverer_->tokens_came(message.destination);
}

// ---- the home of a destination

void TokenDesk::take_wish(std::size_t from, const MeshMessage& message) {
  const config::Rate rate{message.limit, message.per};
  auto [found, fresh] = homes_.try_emplace(message.destination, Home{{shards_, rate, ring_.now()}, std::vector<Peer>(shards_)});
  Home& home = found->second;
  Peer& peer = home.peers[from];
  if (message.line < peer.number) return;  // said before the purse that counts now
  if (message.line > peer.number) peer = {.number = message.line, .granted = message.granted};
  home.book.set_rate(rate, ring_.now());
  home.book.want(from, message.total - std::min(message.total, peer.granted));
  give(message.destination);
  if (fresh && !stopping_) scope_.spawn(keep_giving(message.destination));
}

void TokenDesk::give(std::uint64_t destination) {
  auto found = homes_.find(destination);
  if (found == homes_.end()) return;
  Home& home = found->second;
  const auto grants = home.book.distribute(ring_.now());
  for (const auto& grant : grants) {
    Peer& peer = home.peers[grant.shard];
    peer.granted += grant.count;
    MeshMessage message{.kind = MeshMessage::Kind::tokens_granted};
    message.destination = destination;
    message.line = peer.number;
    message.total = peer.granted;
    send_(grant.shard, message);
  }
}

// As long as the book is kept: until it would be as good as a new one.
runtime::Task<void> TokenDesk::keep_giving(std::uint64_t destination) {
  while (!stopping_) {
    const Home& home = homes_.at(destination);
    const bool wanted = home.book.is_wanted();
    const Instant until = wanted ? home.book.next() : home.book.full();
    if (!wanted && until <= ring_.now()) break;
    (void)co_await stop_.wait(std::max(until, ring_.now() + std::chrono::milliseconds(1)));
    give(destination);
  }
  homes_.erase(destination);
}

runtime::Task<void> TokenDesk::stop() {
  stopping_ = true;
  stop_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::shard
