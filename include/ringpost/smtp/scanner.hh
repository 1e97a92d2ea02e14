// Finds the bytes that matter in a stream of text: line ends, NULs, dots at the start of a line. No grammar in here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp {

struct LineScan {
  std::size_t offset = 0;  ///< of the first CR, LF or NUL; the size of the text when there is none
  bool eight_bit = false;  ///< some byte before `offset` has its top bit set
  friend bool operator==(const LineScan&, const LineScan&) = default;
};

/// The next CR, LF or NUL.
LineScan find_line_end(Bytes text);

/// What scan_text carries from one piece of a text to the next.
struct TextState {
  bool line_start = true;          ///< the next byte is the first one behind a true CRLF, or the first of all
  bool eight_bit = false;          ///< a byte with its top bit set was passed
  std::uint64_t line_bytes = 0;    ///< of the current line so far
  std::uint64_t longest_line = 0;  ///< bytes, without CRLF, the current line included

  /// Counts one byte of the current line that was not passed to scan_text.
  void add_byte() {
    ++line_bytes;
    if (line_bytes > longest_line) longest_line = line_bytes;
  }
  /// Begins a new line; `true_end` says whether CRLF and nothing else ended the last one.
  void end_line(bool true_end) {
    line_bytes = 0;
    line_start = true_end;
  }
  friend bool operator==(const TextState&, const TextState&) = default;
};

enum class Dots : bool { pass, stop };

/// Passes over well-formed text and stops before the first byte that needs thought: a CR without its LF in view, an LF without
/// its CR, a NUL, or (with Dots::stop) a dot at the start of a line.
///
/// Order:    the byte before `text` is not an unanswered CR; the caller deals with a CR on which a piece ends.
/// Returns:  bytes passed; `state` has moved over exactly these.
std::size_t scan_text(Bytes text, TextState& state, Dots dots);

/// One implementation of the two functions above; all give the same results, which a fuzz target compares.
struct Scanner {
  std::string_view name;
  LineScan (*find_line_end)(Bytes);
  std::size_t (*scan_text)(Bytes, TextState&, Dots);
};

/// Those this processor can run, the plain one first, the one in use last.
std::span<const Scanner> scanners();

}  // namespace ringpost::smtp
