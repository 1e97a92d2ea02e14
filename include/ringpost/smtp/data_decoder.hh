// The receiving end of DATA: finds the one true end, takes away the dots that were added, and sees every byte that must not be.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/reply.hh"
#include "ringpost/smtp/scanner.hh"

namespace ringpost::smtp {

/// Bytes no message may hold (RFC 5321 section 2.3.8).
struct TextFaults {
  bool bare_cr = false;
  bool bare_lf = false;
  bool nul = false;

  bool any() const { return bare_cr || bare_lf || nul; }
  friend bool operator==(const TextFaults&, const TextFaults&) = default;
};

/// The reply for a message with `faults`; code 0 when there are none.
Reply fault_refusal(const TextFaults& faults);

/// What to do with a CR or LF that stands alone.
enum class BareNewline : std::uint8_t {
  refuse,  ///< the message is refused at its true end
  repair,  ///< it becomes CRLF, for a named submission listener whose clients cannot do better
};

/// Decodes one message. Only CRLF.CRLF ends it, or .CRLF as its very first bytes (an empty message).
///
/// Repair never changes where a message ends, and never what is dot-stuffing: a dot behind a repaired newline is text, so
/// LF.LF becomes a line that holds one dot. A NUL is refused in either mode.
class DataDecoder {
 public:
  explicit DataDecoder(BareNewline policy = BareNewline::refuse) : policy_(policy) {}

  struct Step {
    Bytes content;             ///< the next bytes of the message, CRLF preserved, dots taken away; may be empty
    std::size_t consumed = 0;  ///< bytes of the input that are dealt with, at least 1 unless `content` is not empty
    bool end = false;          ///< the message is complete; what follows `consumed` are commands again
  };

  /// Decodes the start of `input`, which is not empty, as far as nothing but dots must be taken away: in place, what lies behind
  /// a dot moves up, so a message full of them comes in as few pieces as any other. Call again with the rest, until `end` or
  /// nothing is left. Once the message is sure to be refused no more content is given.
  ///
  /// Lifetime: `content` is a view of `input` or of static storage. What was consumed of `input` holds nothing else of use any more.
  Step next(MutableBytes input);

  bool ended() const { return state_ == State::ended; }
  const TextFaults& faults() const { return faults_; }
  /// The reply the faults demand under the policy; code 0 when the message may be accepted.
  Reply refusal() const;
  /// Bytes of content, after unstuffing; counts on after a fault.
  std::uint64_t size() const { return size_; }
  /// Bytes of the longest line, without CRLF and without a stuffed dot.
  std::uint64_t longest_line() const { return text_.longest_line; }
  bool eight_bit() const { return text_.eight_bit; }

 private:
  enum class State : std::uint8_t {
    text,    ///< text_.line_start tells whether a dot would be special
    cr,      ///< behind a CR in a line
    dot,     ///< behind the first dot of a line, which is not given out
    dot_cr,  ///< behind that dot and a CR
    ended,
  };

  bool refused() const { return faults_.nul || (policy_ == BareNewline::refuse && faults_.any()); }
  Step decode(MutableBytes input);
  Step decode_text(MutableBytes input);
  Step give(Bytes content, std::size_t consumed);
  Step newline_fault(bool& fault, Bytes repaired, std::size_t consumed);
  Step dot_line_fault(bool& fault, std::size_t consumed);
  Step discard(Bytes input);

  BareNewline policy_;
  State state_ = State::text;
  TextFaults faults_;
  TextState text_;
  std::uint64_t size_ = 0;
};

/// Watches over content that is framed by its length, so BDAT: the same faults, over any number of chunks.
class ChunkChecker {
 public:
  /// The next bytes of the message, of this chunk or a later one.
  void feed(Bytes content);
  /// There is no more: a CR at the very end stands alone.
  void finish();

  const TextFaults& faults() const { return faults_; }
  std::uint64_t size() const { return size_; }
  std::uint64_t longest_line() const { return text_.longest_line; }
  bool eight_bit() const { return text_.eight_bit; }

 private:
  TextFaults faults_;
  TextState text_;
  bool after_cr_ = false;
  std::uint64_t size_ = 0;
};

}  // namespace ringpost::smtp
