#include "ringpost/smtp/reply.hh"

#include <algorithm>

#include "buffer_writer.hh"

namespace ringpost::smtp {

std::size_t write_reply(const Reply& reply, MutableBytes out) {
  // "250-" and "2.255.65535 " and CRLF leave at least this much of a line for text.
  constexpr std::size_t kTextMax = kReplyLineBytesMax - 4 - 14 - 2;
  BufferWriter writer(out);
  std::string_view rest = reply.text;
  for (bool last = false; !last;) {
    std::size_t newline = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, std::min(newline, kTextMax));
    rest.remove_prefix(text.size());
    if (!rest.empty() && rest.front() == '\n') rest.remove_prefix(1);
    last = rest.empty();
    writer.number(reply.code).text(last ? " " : "-");
    if (reply.enhanced) {
      writer.number(reply.enhanced.klass)
          .text(".")
          .number(reply.enhanced.subject)
          .text(".")
          .number(reply.enhanced.detail)
          .text(" ");
    }
    writer.safe(text).text("\r\n");
  }
  return writer.size();
}

}  // namespace ringpost::smtp
