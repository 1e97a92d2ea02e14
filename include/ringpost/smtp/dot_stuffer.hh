// The sending end of DATA: adds dots, ends the message, and never lets a stray CR, LF or NUL out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/scanner.hh"

namespace ringpost::smtp {

/// Encodes one message, given in pieces that may be cut anywhere (RFC 5321 section 4.5.2).
class DotStuffer {
 public:
  struct Step {
    Bytes output;              ///< the next bytes for the wire; may be empty
    std::size_t consumed = 0;  ///< bytes of the content that are dealt with
  };

  /// Encodes the start of `content`, which is not empty; call again with the rest until nothing is left or `failed()`.
  ///
  /// Errors:   after a fault nothing more comes out: the connection must be closed, for the server waits for the end.
  /// Lifetime: `output` is a view of `content` or of static storage, so it may go into an iovec.
  Step next(Bytes content);

  /// What ends the message: CRLF.CRLF, or .CRLF when the content ended with CRLF or was empty. Empty after a fault.
  Bytes finish();

  /// The same by copying: fills `out` from `content` and moves `content` on; for small messages that go out in one piece.
  ///
  /// Returns: bytes written; `content` is empty afterwards unless `out` is full or a fault was met.
  std::size_t copy(Bytes& content, MutableBytes out);

  bool failed() const { return faults_.any(); }
  const TextFaults& faults() const { return faults_; }

 private:
  Step fail(bool& fault);

  TextState text_;
  TextFaults faults_;
  bool held_cr_ = false;  ///< a CR ended the last piece; it goes out with its LF or not at all
};

}  // namespace ringpost::smtp
