#include "shard/backlog.hh"

#include <algorithm>

#include "ringpost/queue/schedule.hh"
#include "shard/message_order.hh"
#include "shard/recipient_status.hh"

namespace ringpost::shard {

namespace {

/// Rows told in one turn of the loop, about a microsecond each.
constexpr std::size_t kRowsMax = 2'000;
/// A first delivery is not worth a row of the index before this.
constexpr Duration kYoung = std::chrono::seconds(10);
/// What falls due sooner than this is in memory if it fits.
constexpr Duration kSoon = std::chrono::seconds(30);
constexpr std::size_t kPageRowsMax = 256;
constexpr Duration kIdlePause = std::chrono::seconds(1), kBusyPause = std::chrono::milliseconds(5);
/// How often it is asked whether a clock that went ahead left messages due in a far future.
constexpr Duration kFarInterval = std::chrono::minutes(1);

std::vector<spool::RecipientStatus> statuses_of(const queue::Message& message) {
  std::vector<spool::RecipientStatus> statuses;
  statuses.reserve(message.recipients.size());
  for (const queue::Recipient& recipient : message.recipients) statuses.push_back(status_of(recipient));
  return statuses;
}

/// It has not been tried, for its sender wants it released later.
bool is_for_later(const index::Entry& entry) {
  return entry.waited.age_s == 0 &&
         std::ranges::find(entry.recipients, event::Reason::future_release, &spool::RecipientStatus::reason) != entry.recipients.end();
}

}  // namespace

Backlog::Backlog(const BacklogParts& parts, const BacklogOptions& options)
    : parts_(parts),
      options_(options),
      page_rows_(std::clamp<std::size_t>(options.window / 4, 1, kPageRowsMax)),
      jumps_(parts.ring.now(), parts.ring.wall_now(), parts.spool.newest_group()),
      wake_(parts.ring) {}

void Backlog::complete(std::function<void()> on_taken_up) {
  on_taken_up_ = std::move(on_taken_up);
  wake_.notify_all();
}

void Backlog::stop() {
  stopping_ = true;
  wake_.notify_all();
}

// ---- the index is behind

Backlog::Pin::Pin(Backlog& backlog) : backlog_(backlog), generation_(backlog.parts_.spool.filling_generation()) {
  auto& pinned = backlog.pinned_;
  if (pinned.empty() || pinned.back().generation < generation_) pinned.push_back({generation_, 0});
  ++std::ranges::lower_bound(pinned, generation_, {}, &Pinned::generation)->count;
}

Backlog::Pin::~Pin() {
  auto& pinned = backlog_.pinned_;
  const auto mine = std::ranges::lower_bound(pinned, generation_, {}, &Pinned::generation);
  if (--mine->count == 0) pinned.erase(mine);
}

void Backlog::changed(queue::Message& message) {
  const std::uint64_t filling = parts_.spool.filling_generation();
  note(message, message.indexed ? filling : std::min(filling, message.place.generation));
}

void Backlog::note(queue::Message& message, std::uint64_t generation) {
  if (message.changed_in == 0) changed_.push_back(message.id);
  message.changed_in = message.changed_in == 0 ? generation : std::min(message.changed_in, generation);
}

void Backlog::release(const queue::Message& message) {
  parts_.spool.release(message.id, message.place);
  if (message.indexed) parts_.index.erase(message.id);
}

index::Entry Backlog::entry_of(const queue::Message& message) const {
  const std::span<const spool::Extent> chunks = parts_.spool.chunks_of(message.id);
  return {.id = message.id,
          .place = message.place,
          .revision = message.revision,
          .size = message.size,
          .arrived = message.arrived,
          .due = message.due_wall,
          .held = message.held,
          .waited = waited_of(message, message.due),
          .terms = message.terms,
          .mail_class = spool::MailClass::outgoing,
          .words = message.words,
          .destination = message.destination,
          .chunks = {chunks.begin(), chunks.end()},
          .recipients = statuses_of(message)};
}

void Backlog::tell(queue::Message& message) {
  // Over, and somebody still has it in hand: a row of it would outlive a death now, and nothing would ever take it up again.
  if (message.is_over()) {
    if (message.indexed) parts_.index.erase(message.id);
    message.indexed = false;
    message.changed_in = 0;
    return;
  }
  if (message.indexed) parts_.index.put(entry_of(message));
  else parts_.index.insert(entry_of(message));
  message.indexed = true;
  message.changed_in = 0;
  message.indexed_due = message.due_wall;
}

runtime::Task<Result<bool>> Backlog::write_down(bool at_once) {
  std::uint64_t read_from = parts_.spool.replay_generation();
  const std::uint64_t group = parts_.spool.durable_group();
  if (!pinned_.empty()) read_from = std::min(read_from, pinned_.front().generation);
  const Instant now = parts_.ring.now();
  const bool crowded = parts_.queue.size() > options_.window;
  std::size_t rows = 0;
  behind_ = false;
  std::erase_if(changed_, [&](const MessageId& id) {
    queue::Message* message = parts_.queue.find(id);
    if (!message || message->changed_in == 0) return true;
    const bool young = !at_once && !crowded && !message->indexed && message->in_delivery && now - message->accepted_at < kYoung;
    const bool later = !at_once && rows == kRowsMax;
    behind_ |= later;
    if (young || message->outcomes_in_flight > 0 || later) {
      read_from = std::min(read_from, message->changed_in);
      return false;
    }
    tell(*message);
    ++rows;
    return true;
  });
  // Until all older messages are there, a start has to read again what this one is reading.
  const index::LogMark mark = is_complete() ? index::LogMark{read_from, group} : parts_.index.committed();
  if (at_once) co_return co_await parts_.index.commit(mark);
  co_return co_await parts_.index.maybe_commit(mark, parts_.spool.bytes_appended());
}

// ---- out of memory

bool Backlog::may_leave(const queue::Message& message) const {
  return message.partition == options_.number && message.indexed && message.changed_in == 0 && !message.in_delivery &&
         message.outcomes_in_flight == 0 && !message.owes_report();
}

void Backlog::let_go() {
  if (!is_complete() || parts_.index.health() != index::Health::good || parts_.index.is_full()) return;
  const Instant soon = parts_.ring.now() + 2 * kSoon;
  std::vector<queue::Message*> idle, waiting;
  parts_.queue.for_each([&](queue::Message& message) {
    if (!may_leave(message)) return;
    const bool is_idle = message.held || message.waiting() == 0 || message.due > soon;
    (is_idle ? idle : waiting).push_back(&message);
  });
  // Of the others those go that are due last, until the window fits.
  const std::size_t left = parts_.queue.size() - idle.size();
  const std::size_t excess = left > options_.window ? std::min(left - options_.window, waiting.size()) : 0;
  if (excess > 0) {
    const auto first_kept = waiting.begin() + static_cast<std::ptrdiff_t>(excess);
    const auto later = [](const queue::Message* a, const queue::Message* b) { return a->due != b->due ? a->due > b->due : a->id > b->id; };
    std::nth_element(waiting.begin(), first_kept - 1, waiting.end(), later);
    idle.insert(idle.end(), waiting.begin(), first_kept);
  }
  for (queue::Message* message : idle) {
    if (message->indexed_due != message->due_wall) parts_.index.put(entry_of(*message));
    parts_.spool.forget_chunks(message->id);
    parts_.queue.remove(*message);
    parts_.metrics.messages_left_memory.add();
  }
}

// ---- into memory

const ClockJumps& Backlog::jumps() {
  jumps_.look(parts_.ring.now(), parts_.ring.wall_now(), parts_.spool.newest_group());
  return jumps_;
}

WallTime Backlog::due_wall(const MessageId& id, Instant release) {
  return parts_.ring.wall_now() + (release - parts_.ring.now()) - jumps().since(order_of(id));
}

Duration Backlog::until_due(const index::Entry& entry) {
  const Duration jumped = is_for_later(entry) ? jumps().since(order_of(entry.id)) : Duration{};
  return entry.due + jumped - parts_.ring.wall_now();
}

/// Of a message that its sender wants released later, and that is not yet. A clock that was ahead before the start, or went back then,
/// makes nobody wait for longer than was asked for.
std::optional<Backlog::Hold> Backlog::hold_of(const index::Entry& entry) {
  const Duration left = until_due(entry);
  if (!is_for_later(entry) || left <= Duration{}) return std::nullopt;
  const Duration asked = entry.due > entry.arrived ? entry.due - entry.arrived : options_.longest_hold;
  if (left <= asked || jumps_.knows(order_of(entry.id))) return Hold{left, true};
  return Hold{asked, false};
}

std::unique_ptr<queue::Message> Backlog::message_of(index::Entry&& entry) {
  auto message = std::make_unique<queue::Message>();
  message->id = entry.id;
  message->partition = options_.number;
  message->place = entry.place;
  message->revision = entry.revision;
  message->size = entry.size;
  message->arrived = entry.arrived;
  message->held = entry.held;
  message->words = entry.words;
  message->destination = entry.destination;
  message->warned = entry.waited.warned;
  message->terms = entry.terms;
  message->indexed = true;
  message->indexed_due = entry.due;
  message->recipients.reserve(entry.recipients.size());
  for (const spool::RecipientStatus& status : entry.recipients) message->recipients.push_back(recipient_of(status));
  if (const std::optional<Hold> hold = hold_of(entry)) {
    message->due = message->born = parts_.ring.now() + hold->left;
    message->due_wall = hold->as_written ? entry.due : due_wall(entry.id, message->due);
    return message;
  }
  set_times(*message, entry);
  return message;
}

// The wall clock may have jumped: it shortens or lengthens a wait, but never beyond the schedule.
void Backlog::set_times(queue::Message& message, const index::Entry& entry) {
  const WallTime wall_now = parts_.ring.wall_now();
  const Duration left = until_due(entry);
  const Duration wait = std::clamp<Duration>(left, Duration{0}, options_.longest_wait);
  message.due = parts_.ring.now() + (entry.revision == 0 ? Duration{0} : wait);
  message.born = parts_.ring.now() -
                 queue::age_after_start(std::chrono::seconds(entry.waited.age_s), left, options_.longest_wait);
  message.due_wall = wall_now + (message.due - parts_.ring.now());
}

/// False when it is there already, or its segment is not.
bool Backlog::enter(index::Entry&& entry) {
  if (parts_.queue.find(entry.id) || !parts_.spool.has_generation(entry.place.generation)) return false;
  parts_.spool.remember_chunks(entry.id, entry.chunks);
  parts_.queue.add(message_of(std::move(entry)));
  parts_.metrics.messages_taken_up.add();
  return true;
}

/// It is as it is written down, and waits for long.
bool Backlog::may_stay_away(const index::Entry& entry) {
  const std::optional<Hold> hold = hold_of(entry);
  return hold && hold->as_written && hold->left > 2 * kSoon;
}

runtime::Task<void> Backlog::take_up() {
  while (!stopping_) {
    const std::size_t here = parts_.queue.size();
    const bool has_room = is_complete() && here + page_rows_ <= options_.window;
    std::size_t taken = 0;
    if (has_room) {
      Result<std::size_t> page = co_await take_up_page();
      if (page) taken = *page;
    }
    if (taken > 0) on_taken_up_();
    const bool at_end = !query_.after;
    if (has_room && !at_end) continue;
    co_await wake_.wait(parts_.ring.now() + (at_end ? kIdlePause : kBusyPause));
  }
}

/// The next page of what falls due; behind the last one it begins again with the first.
runtime::Task<Result<std::size_t>> Backlog::take_up_page() {
  if (!query_.after) {
    const Instant now = parts_.ring.now();
    const WallTime wall_now = parts_.ring.wall_now();
    query_ = {.before = wall_now + kSoon, .limit = page_rows_};
    if (now >= look_far_) {
      look_far_ = now + kFarInterval;
      const Duration far = options_.longest_wait + kFarInterval;
      query_ = {.from = wall_now + (jumps().went_back() ? kSoon : far), .before = WallTime::max(), .limit = page_rows_};
    }
  }
  Result<index::DuePage> page = co_await parts_.index.due(query_);
  if (!page) {
    query_.after.reset();
    co_return std::unexpected(page.error());
  }
  query_.after = page->next;
  std::size_t taken = 0;
  for (index::Entry& entry : page->entries)
    if (!may_stay_away(entry)) taken += enter(std::move(entry));
  co_return taken;
}

runtime::Task<Result<queue::Message*>> Backlog::bring(MessageId id) {
  if (queue::Message* message = parts_.queue.find(id)) co_return message;
  Result<std::optional<index::Entry>> entry = co_await parts_.index.find(id);
  if (!entry) co_return std::unexpected(entry.error());
  if (*entry) enter(std::move(**entry));
  co_return parts_.queue.find(id);
}

runtime::Task<Result<>> Backlog::bring_all(std::vector<MessageId> ids) {
  std::erase_if(ids, [this](const MessageId& id) { return parts_.queue.find(id) != nullptr; });
  Result<std::vector<index::Entry>> entries = co_await parts_.index.find_all(std::move(ids));
  if (!entries) co_return std::unexpected(entries.error());
  for (index::Entry& entry : *entries) enter(std::move(entry));
  co_return Result<>{};
}

runtime::Task<Result<std::unique_ptr<queue::Message>>> Backlog::look_up(MessageId id) {
  Result<std::optional<index::Entry>> entry = co_await parts_.index.find(id);
  if (!entry) co_return std::unexpected(entry.error());
  if (!*entry) co_return nullptr;
  co_return message_of(std::move(**entry));
}

runtime::Task<Result<std::vector<Backlog::Listed>>> Backlog::page_behind(MessageId after, std::size_t limit) {
  Result<std::vector<index::Entry>> entries = co_await parts_.index.page(after, limit);
  if (!entries) co_return std::unexpected(entries.error());
  std::optional<MessageId> last;
  if (!entries->empty()) last = entries->back().id;
  std::vector<Listed> page;
  for (index::Entry& entry : *entries) {
    const MessageId id = entry.id;
    page.push_back({id, parts_.queue.find(id) ? nullptr : message_of(std::move(entry))});
  }
  // Those that the index was not told of yet.
  parts_.queue.for_each([&](const queue::Message& message) {
    if (message.partition == options_.number && !message.indexed && message.id > after && (!last || message.id <= *last))
      page.push_back({message.id, nullptr});
  });
  std::ranges::sort(page, {}, &Listed::id);
  if (page.size() > 2 * limit && !last) page.resize(2 * limit);
  co_return page;
}

}  // namespace ringpost::shard
