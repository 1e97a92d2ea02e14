// A message that the server itself puts into the spool: a report to a sender, or mail that goes on to another address.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ringpost/crypto/message_key.hh"
#include "shard/mail_source.hh"

namespace ringpost::shard {

/// What such a message is, beside its content.
struct OwnTerms {
  WallTime arrived{};
  std::optional<Instant> release = {};  ///< it is not to be tried before
  queue::Destination destination{};
  spool::Terms asked = {};
  bool smtputf8 = false, declared_eight_bit = false, eight_bit = false;
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  IpAddress client;
  std::string_view helo, sender, parameters;  ///< sender: empty is the null sender; parameters: of MAIL
  std::string_view recipient, recipient_parameters;
};

/// Use:      begin(), write() all of the content, commit(). Content sealed before a failure is garbage of the log.
/// Lifetime: no call in flight when it dies.
/// Errors:   of the keys and the log: begin anew with another one, later.
class OwnMail {
 public:
  /// It goes into `partition`.
  OwnMail(const SourceParts& parts, Partition& partition, const StoreId& store, const MessageId& id);
  OwnMail(const OwnMail&) = delete;

  runtime::Task<Result<>> begin();
  runtime::Task<Result<>> write(Bytes content);
  /// The message (if `terms` is not null), what it settles, and the events that tell of both, in one group; durable on return, and
  /// the message is in the queue then.
  runtime::Task<Result<>> commit(const OwnTerms* terms, const spool::OutcomeDraft& settled, EventBatch& events);

 private:
  void hand_over(const OwnTerms& terms, const spool::Position& place, WallTime due);

  const SourceParts& parts_;
  Partition& partition_;
  MessageId id_;
  Backlog::Pin pin_;  // until it is in the queue
  crypto::MessageSealer sealer_;
  crypto::WrappedKey wrapped_;
  spool::Chunks chunks_;
  std::vector<std::byte> piece_;
  std::uint64_t size_ = 0;
};

}  // namespace ringpost::shard
