#include "shard/own_mail.hh"

#include <algorithm>

#include "shard/keyed_hashes.hh"

namespace ringpost::shard {

namespace {

// A partition of a former number of shards has group buffers of 64 KiB: with all else in the group, a piece must fit.
constexpr std::size_t kPieceBytes = 32 * 1024;

Key256 random_key(runtime::Ring& ring) {
  Key256 key;
  ring.random(key.mutable_view());
  return key;
}

}  // namespace

OwnMail::OwnMail(const SourceParts& parts, Partition& partition, const StoreId& store, const MessageId& id)
    : parts_(parts), partition_(partition), id_(id), pin_(partition.backlog()), sealer_(random_key(parts.ring), store, id) {}

runtime::Task<Result<>> OwnMail::begin() {
  auto wrapped = co_await parts_.keys.wrap({keys::ScopeKind::shared, {}}, keys::KeyClass::outgoing, sealer_);
  if (!wrapped) co_return std::unexpected(wrapped.error());
  wrapped_ = *wrapped;
  co_return Result<>{};
}

runtime::Task<Result<>> OwnMail::write(Bytes content) {
  size_ += content.size();
  while (!content.empty()) {
    if (piece_.size() == kPieceBytes) {
      auto room = co_await partition_.log().reserve(spool::bytes_of_chunk(kPieceBytes), spool::Use::upkeep);
      if (!room) co_return std::unexpected(room.error());
      auto added = room->add_chunk(chunks_, sealer_, piece_);
      if (!added) co_return std::unexpected(added.error());
      (void)room->commit();
      piece_.clear();
    }
    const Bytes part = content.first(std::min(content.size(), kPieceBytes - piece_.size()));
    piece_.insert(piece_.end(), part.begin(), part.end());
    content = content.subspan(part.size());
  }
  co_return Result<>{};
}

runtime::Task<Result<>> OwnMail::commit(const OwnTerms* terms, const spool::OutcomeDraft& settled, EventBatch& events) {
  spool::Log& log = partition_.log();
  const bool own = &partition_ == parts_.partitions.front().get();  // events are numbered in the shard's own log
  const bool waits = terms && terms->release;
  const WallTime due = waits ? partition_.backlog().due_wall(id_, *terms->release) : parts_.ring.wall_now();
  const spool::RecipientStatus waiting[] = {{.reason = waits ? event::Reason::future_release : event::Reason::none}};
  const crypto::WrappedKey wrapped_keys[] = {wrapped_};
  spool::Envelope::Recipient recipients[1];
  spool::MessageDraft draft{.sealer = &sealer_, .keys = wrapped_keys, .last_piece = piece_, .chunks = &chunks_};
  if (terms) {
    recipients[0] = {.address = terms->recipient, .parameters = terms->recipient_parameters};
    draft.scheduling = {.arrived = terms->arrived,
                        .due = due,
                        .size = size_,
                        .mail_class = spool::MailClass::outgoing,
                        .terms = terms->asked,
                        .destination = terms->destination,
                        .recipients = waiting};
    draft.envelope = {.smtputf8 = terms->smtputf8,
                      .declared_eight_bit = terms->declared_eight_bit,
                      .eight_bit = terms->eight_bit,
                      .tls_wish = terms->tls_wish,
                      .client = terms->client,
                      .helo = terms->helo,
                      .reverse_path = terms->sender,
                      .parameters = terms->parameters,
                      .recipients = recipients};
  }
  std::size_t bytes = spool::bytes_of(settled) + (own ? AuditTrail::bytes_of(events) : 0);
  if (terms) bytes += spool::bytes_of(draft);
  auto room = co_await log.reserve(bytes, spool::Use::upkeep);
  if (!room) co_return std::unexpected(room.error());
  spool::Position place;
  if (terms) {
    auto added = room->add_message(draft);
    if (!added) co_return std::unexpected(added.error());
    place = *added;
  }
  room->add_outcome(settled);
  if (own) parts_.trail.put(*room, events);
  const spool::Ticket ticket = room->commit();
  auto durable = co_await log.durable(ticket);
  if (!durable) {
    if (terms) log.release(id_, place);
    co_return std::unexpected(durable.error());
  }
  if (own) parts_.trail.durable(events);
  else parts_.trail.report(events);
  if (terms) hand_over(*terms, place, due);
  co_return Result<>{};
}

void OwnMail::hand_over(const OwnTerms& terms, const spool::Position& place, WallTime due) {
  auto message = std::make_unique<queue::Message>();
  message->id = id_;
  message->partition = partition_.number();
  message->place = place;
  message->destination = terms.destination;
  message->terms = terms.asked;
  message->sender = sender_of(address_hash(parts_.hash_key, terms.sender));
  message->size = size_;
  message->arrived = terms.arrived;
  message->due_wall = due;
  message->accepted_at = message->born = message->due = terms.release.value_or(parts_.ring.now());
  message->recipients.resize(1);
  if (terms.release) message->mark_unreleased();
  parts_.metrics.messages_queued.add(1);
  parts_.metrics.recipients_queued.add(1);
  partition_.backlog().changed(parts_.queue.add(std::move(message)));
}

}  // namespace ringpost::shard
