// Cuts the bytes a client sends into command lines, in constant memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

/// RFC 5321 section 4.5.3.1.4, CRLF included.
inline constexpr std::size_t kCommandLineBytesMax = 512;
/// Where there is AUTH: its initial responses and answers (RFC 4954 section 4), without CRLF.
inline constexpr std::size_t kAuthLineBytesMax = 12288;
/// What a listener may raise the limit to.
inline constexpr std::size_t kExtendedLineBytesMax = kAuthLineBytesMax + 2;
/// A line that was refused is skipped for so long; then the session should end.
inline constexpr std::size_t kSkippedBytesMax = 64 * 1024;

enum class LineStatus : std::uint8_t {
  need_more,  ///< all input is used up, no line is complete
  line,       ///< `text` is one line
  too_long,   ///< the limit is passed; answer kLineTooLong
  bare_cr,    ///< answer kBareNewline
  bare_lf,    ///< answer kBareNewline
  nul,        ///< answer kControlCharacter
  endless,    ///< a refused line goes on past kSkippedBytesMax: close
};

struct LineStep {
  LineStatus status = LineStatus::need_more;
  Bytes text;                ///< without CRLF; a view of the input, or of the reader when the line came in pieces
  std::size_t consumed = 0;  ///< bytes of the input that are dealt with
  bool close = false;        ///< a refused BDAT, whose chunk would be read as commands, or an endless line: reply, then close
};

/// The reply to a line that is none; code 0 for `need_more` and `line`.
Reply line_refusal(LineStatus status);

/// Only CRLF ends a line. A line with a fault is reported once, as soon as the fault is seen, and then skipped up to its CRLF:
/// whatever a bare LF tried to set apart as a second command is never read as one.
class LineReader {
 public:
  /// `line_bytes_max` includes CRLF; at most kExtendedLineBytesMax.
  explicit LineReader(std::size_t line_bytes_max = kCommandLineBytesMax);
  LineReader(LineReader&&) noexcept = default;
  LineReader& operator=(LineReader&&) noexcept = default;
  /// Nothing of a line is left anywhere: it may have been a password.
  ~LineReader() { wipe_carry(line_bytes_max_); }

  /// Looks for the next line at the start of `input`. Call again with the rest, `input.subspan(consumed)`.
  ///
  /// Lifetime: `text` is valid until the next call, and as long as `input`.
  LineStep next(Bytes input);

  /// A line has begun and is not complete (used for time-outs and to tell a cut connection from an orderly end).
  bool in_line() const { return carried_ != 0 || skipping_; }
  /// Forgets everything, as after a STARTTLS handshake.
  void reset();
  /// From the next line on.
  void set_line_bytes_max(std::size_t bytes);

 private:
  LineStep refuse(LineStatus status, Bytes consumed);
  LineStep skip(Bytes input);
  void wipe_carry(std::size_t size);

  std::size_t line_bytes_max_;
  std::size_t carried_ = 0;  ///< bytes of the current line in carry_
  std::uint64_t skipped_ = 0;
  bool skipping_ = false;
  bool skipped_cr_ = false;  ///< the last byte skipped was a CR
  std::unique_ptr<std::byte[]> carry_;  ///< line_bytes_max_ bytes, made when the first line comes in pieces
};

}  // namespace ringpost::smtp
