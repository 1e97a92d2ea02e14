#include "shard/mail_intake.hh"

#include <algorithm>

#include "ringpost/base/ascii.hh"
#include "ringpost/mime/notice.hh"
#include "ringpost/policy/recipients.hh"
#include "ringpost/runtime/memory_reserve.hh"
#include "shard/keyed_hashes.hh"
#include "shard/message_order.hh"

namespace ringpost::shard {

namespace {

static_assert(Staging::kLargeBytes == crypto::kChunkBytesMax);

// Frame, keys, scheduling and envelope of a message: what admission adds to the size a client declares.
constexpr std::uint64_t kOverheadBytes = 16 * 1024;
/// What is larger is read back from the log for its first delivery.
constexpr std::size_t kHotPiecesMax = 256_KiB / Staging::kLargeBytes;
constexpr std::size_t kIdleIndexersMax = 64;
constexpr Duration kChunkPatience = std::chrono::seconds(60);
// Refusals are evidence of probing, not of mail: a sample is enough, the rest is counted.
constexpr std::uint32_t kRefusalBurst = 50;
constexpr Duration kRefusalInterval = std::chrono::milliseconds(100);
/// With audit.when_unavailable = defer: an auditd that is there and has not acknowledged an event for so long is away, too.
constexpr Duration kAuditPatience = std::chrono::seconds(10);

// Small, for there is one for each message coming in at once; deep enough for every honest mail.
constexpr mime::Limits kIndexLimits{.parts_max = 256, .fields_max = 1024};

}  // namespace

/// One message between its first bytes and its 250.
class MailIncoming final : public receive::Incoming {
 public:
  MailIncoming(MailIntake& intake, const MessageId& id, Key256 key, StagingBuffer buffer)
      : intake_(intake), id_(id), sealer_(std::move(key), intake.parts_.store, id), buffer_(std::move(buffer)),
        indexer_(intake.take_indexer()) {}
  ~MailIncoming() override { intake_.give_back(std::move(indexer_)); }

  // Most of the time of most messages passes while they wait for their sync: they lie then where the last one lay.
  static void* operator new(std::size_t bytes) { return runtime::FramePool::allocate(bytes); }
  static void operator delete(void* memory, std::size_t bytes) { runtime::FramePool::release(memory, bytes); }

  const MessageId& id() const override { return id_; }
  runtime::Task<Result<>> write(Bytes content) override;
  runtime::Task<Result<>> commit(const receive::Envelope& envelope, bool eight_bit) override;

 private:
  runtime::Task<Result<>> grow();
  runtime::Task<Result<>> spill();
  void keep_piece();
  spool::Scheduling schedule(const receive::Envelope& envelope);
  spool::Envelope describe(const receive::Envelope& envelope, bool eight_bit);
  spool::MessageDraft make_draft(const receive::Envelope& envelope, bool eight_bit, const crypto::WrappedKey& key);
  void note_events(const receive::Envelope& envelope);
  std::size_t pieces() const { return sealer_.chunks(); }  ///< that have left the buffer
  bool may_be_hot() const { return !intake_.parts_.staging.is_tight() && !intake_.settings_->route.fallback.is_hold(); }
  std::optional<mime::Notice> notice_of(const receive::Envelope& envelope) const;
  std::unique_ptr<HotMessage> keep_hot(const receive::Envelope& envelope, bool eight_bit);
  void hand_over(const receive::Envelope& envelope, const spool::Position& place, std::unique_ptr<HotMessage> hot);

