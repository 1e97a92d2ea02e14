#include "ringpost/rescue/finding.hh"

namespace ringpost::rescue {

std::string_view name_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::segment_header: return "segment_header";
    case FindingKind::segment_unreadable: return "segment_unreadable";
    case FindingKind::segment_missing: return "segment_missing";
    case FindingKind::segment_stale: return "segment_stale";
    case FindingKind::groups_missing: return "groups_missing";
    case FindingKind::group: return "group";
    case FindingKind::record: return "record";
    case FindingKind::padding: return "padding";
    case FindingKind::foreign_file: return "foreign_file";
    case FindingKind::torn_tail: return "torn_tail";
    case FindingKind::unused_bytes: return "unused_bytes";
    case FindingKind::event: return "event";
    case FindingKind::message_missing: return "message_missing";
    case FindingKind::outcome_missing: return "outcome_missing";
    case FindingKind::key_missing: return "key_missing";
    case FindingKind::key_damaged: return "key_damaged";
    case FindingKind::envelope: return "envelope";
    case FindingKind::content: return "content";
    case FindingKind::chunk: return "chunk";
    case FindingKind::reply_text: return "reply_text";
    case FindingKind::index_absent: return "index_absent";
    case FindingKind::index_unproven: return "index_unproven";
    case FindingKind::index_damaged: return "index_damaged";
    case FindingKind::index_foreign: return "index_foreign";
    case FindingKind::log_behind_index: return "log_behind_index";
    case FindingKind::index_misses: return "index_misses";
    case FindingKind::index_lost: return "index_lost";
    case FindingKind::index_differs: return "index_differs";
  }
  return "unknown";
}

std::string_view explain(FindingKind kind) {
  switch (kind) {
    case FindingKind::segment_header: return "the segment's header does not authenticate, nothing in it is used";
    case FindingKind::segment_unreadable: return "the device fails to read this, or the file was cut";
    case FindingKind::segment_missing: return "a segment is gone";
    case FindingKind::segment_stale: return "an old generation is back that was gone already, as from a backup";
    case FindingKind::groups_missing: return "groups that were durable are gone";
    case FindingKind::group: return "a group is damaged, its records are judged one by one";
    case FindingKind::record: return "a record does not authenticate";
    case FindingKind::padding: return "the padding behind a group changed, nothing is lost";
    case FindingKind::foreign_file: return "a file that the server did not put there, or not like this";
    case FindingKind::torn_tail: return "the log ends in a group that is not whole, as a crash leaves it";
    case FindingKind::unused_bytes: return "bytes where nothing was ever acknowledged, as a crash leaves them";
    case FindingKind::event: return "an audit event cannot be read";
    case FindingKind::message_missing: return "outcomes of this message are there, the message is not";
    case FindingKind::outcome_missing: return "what became of this message may be lost";
    case FindingKind::key_missing: return "keyd has no key for this message";
    case FindingKind::key_damaged: return "the message's key does not authenticate";
    case FindingKind::envelope: return "sender and recipients do not authenticate";
    case FindingKind::content: return "the content does not authenticate";
    case FindingKind::chunk: return "a piece of the content is gone or unreadable";
    case FindingKind::reply_text: return "a next hop's words about this message do not authenticate";
    case FindingKind::index_absent: return "there is no index, the next start reads the whole log";
    case FindingKind::index_unproven: return "a process died while it opened the index, the next start makes it anew";
    case FindingKind::index_damaged: return "the index does not authenticate, the next start makes it anew";
    case FindingKind::index_foreign: return "the index is another partition's, the next start makes it anew";
    case FindingKind::log_behind_index: return "the index knows of groups that the log has lost";
    case FindingKind::index_misses: return "a start with this index would not know this message";
    case FindingKind::index_lost: return "the index knows a message that the log has lost";
    case FindingKind::index_differs: return "the index does not say what the log does of this message";
  }
  return "unknown";
}

bool is_damage(FindingKind kind) {
  switch (kind) {
    case FindingKind::torn_tail:
    case FindingKind::unused_bytes:
    case FindingKind::index_absent:
    case FindingKind::index_unproven: return false;
    default: return true;
  }
}

}  // namespace ringpost::rescue
