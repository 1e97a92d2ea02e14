// The client's side of replies, from next hops that may be hostile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

// More than any honest server needs; RFC 5321 section 4.5.3.1.5 asks for 512 bytes a line.
inline constexpr std::size_t kPeerReplyLineBytesMax = 4096;
inline constexpr std::size_t kPeerReplyLinesMax = 100;
inline constexpr std::size_t kPeerReplyBytesMax = 64 * 1024;
/// Of a reply's text so much is kept, for the log, the queue and a report.
inline constexpr std::size_t kPeerReplyTextMax = 512;

enum class ReplyFault : std::uint8_t {
  none,
  line_too_long,
  too_many_lines,
  too_many_bytes,
  bad_code,       ///< not three digits of RFC 5321 section 4.2.1
  bad_separator,  ///< neither SP nor - behind the code
  mixed_codes,    ///< lines of one reply disagree
  empty_line,
  nul,
  bare_cr,
  bare_lf,
};

/// A short stable name such as "mixed_codes".
std::string_view reply_fault_name(ReplyFault fault);

/// Reads one reply after the other. Memory is constant, and nothing of an earlier reply shows in a later one.
class ReplyParser {
 public:
  enum class Status : std::uint8_t {
    need_more,  ///< all input is used up
    line,       ///< one line of a reply that goes on
    done,       ///< the last line of a reply; the next call begins a new one
    error,      ///< for good: close the connection
  };
  struct Step {
    Status status = Status::need_more;
    std::size_t consumed = 0;  ///< bytes of the input that are dealt with
    std::string_view line;     ///< what follows "250-" or "250 ", as sent; until the next call
  };

  Step next(Bytes input);

  // Of the reply that is being read, or was just completed.
  std::uint16_t code() const { return code_; }
  /// The first line's enhanced code, where it is well-formed and of the reply's own class; else none.
  EnhancedCode enhanced() const { return enhanced_; }
  /// The text of all lines, one blank between them, printable ASCII (everything else is `?`), cut at kPeerReplyTextMax.
  std::string_view text() const { return {text_.data(), text_size_}; }
  std::size_t lines() const { return lines_; }

  ReplyFault fault() const { return fault_; }
  /// Some bytes of a reply have come, not all.
  bool in_reply() const { return begun_; }
  void reset();

 private:
  Step fail(ReplyFault fault, std::size_t consumed);
  Step take_line(std::string_view line, std::size_t consumed);
  void keep_text(std::string_view text);

  std::uint16_t code_ = 0;
  EnhancedCode enhanced_{};
  ReplyFault fault_ = ReplyFault::none;
  bool begun_ = false;
  std::size_t lines_ = 0;
  std::size_t bytes_ = 0;
  std::size_t carried_ = 0;
  std::size_t text_size_ = 0;
  std::array<char, kPeerReplyTextMax> text_;
  std::array<std::byte, kPeerReplyLineBytesMax> carry_;
};

/// `d.ddd.ddd` at the start of `text`, followed by a blank or nothing; `size` gets its bytes. None when it is anything else.
EnhancedCode parse_enhanced_code(std::string_view text, std::size_t* size = nullptr);

}  // namespace ringpost::smtp
