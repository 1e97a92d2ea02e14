// Reports to senders: what became of a message, as a message of our own (RFC 3461, 3464, 6522, 6533).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
#include "ringpost/event/event.hh"
#include "ringpost/smtp/notification.hh"
#include "ringpost/smtp/reply.hh"
#include "ringpost/spool/terms.hh"

namespace ringpost::deliver {

/// RFC 3464 section 2.3.3.
enum class Action : std::uint8_t { failed, delayed, delivered, relayed, expanded };

/// What became of one recipient. All views may be hostile: nothing in them starts a field, a line or a part.
struct Reported {
  Action action = Action::failed;
  std::string_view address;     ///< as it was sent to us
  std::string_view parameters;  ///< of its RCPT, as they are kept (smtp/notification.hh)
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;  ///< the next hop's last answer; code 0: there was none
  std::string_view text;   ///< its words
  event::Host host;        ///< port 0: nobody answered
  std::optional<WallTime> last_attempt;
  std::optional<WallTime> will_retry_until;  ///< delayed only
};

/// RFC 3463 and 5248: the next hop's own code when its class fits, or what `reason` says; registered codes only.
smtp::EnhancedCode status_of(const Reported& reported);

/// Does the sender want to hear of that? Never for the null sender: a report is not answered (RFC 3461 section 6). Whoever named a time
/// hears of it unless NOTIFY says NEVER (RFC 2852 section 4.1).
bool is_wanted(Action action, std::string_view reverse_path, std::string_view rcpt_parameters, const spool::Terms& terms = {});

/// The part of a message that goes back: its header, or all of it. At most `bytes_max`; a header is cut at the end of a line.
///
/// Use: feed() pieces of the content from its start while it returns true.
class Returned {
 public:
  /// `whole`: wanted, and granted when `size`, the content's, is not above `bytes_max`.
  Returned(bool whole, std::uint64_t size, std::size_t bytes_max) : whole_(whole && size <= bytes_max), bytes_max_(bytes_max) {}
  bool feed(Bytes piece);
  bool whole() const { return whole_; }
  /// Lines end in CRLF and are fit for the wire. A message that is not is returned as its header.
  std::string_view text();

 private:
  bool whole_;
  std::size_t bytes_max_;
  std::string text_;
  bool complete_ = false;
};

struct ReportDraft {
  std::string_view hostname;    ///< of this server
  std::string_view sender;      ///< who gets it: the reverse path, not empty
  std::string_view parameters;  ///< of MAIL, as they are kept
  WallTime now{};
  WallTime arrived{};           ///< the message
  std::optional<WallTime> deliver_by = {};  ///< when its sender wanted it delivered
  MessageId id;                 ///< of the report
  std::array<std::byte, 16> boundary{};  ///< random: nothing that is returned may guess it
  std::span<const Reported> recipients;  ///< at least one
  Returned* returned = nullptr;
};

struct MadeReport {
  std::string content;     ///< CRLF lines of at most 998 octets, no bare CR or LF, no NUL
  bool smtputf8 = false;   ///< its header needs RFC 6531
  bool eight_bit = false;  ///< it holds octets above 127
};
/// From MAILER-DAEMON at this host, with the null reverse path for its envelope.
MadeReport make_report(const ReportDraft& draft);

}  // namespace ringpost::deliver
