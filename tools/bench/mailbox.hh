// Real messages to send: an mbox file (RFC 4155), a maildir, or a folder of message files.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace ringpost::bench {

/// Messages with CRLF at each line's end, no dots added, none empty.
using Messages = std::vector<std::string>;

/// A file is an mbox; of a folder with `cur` or `new` in it, all files in these; of any other folder, all files in it. In the order
/// of their names. Errors: text; nothing to send is one.
std::expected<Messages, std::string> read_messages(const std::string& path);

/// The messages of an mbox: each begins behind a line that starts with "From " and that is the first or stands behind an empty
/// one; ">From " in a body loses its ">".
Messages split_mbox(std::string_view text);

/// CRLF at each line's end: bare LF and bare CR become CRLF, a last line without one gets it.
std::string with_crlf(std::string_view text);

}  // namespace ringpost::bench
