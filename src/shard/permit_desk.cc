#include "shard/permit_desk.hh"

#include <algorithm>

namespace ringpost::shard {

namespace {
constexpr Duration kSendPause = std::chrono::milliseconds(5);
}

// ---- what this shard wants and holds

void PermitDesk::want(std::uint64_t destination, std::uint32_t connections, std::uint32_t limit) {
  auto found = lines_.find(destination);
  if (found == lines_.end()) {
    if (connections == 0) return;
    found = lines_.emplace(destination, Line{.number = ++lines_begun_}).first;
  }
  Line& line = found->second;
  if (connections == line.wanted && limit == line.limit) return;
  line.wanted = connections;
  line.limit = limit;
  tell_home(destination, line);
}

std::uint32_t PermitDesk::held(std::uint64_t destination) const {
  auto found = lines_.find(destination);
  return found == lines_.end() ? 0 : found->second.held();
}

void PermitDesk::release_one(std::uint64_t destination) {
  auto found = lines_.find(destination);
  if (found == lines_.end()) return;
  Line& line = found->second;
  if (line.returned < line.granted) ++line.returned;
  line.wanted = line.held();
  tell_home(destination, line);
}

bool PermitDesk::contended(std::uint64_t destination) const {
  auto found = lines_.find(destination);
  return found != lines_.end() && found->second.contended;
}

// What is still held goes back; grants on their way are of a line that is over, which the home learns from the last word of it.
void PermitDesk::forget(std::uint64_t destination) {
  auto found = lines_.find(destination);
  if (found == lines_.end()) return;
  Line line = found->second;
  lines_.erase(found);
  if (line.wanted == 0 && line.held() == 0) return;
  line.wanted = 0;
  line.returned = line.granted;
  tell_home(destination, line);
}

void PermitDesk::tell_home(std::uint64_t destination, const Line& line) {
  MeshMessage message{.kind = MeshMessage::Kind::permits_wanted};
  message.wanted = line.wanted;
  message.limit = line.limit;
  message.destination = destination;
  message.line = line.number;
  message.total = line.returned;
  send(destination % mesh_.shards(), message);
}

// ---- between shards

// A peer that is behind gets the newest sums a little later: nobody may have a reason to say them again.
void PermitDesk::send(std::size_t shard, const MeshMessage& message) {
  if (shard == mesh_.self()) return take(shard, message);
  const Recipient recipient{shard, message.kind, message.destination};
  if (mesh_.tell(shard, message)) {
    unsent_.erase(recipient);
    return;
  }
  unsent_.insert_or_assign(recipient, message);
  if (scope_.running() == 0 && !stopping_) scope_.spawn(send_again());
}

runtime::Task<void> PermitDesk::send_again() {
  while (!stopping_ && !unsent_.empty()) {
    co_await ring_.sleep_for(kSendPause);
    std::erase_if(unsent_, [&](const auto& unsent) { return mesh_.tell(std::get<0>(unsent.first), unsent.second); });
  }
}

runtime::Task<void> PermitDesk::stop() {
  stopping_ = true;
  co_await tokens_.stop();
  co_await scope_.join();
}

void PermitDesk::take(std::size_t from, const MeshMessage& message) {
  switch (message.kind) {
    case MeshMessage::Kind::control: break;
    case MeshMessage::Kind::permits_wanted: return take_wish(from, message);
    case MeshMessage::Kind::permits_granted: return take_grant(message);
    case MeshMessage::Kind::tokens_wanted:
    case MeshMessage::Kind::tokens_granted: return tokens_.take(from, message);
  }
}

// ---- the home of a destination

void PermitDesk::take_wish(std::size_t from, const MeshMessage& message) {
  auto found = homes_.find(message.destination);
  if (found == homes_.end()) {
    if (message.wanted == 0) return;  // nothing is held either: the last one of a book that is gone
    found = homes_.emplace(message.destination, Home{mesh_.shards(), message.limit}).first;
  }
  Home& home = found->second;
  Peer& peer = home.peers[from];
  if (message.line < peer.line) return;  // said before the line that counts now
  if (message.line > peer.line) {
    // What an older line held is void. This one may be older than the book: then nothing of it is held.
    home.book.forget(from);
    peer = {.line = message.line, .granted = message.total, .returned = message.total};
  }
  if (message.total > peer.returned) {
    home.book.release(from, static_cast<std::uint32_t>(message.total - peer.returned));
    peer.returned = message.total;
  }
  if (message.limit != 0) home.book.set_limit(message.limit);
  home.book.want(from, message.wanted);
  peer.wants = message.wanted > 0;
  std::vector<policy::PermitBook::Grant> grants = home.book.distribute(ring_.now());
  for (const auto& grant : grants) home.peers[grant.shard].granted += grant.count;
  const bool contended = home.book.contended();
  const bool changed = contended != home.was_contended;
  home.was_contended = contended;
  const bool over = home.book.held() == 0 && std::ranges::none_of(home.peers, &Peer::wants);
  // Holders learn when others wait, and when nobody does any more. Telling ourselves may change the books: nothing is used after it.
  std::vector<std::size_t> told;
  for (std::size_t shard = 0; shard < mesh_.shards(); ++shard) {
    const bool granted = std::ranges::any_of(grants, [&](const auto& grant) { return grant.shard == shard; });
    if (granted || (changed && home.book.held_by(shard) > 0)) told.push_back(shard);
  }
  if (over) homes_.erase(found);
  for (std::size_t shard : told)
    if (auto still = homes_.find(message.destination); still != homes_.end()) send_grant(shard, message.destination, still->second);
}

void PermitDesk::send_grant(std::size_t shard, std::uint64_t destination, const Home& home) {
  MeshMessage message{.kind = MeshMessage::Kind::permits_granted};
  message.destination = destination;
  message.line = home.peers[shard].line;
  message.total = home.peers[shard].granted;
  message.contended = home.book.contended() && mesh_.shards() > 1;
  send(shard, message);
}

void PermitDesk::take_grant(const MeshMessage& message) {
  auto found = lines_.find(message.destination);
  if (found == lines_.end()) {
    // Too late: nobody delivers there any more. It goes back unused.
    MeshMessage back{.kind = MeshMessage::Kind::permits_wanted};
    back.destination = message.destination;
    back.line = message.line;
    back.total = message.total;
    return send(message.destination % mesh_.shards(), back);
  }
  Line& line = found->second;
  if (message.line != line.number) return;  // of a line that is over: void as soon as the home hears of this one
  line.granted = std::max(line.granted, message.total);
  line.contended = message.contended;
  if (deliverer_) deliverer_->permits_changed(message.destination);
}

}  // namespace ringpost::shard
