// A stored message read back: keys first, then the envelope, then the content piece by piece.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/crypto/message_key.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::spool {

/// Reads one message of a log.
///
/// Use:      load(), unwrap one of wrapped_keys() (module keys), unlock(), envelope(), next() until it is empty.
/// Lifetime: the message must not be released while this is used. No call in flight when it dies.
/// Errors:   corrupt: the stored bytes do not authenticate (set the message aside, never deliver what came so far);
///           io: reading failed; not_found: there is no such generation.
class MessageReader {
 public:
  MessageReader(Log& log, const MessageId& message, const Position& place);
  MessageReader(const MessageReader&) = delete;
  ~MessageReader();

  /// Reads the MESSAGE record.
  runtime::Task<Result<>> load();
  /// After load(): its key, sealed for each owner.
  std::vector<crypto::WrappedKey> wrapped_keys() const;
  /// After load(): what its record said when it was written; recipients' states may be older than the queue's.
  const Scheduling& scheduling() const { return scheduling_; }

  /// Opens the envelope. `message_key` is what wrapped_keys() unwrapped to.
  Result<> unlock(Key256 message_key);
  /// After unlock(). Views of this reader.
  const Envelope& envelope() const { return envelope_; }
  /// After unlock(): for outcomes of this message.
  Key256 detail_key() const { return opener_->detail_key(); }

  /// After unlock(): the words of next hops in the OUTCOME record at `place`, by index of the recipient.
  /// Errors: as load(); not_found also when the record went with its segment.
  runtime::Task<Result<std::map<std::uint32_t, std::string>>> words(Position place);

  /// After unlock(): the next piece of the content; empty at the end. Lifetime: until the next call.
  runtime::Task<Result<Bytes>> next();
  /// Starts again at the first piece.
  void rewind() { piece_ = 0, bytes_seen_ = 0; }

 private:
  struct Buffer;

  Log& log_;
  MessageId message_;
  Position place_;
  std::vector<Position> held_, chunks_;
  std::unique_ptr<Buffer> record_, chunk_;
  std::optional<crypto::RecordView> view_;
  std::vector<std::byte> envelope_bytes_, piece_bytes_;
  Arrays arrays_;
  Scheduling scheduling_;
  Envelope envelope_;
  std::optional<crypto::MessageOpener> opener_;
  std::uint32_t piece_ = 0;
  std::uint64_t bytes_seen_ = 0;
};

}  // namespace ringpost::spool
