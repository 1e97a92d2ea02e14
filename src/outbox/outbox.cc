#include "ringpost/outbox/outbox.hh"

#include <sys/socket.h>

#include <algorithm>

namespace ringpost::outbox {

namespace {
constexpr Duration kReconnectFirst = std::chrono::milliseconds(20);
constexpr Duration kReconnectMax = std::chrono::seconds(1);
constexpr Duration kSendPatience = std::chrono::seconds(30);
// What happens within this time goes together, as each batch costs auditd a write, a sync and an answer. Nothing waits for it: what
// is here is durable, in the commit group of what it reports.
constexpr Duration kGather = std::chrono::milliseconds(10);
constexpr std::size_t kGatherEvents = event::kBatchBytesMax / event::kEventBytesMax;
}  // namespace

Outbox::Outbox(runtime::Ring& ring, Log& log, metrics::ShardMetrics& metrics, const SocketAddress& auditd, Listener& listener)
    : ring_(ring),
      log_(log),
      metrics_(metrics),
      auditd_(auditd),
      listener_(listener),
      scope_(ring),
      readers_(ring),
      changed_(ring),
      away_log_(2, std::chrono::seconds(30)),
      batch_(event::kBatchBytesMax) {}

Outbox::~Outbox() = default;

void Outbox::start() { scope_.spawn(run()); }

void Outbox::add(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) {
  Line& line = lines_[incarnation];
  RP_ASSERT(line.entries.empty() || line.entries.back().sequence < sequence);
  Entry& entry = line.entries.emplace_back();
  entry.sequence = sequence;
  entry.since = ring_.now();
  entry.size = static_cast<std::uint16_t>(encoded.size());
  copy_bytes(entry.bytes, encoded);
  ++pending_;
  pending_bytes_ += encoded.size();
  metrics_.audit_pending.set(static_cast<std::int64_t>(pending_));
  if (line.unsent() == 1 || line.unsent() == kGatherEvents) changed_.notify_all();
}

bool Outbox::within(const Limits& limits) const {
  if (pending_bytes_ > limits.bytes_max) return false;
  for (const auto& [incarnation, line] : lines_)
    if (!line.entries.empty() && ring_.now() - line.entries.front().since > limits.age_max) return false;
  return true;
}

// Connects, converses until that breaks, waits a little longer each time it never worked.
runtime::Task<void> Outbox::run() {
  Duration wait = kReconnectFirst;
  while (!stopping_) {
    auto socket = ring_.open_socket(auditd_, runtime::SocketKind::seqpacket);
    Error trouble{Errc::unavailable};
    if (socket) {
      socket_ = *socket;
      auto connected = co_await ring_.connect(socket_, auditd_, ring_.now() + kSendPatience);
      if (connected) {
        connected_ = true;
        wait = kReconnectFirst;
        co_await converse();
        connected_ = false;
      } else {
        trouble = connected.error();
      }
      (void)co_await ring_.close(socket_);
      socket_ = {};
    } else {
      trouble = socket.error();
    }
    for (auto& [incarnation, line] : lines_) line.sent = 0;
    doubted_ = true;
    if (stopping_) break;
    if (auto suppressed = away_log_.admit(ring_.now()))
      log_.warning("auditd is away, events are kept", {{"error", trouble}, {"pending", pending_}, {"suppressed", *suppressed}});
    (void)co_await changed_.wait(ring_.now() + wait);
    wait = std::min(wait * 2, kReconnectMax);
  }
}

runtime::Task<void> Outbox::converse() {
  broken_ = false;
  readers_.spawn(read_acks());
  while (!broken_) {
    Bytes packet = next_batch();
    if (packet.empty()) {
      if (stopping_ && pending_ == 0) break;
      (void)co_await changed_.wait();
      continue;
    }
    auto sent = co_await ring_.send(socket_, packet, ring_.now() + kSendPatience);
    if (!sent || *sent != packet.size()) break;
    const Instant gathered = ring_.now() + kGather;
    while (!broken_ && !stopping_ && !has_gathered() && ring_.now() < gathered) (void)co_await changed_.wait(gathered);
  }
  broken_ = true;
  (void)co_await ring_.shutdown(socket_, SHUT_RDWR);
  co_await readers_.join();
}

// Is there enough for a batch of its own?
bool Outbox::has_gathered() const {
  return std::ranges::any_of(lines_, [](const auto& line) { return line.second.unsent() >= kGatherEvents; });
}

// The next events of one incarnation that were not sent on this connection; empty when there are none.
Bytes Outbox::next_batch() {
  for (auto& [incarnation, line] : lines_) {
    if (line.unsent() == 0) continue;
    event::BatchWriter writer{batch_, incarnation, line.entries[line.sent].sequence};
    std::uint64_t expected = line.entries[line.sent].sequence;
    while (line.unsent() > 0) {
      const Entry& entry = line.entries[line.sent];
      if (entry.sequence != expected || !writer.add(Bytes{entry.bytes}.first(entry.size))) break;
      ++line.sent;
      ++expected;
    }
    return writer.finish();
  }
  return {};
}

runtime::Task<void> Outbox::read_acks() {
  std::array<std::byte, event::kAckBytes + 1> packet;
  while (!broken_) {
    auto received = co_await ring_.receive(socket_, packet);
    if (!received || *received == 0) break;
    auto ack = event::decode_ack(Bytes{packet}.first(*received));
    if (!ack || !take(*ack)) {
      log_.error("auditd broke its protocol, reconnecting");
      break;
    }
    doubted_ = false;
  }
  broken_ = true;
  changed_.notify_all();
}

// A sibling is checked like a stranger: it may only acknowledge what was sent to it.
bool Outbox::take(const event::Ack& ack) {
  auto found = lines_.find(ack.incarnation);
  if (found == lines_.end()) return true;  // acknowledged before, on an earlier connection
  Line& line = found->second;
  bool any = false;
  if (line.sent == 0 || ack.durable_sequence > line.entries[line.sent - 1].sequence) return false;
  while (line.sent > 0 && line.entries.front().sequence <= ack.durable_sequence) {
    pending_bytes_ -= line.entries.front().size;
    --pending_;
    --line.sent;
    line.entries.pop_front();
    metrics_.audit_acknowledged.add();
    any = true;
  }
  metrics_.audit_pending.set(static_cast<std::int64_t>(pending_));
  if (line.entries.empty()) lines_.erase(found);
  if (any) listener_.acknowledged(ack.incarnation, ack.durable_sequence);
  if (stopping_ && pending_ == 0) changed_.notify_all();
  return true;
}

runtime::Task<void> Outbox::stop(Instant deadline) {
  stopping_ = true;
  changed_.notify_all();
  while (connected_ && pending_ > 0 && ring_.now() < deadline) co_await ring_.sleep_for(std::chrono::milliseconds(2));
  broken_ = true;
  changed_.notify_all();
  if (socket_) {
    Fd socket = socket_;
    (void)co_await ring_.shutdown(socket, SHUT_RDWR);
  }
  co_await scope_.join();
}

}  // namespace ringpost::outbox
