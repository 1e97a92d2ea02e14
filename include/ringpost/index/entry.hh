// What a restart needs to know of one message without reading the log. Format, byte by byte: docs/formats/index.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
#include "ringpost/spool/position.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::index {

/// One message. There is no address in it: those lie sealed under the message's own key, in the log only.
struct Entry {
  MessageId id;
  spool::Position place;       ///< of its newest MESSAGE record; never nowhere
  std::uint32_t revision = 0;  ///< outcomes this state includes
  std::uint64_t size = 0;      ///< bytes of the content
  WallTime arrived{};
  WallTime due{};     ///< next attempt
  bool held = false;  ///< no attempt until it is released
  spool::Waited waited;
  spool::Terms terms;
  spool::MailClass mail_class = spool::MailClass::incoming;
  spool::Position words;                           ///< of the newest OUTCOME record with a next hop's words; nowhere: there is none
  std::array<std::byte, 16> destination{};         ///< keyed hash of the domain of all its recipients; zero: there are several
  std::vector<spool::Extent> chunks;               ///< generations ascending; the MESSAGE at `place` lists the records
  std::vector<spool::RecipientStatus> recipients;  ///< 1..spool::kRecipientsMax, in the envelope's order

  /// Recipients that are to be tried.
  std::size_t waiting() const;
  /// Nothing is left to do or to keep.
  bool is_over() const;
  /// An attempt or a report is planned: it has a recipient to try, or one whose sender is to be told, and nobody holds it.
  bool is_scheduled() const { return !held && !is_over(); }
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// One record of the log, as far as it concerns the index.
struct LogFact {
  bool is_outcome = false;
  Entry entry;  ///< of a MESSAGE: all of it; of an OUTCOME: id, revision, due, held, waited and words
  std::vector<std::pair<std::uint32_t, spool::RecipientStatus>> changes;  ///< of an OUTCOME, by index of the recipient
};
/// What the record makes of what was known (`spool::RecoveryVisitor` says how). False: it was known already.
bool apply(const LogFact& fact, std::optional<Entry>& known);

/// The second one only of a message whose sender asked for something beside delivery.
inline constexpr std::uint8_t kEntryVersion = 1, kEntryVersionWithTerms = 2;

/// Appends the encoding of everything but the id, which is the row's key.
void append_encoded(const Entry& entry, std::vector<std::byte>& out);

/// Every byte string has a verdict, and an entry has one encoding. Errors: corrupt.
Result<Entry> decode_entry(const MessageId& id, Bytes encoded);

}  // namespace ringpost::index