  MailIntake& intake_;
  MessageId id_;
  crypto::MessageSealer sealer_;
  StagingBuffer buffer_;
  std::vector<StagingBuffer> kept_;  ///< the pieces that have left it, all of them, for the first delivery; or none
  spool::Chunks chunks_;
  std::unique_ptr<mime::Indexer> indexer_;
  std::uint64_t size_ = 0;
  std::vector<spool::Envelope::Recipient> recipients_;
  std::vector<spool::RecipientStatus> statuses_;
  // Of the message that is complete.
  WallTime arrived_{}, due_{};
  bool waits_ = false;  ///< its sender wants it released later
  queue::Destination destination_{};
  queue::Sender sender_{};
  EventBatch events_;
};

runtime::Task<Result<>> MailIncoming::write(Bytes content) {
  indexer_->feed(content);
  size_ += content.size();
  while (!content.empty()) {
    if (buffer_.room() == 0) {
      Result<> made;
      if (buffer_.capacity() < Staging::kLargeBytes) {
        made = co_await grow();
      } else {
        made = co_await spill();
      }
      if (!made) co_return made;
    }
    Bytes part = content.first(std::min(content.size(), buffer_.room()));
    buffer_.append(part);
    content = content.subspan(part.size());
  }
  co_return Result<>{};
}

// The message outgrew its small buffer: go on in one that holds a whole piece.
runtime::Task<Result<>> MailIncoming::grow() {
  if (!intake_.parts_.staging.has_room(Staging::kLargeBytes)) kept_.clear();
  auto larger = co_await intake_.take_buffer(Staging::kLargeBytes, intake_.parts_.ring.now() + kChunkPatience);
  if (!larger) co_return std::unexpected(larger.error());
  larger->append(buffer_.bytes());
  buffer_ = std::move(*larger);
  co_return Result<>{};
}

// A whole piece is there: seal it into the log. It means nothing until the MESSAGE lists it.
runtime::Task<Result<>> MailIncoming::spill() {
  auto room = co_await intake_.parts_.partition.log().reserve(spool::bytes_of_chunk(buffer_.bytes().size()), spool::Use::mail);
  if (!room) co_return std::unexpected(room.error());
  auto added = room->add_chunk(chunks_, sealer_, buffer_.bytes());
  if (!added) co_return std::unexpected(added.error());
  (void)room->commit();
  keep_piece();
  co_return Result<>{};
}

// The message goes on in another buffer while it may be one for the first delivery out of memory, and there is one to spare.
void MailIncoming::keep_piece() {
  StagingBuffer next;
  if (kept_.size() + 1 == pieces() && pieces() <= kHotPiecesMax && may_be_hot()) next = intake_.parts_.staging.take(Staging::kSmallBytes);
  if (!next) {
    kept_.clear();
    return buffer_.clear();
  }
  kept_.push_back(std::exchange(buffer_, std::move(next)));
}

spool::Scheduling MailIncoming::schedule(const receive::Envelope& envelope) {
  statuses_.assign(envelope.recipients(), {.reason = waits_ ? event::Reason::future_release : event::Reason::none});
  return {.arrived = arrived_, .due = due_, .size = size_, .mail_class = spool::MailClass::outgoing,
          .held = envelope.held, .terms = envelope.terms, .destination = destination_, .recipients = statuses_};
}

spool::Envelope MailIncoming::describe(const receive::Envelope& envelope, bool eight_bit) {
  recipients_.resize(envelope.recipients());
  for (std::size_t i = 0; i < recipients_.size(); ++i) 
    recipients_[i] = {.address = envelope.recipient(i), .parameters = envelope.recipient_parameters(i)};
  return {.smtputf8 = envelope.smtputf8,
          .declared_eight_bit = envelope.eight_bit_body,
          .eight_bit = eight_bit,
          .tls_wish = envelope.tls_wish,
          .client = envelope.client,
          .reverse_path = envelope.reverse_path(),
          .parameters = envelope.parameters(),
          .recipients = recipients_};
}

spool::MessageDraft MailIncoming::make_draft(const receive::Envelope& envelope, bool eight_bit, const crypto::WrappedKey& key) {
  return {.sealer = &sealer_,
          .keys = {&key, 1},
          .scheduling = schedule(envelope),
          .envelope = describe(envelope, eight_bit),
          .last_piece = buffer_.bytes(),
          .chunks = &chunks_};
}

void MailIncoming::note_events(const receive::Envelope& envelope) {
  const IntakeParts& parts = intake_.parts_;
  event::Event accepted{.kind = event::Kind::message_accepted};
  accepted.message = id_;
  accepted.size = size_;
  accepted.recipients = static_cast<std::uint32_t>(envelope.recipients());
  accepted.client = envelope.client;
  accepted.reply = event::ReplyCode{250, 2, 0, 0};
  accepted.sender = address_hash(parts.hash_key, envelope.reverse_path());
  accepted.partition = parts.partition.log().options().partition;
  if (!envelope.login.empty()) accepted.login = address_hash(parts.hash_key, envelope.login);
  accepted.authentication = envelope.authentication;
  events_.add(accepted);
  sender_ = sender_of(accepted.sender);
  if (!envelope.held) return;
  event::Event over = accepted;
  over.kind = event::Kind::message_over_budget;
  over.size.reset();
  over.reply.reset();
  events_.add(over);
  intake_.warn_of_budget();
}

runtime::Task<Result<>> MailIncoming::commit(const receive::Envelope& envelope, bool eight_bit) {
  IntakeParts& parts = intake_.parts_;
  indexer_->finish();
  intake_.give_back(std::move(indexer_));
  auto wrapped = parts.keys.wrap_now({keys::ScopeKind::shared, {}}, keys::KeyClass::outgoing, sealer_);
  if (!wrapped) wrapped = co_await parts.keys.wrap({keys::ScopeKind::shared, {}}, keys::KeyClass::outgoing, sealer_);
  if (!wrapped) co_return std::unexpected(wrapped.error());

  arrived_ = parts.ring.wall_now();
  waits_ = envelope.release && *envelope.release > parts.ring.now();
  due_ = waits_ ? parts.partition.backlog().due_wall(id_, *envelope.release) : arrived_;
  destination_ = intake_.destination_of(envelope);
  note_events(envelope);

  const Backlog::Pin pin(parts.partition.backlog());  // until it is in the queue
  const spool::MessageDraft draft = make_draft(envelope, eight_bit, *wrapped);
  auto room = co_await parts.partition.log().reserve(spool::bytes_of(draft) + AuditTrail::bytes_of(events_), spool::Use::mail);
  if (!room) co_return std::unexpected(room.error());
  const auto place = room->add_message(draft);
  if (!place) co_return std::unexpected(place.error());
  parts.trail.put(*room, events_);
  const spool::Ticket ticket = room->commit();
  const std::optional<mime::Notice> notice = notice_of(envelope);
  std::unique_ptr<HotMessage> hot = keep_hot(envelope, eight_bit);
  kept_.clear();  // else others would have to take colder memory while this one waits for the disk
  buffer_.release();
  auto durable = co_await parts.partition.log().durable(ticket);
  if (!durable) {
    parts.partition.log().release(id_, *place);
    co_return std::unexpected(durable.error());
  }
  parts.trail.durable(events_);
  if (notice) intake_.count(*notice);
  hand_over(envelope, *place, std::move(hot));
  co_return Result<>{};
}

// Mail with the null sender says what became of other mail. What is too large for one buffer is not looked at again.
std::optional<mime::Notice> MailIncoming::notice_of(const receive::Envelope& envelope) const {
  if (!envelope.reverse_path().empty()) return std::nullopt;
  return pieces() == 0 ? mime::classify_notice(buffer_.bytes()).notice : mime::Notice::other;
}

// Its content stays in memory for the first delivery, when all of it is here and it is to be delivered at once.
std::unique_ptr<HotMessage> MailIncoming::keep_hot(const receive::Envelope& envelope, bool eight_bit) {
  if (kept_.size() != pieces() || envelope.held || waits_ || !may_be_hot()) return nullptr;
  auto hot = std::make_unique<HotMessage>();
  hot->reverse_path = envelope.reverse_path();
  for (std::size_t i = 0; i < envelope.recipients(); ++i) hot->recipients.emplace_back(envelope.recipient(i));
  hot->parameters = envelope.parameters();
  for (std::size_t i = 0; i < envelope.recipients(); ++i) {
    if (envelope.recipient_parameters(i).empty()) continue;
    hot->recipient_parameters.resize(envelope.recipients());
    hot->recipient_parameters[i] = envelope.recipient_parameters(i);
  }
  hot->smtputf8 = envelope.smtputf8;
  hot->declared_eight_bit = envelope.eight_bit_body;
  hot->eight_bit = eight_bit;
  hot->tls_wish = envelope.tls_wish;
  hot->pieces = std::move(kept_);
  hot->last_piece = std::move(buffer_);
  hot->detail_key = sealer_.detail_key();
  return hot;
}

void MailIncoming::hand_over(const receive::Envelope& envelope, const spool::Position& place, std::unique_ptr<HotMessage> hot) {
  IntakeParts& parts = intake_.parts_;
  auto message = std::make_unique<queue::Message>();
  message->id = id_;
  message->place = place;
  message->destination = destination_;
  message->terms = envelope.terms;
  message->sender = sender_;
  message->size = size_;
  message->arrived = arrived_;
  message->due_wall = due_;
  message->accepted_at = message->born = message->due = waits_ ? *envelope.release : parts.ring.now();
  message->recipients.resize(envelope.recipients());
  if (waits_) message->mark_unreleased();
  message->held = envelope.held;
  message->hot = std::move(hot);
  parts.metrics.messages_queued.add(1);
  parts.metrics.recipients_queued.add(static_cast<std::int64_t>(envelope.recipients()));
  parts.partition.backlog().changed(parts.queue.add(std::move(message)));
  parts.deliverer.kick();
}

// ---- MailIntake

MailIntake::MailIntake(const IntakeParts& parts, std::shared_ptr<const config::Settings> settings)
    : parts_(parts), settings_(std::move(settings)), refusal_samples_(kRefusalBurst, kRefusalInterval) {}

MailIntake::~MailIntake() = default;

Result<> MailIntake::admit(std::uint64_t size) {
  if (runtime::MemoryReserve::is_spent()) return std::unexpected(Error{Errc::no_memory});
  const config::Settings::Audit& audit = settings_->audit;
  const bool defers = audit.when_unavailable == config::WhenUnavailable::defer;
  const Duration age_max = defers ? std::min<Duration>(audit.buffer_age_max, kAuditPatience) : audit.buffer_age_max;
  if ((defers && !parts_.outbox.is_connected()) || !parts_.outbox.within({audit.buffer_bytes_max, age_max}))
    return std::unexpected(Error{Errc::unavailable});
  const std::uint64_t kept = parts_.disk_share_bytes / 100 * settings_->spool.low_space_percent;
  auto admitted = parts_.partition.log().admit(size + kOverheadBytes, kept);
  if (admitted && parts_.partition.is_full()) admitted = std::unexpected(Error{Errc::no_space});
  parts_.metrics.low_space.set(admitted ? 0 : 1);
  return admitted;
}

runtime::Task<Result<receive::MessagePlace>> MailIntake::reserve(Instant deadline) {
  auto lease = co_await parts_.keys.lease({keys::ScopeKind::shared, {}}, keys::KeyClass::outgoing);
  if (!lease) co_return std::unexpected(lease.error());
  while (!parts_.staging.set_aside()) {
    const bool returned = co_await parts_.staging.returned().wait(deadline);
    if (!returned) co_return std::unexpected(Error{Errc::no_memory});
  }
  co_return receive::MessagePlace{*this};
}

Result<std::unique_ptr<receive::Incoming>> MailIntake::begin(receive::MessagePlace place) {
  place = {};
  StagingBuffer buffer = parts_.staging.take(Staging::kSmallBytes);
  if (!buffer) return std::unexpected(Error{Errc::no_memory});  // the system has none left
  // Name and key from one call: it costs more than what it brings.
  MessageId id;
  Secret<sizeof id.bytes + sizeof(Key256)> drawn;
  parts_.ring.random(drawn.mutable_view());
  copy_bytes(id.bytes, drawn.view().first(sizeof id.bytes));
  Key256 key{drawn.view().subspan(sizeof id.bytes)};
  put_order(id, parts_.partition.log().newest_group());
  return std::make_unique<MailIncoming>(*this, id, std::move(key), std::move(buffer));
}

runtime::Task<Result<StagingBuffer>> MailIntake::take_buffer(std::size_t bytes, Instant deadline) {
  for (;;) {
    StagingBuffer buffer = parts_.staging.take(bytes);
    if (buffer) co_return buffer;
    if (parts_.staging.has_room(bytes)) co_return std::unexpected(Error{Errc::no_memory});  // the system has none left
    bool returned = co_await parts_.staging.returned().wait(deadline);
    if (!returned) co_return std::unexpected(Error{Errc::no_memory});
  }
}

// The keyed hash of the domain that all recipients have; zero when there are several.
queue::Destination MailIntake::destination_of(const receive::Envelope& envelope) {
  std::string_view domain;
  for (std::size_t i = 0; i < envelope.recipients(); ++i) {
    std::string_view next = policy::domain_of(envelope.recipient(i));
    if (next.empty()) next = policy::own_domain(*settings_);
    if (i > 0 && !equal_ignoring_case(next, domain)) return {};
    domain = next;
  }
  if (!equal_ignoring_case(domain, last_domain_)) {
    last_domain_ = domain;
    last_destination_ = destination_hash(parts_.hash_key, domain);
  }
  return last_destination_;
}

std::unique_ptr<mime::Indexer> MailIntake::take_indexer() {
  if (idle_indexers_.empty()) return std::make_unique<mime::Indexer>(kIndexLimits);
  std::unique_ptr<mime::Indexer> indexer = std::move(idle_indexers_.back());
  idle_indexers_.pop_back();
  return indexer;
}

void MailIntake::give_back(std::unique_ptr<mime::Indexer> indexer) {
  if (!indexer || idle_indexers_.size() >= kIdleIndexersMax) return;
  indexer->reset();
  idle_indexers_.push_back(std::move(indexer));
}

void MailIntake::count(mime::Notice notice) {
  switch (notice) {
    case mime::Notice::hard: return parts_.metrics.notices_hard.add();
    case mime::Notice::block: return parts_.metrics.notices_block.add();
    case mime::Notice::soft: return parts_.metrics.notices_soft.add();
    case mime::Notice::delayed: return parts_.metrics.notices_delayed.add();
    case mime::Notice::feedback: return parts_.metrics.notices_feedback.add();
    case mime::Notice::other:
    case mime::Notice::none: return parts_.metrics.notices_other.add();
  }
}

void MailIntake::warn_of_budget() {
  parts_.metrics.messages_over_budget.add();
  if (auto suppressed = budget_log_.admit(parts_.ring.now()))
    parts_.log.warning("ALARM: a login has sent to more recipients than it may, and its mail is held", {{"suppressed", *suppressed}});
}

void MailIntake::refused(const receive::Envelope& envelope, std::uint64_t size, const receive::Refusal& refusal) {
  event::Event event{.kind = event::Kind::message_refused};
  event.client = envelope.client;
  event.size = size;
  event.reply = refusal.reply;
  event.reason = refusal.reason;
  event.sender = address_hash(parts_.hash_key, envelope.reverse_path());
  report_sampled(event);
}

void MailIntake::login_refused(const IpAddress& client, std::string_view login, event::Authentication authentication) {
  event::Event event{.kind = event::Kind::login_refused};
  event.client = client;
  event.authentication = authentication;
  if (!login.empty()) event.login = address_hash(parts_.hash_key, login);
  report_sampled(event);
}

// What may be sampled does not fill what is kept for auditd while it is away.
void MailIntake::report_sampled(const event::Event& event) {
  const bool has_room = parts_.trail.has_room(settings_->audit.buffer_bytes_max);
  auto suppressed = has_room ? refusal_samples_.admit(parts_.ring.now()) : std::nullopt;
  if (!suppressed) {
    refusals_without_room_ += !has_room;
    return parts_.metrics.audit_suppressed.add();
  }
  *suppressed += std::exchange(refusals_without_room_, 0);
  parts_.trail.report(event);
  if (*suppressed == 0) return;
  event::Event dropped{.kind = event::Kind::refusals_suppressed};
  dropped.count = *suppressed;
  parts_.trail.report(dropped);
}

}  // namespace ringpost::shard
