// Adds up what the records of one partition say of its messages, as spool::RecoveryVisitor tells one should.
#pragma once

#include <map>
#include <vector>

#include "ringpost/index/entry.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::rescue {

/// One message, in the state of the newest record about it.
struct Known {
  spool::Position place;  ///< of its newest MESSAGE record
  spool::Position last;   ///< of the newest record that tells of it
  WallTime arrived{}, due{};
  std::uint64_t size = 0;
  std::uint32_t revision = 0;
  spool::MailClass mail_class = spool::MailClass::incoming;
  bool held = false;
  bool skipped = false;  ///< an outcome between two that are known is not there
  std::array<std::byte, 16> destination{};
  std::vector<spool::RecipientStatus> recipients;
  std::vector<spool::Position> copies;    ///< of its MESSAGE record, oldest first, `place` included
  std::vector<spool::Position> outcomes;  ///< those that have next hops' words

  /// Nothing is left to do for it or to keep of it.
  bool is_over() const;
};

class Ledger {
 public:
  using Messages = std::map<MessageId, Known>;

  void add(const index::Entry& entry);
  void add_message(const MessageId& id, const spool::Position& place, const spool::Scheduling& scheduling);
  /// False when there is no such message.
  bool add_outcome(const MessageId& id, const spool::Position& place, const spool::Outcome& outcome, bool has_words);

  const Messages& messages() const { return messages_; }
  const Known* find(const MessageId& id) const;

 private:
  Messages messages_;
};

}  // namespace ringpost::rescue
