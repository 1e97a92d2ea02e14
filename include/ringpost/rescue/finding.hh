// What an examination of a spool finds. Names are part of `ringpostctl spool verify --json`: docs/spool-tools.md lists them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ringpost/base/id.hh"

namespace ringpost::rescue {

enum class FindingKind : std::uint8_t {
  // the log
  segment_header,      ///< block 0 does not authenticate: nothing of the segment is used
  segment_unreadable,  ///< the device fails to read part of it, or the file is too short
  segment_missing,     ///< a generation that should be there is gone
  segment_stale,       ///< a generation that was gone has come back, from a backup say
  groups_missing,      ///< groups that were durable are gone
  group,               ///< a group is damaged
  record,              ///< a record does not authenticate, or says what no version of ours writes
  padding,             ///< zeros behind a group's records changed; nothing is lost
  foreign_file,        ///< something lies in the spool that the server did not put there
  torn_tail,           ///< the log ends in a group that is not whole: what a crash leaves
  unused_bytes,        ///< something lies where nothing was ever acknowledged
  event,               ///< an audit event on its way to auditd cannot be read
  // messages
  message_missing,  ///< outcomes of it are there, its own record is not
  outcome_missing,  ///< what became of it may be lost
  key_missing,      ///< keyd has no key for it
  key_damaged,      ///< its wrapped key does not authenticate
  envelope,         ///< sender and recipients do not authenticate
  content,          ///< its content does not authenticate
  chunk,            ///< a piece of its content is gone or unreadable
  reply_text,       ///< a next hop's words about it do not authenticate
  // the index, which a start makes anew when it cannot be trusted
  index_absent,      ///< there is none
  index_unproven,    ///< a process died while it opened it
  index_damaged,     ///< its rows do not authenticate or do not belong together
  index_foreign,     ///< of another store, partition or version
  log_behind_index,  ///< the index knows of groups that the log does not have
  index_misses,      ///< a message of the log that a start with this index would not know
  index_lost,        ///< a message of the index that the log does not have
  index_differs,     ///< a message whose place or state in the index is not the log's
};

/// "segment_header" and the like.
std::string_view name_of(FindingKind kind);
/// One sentence for people, without a final stop.
std::string_view explain(FindingKind kind);
/// False for what is told, but is no damage.
bool is_damage(FindingKind kind);

struct Finding {
  FindingKind kind{};
  PartitionId partition;
  std::uint32_t segment = 0;     ///< number in the file's name; 0: not known, or nothing to do with one
  std::uint64_t generation = 0;  ///< 0: likewise
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::optional<MessageId> message;
};

/// Takes findings one by one.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void found(const Finding& finding) = 0;
};

}  // namespace ringpost::rescue
