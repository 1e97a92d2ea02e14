#include "client.hh"

#include <sys/socket.h>

#include <algorithm>

namespace ringpost::sim::relay {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kPatience = seconds{90};
constexpr std::string_view kQueued = "queued as ";

/// The last line of a reply. False: the connection is gone.
Task<bool> read_reply(Wire& wire, std::string& line) {
  do {
    const bool read = co_await wire.read_line(line, kPatience);
    if (!read || line.size() < 3) co_return false;
  } while (line.size() > 3 && line[3] == '-');
  co_return true;
}

std::string dot_stuffed(std::string_view content) {
  std::string out;
  out.reserve(content.size() + 16);
  if (content.starts_with('.')) out += '.';
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t found = content.find("\r\n.", at);
    if (found == std::string_view::npos) {
      out.append(content.substr(at));
      break;
    }
    out.append(content.substr(at, found + 3 - at)).append(".");
    at = found + 3;
  }
  return out + ".\r\n";
}

}  // namespace

Clients::Clients(World& world, Ledger& ledger, const SocketAddress& server, std::size_t wanted)
    : world_(world),
      ledger_(ledger),
      server_(server),
      wanted_(wanted),
      ring_(world.make_ring("clients", {.address = *IpAddress::parse("198.51.100.7")})),
      scope_(ring_) {}

void Clients::start(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) scope_.spawn(live());
}

Task<void> Clients::live() {
  while (ledger_.accepted() < wanted_) {
    auto socket = ring_.open_socket(server_, runtime::SocketKind::stream);
    RP_ASSERT(socket);
    auto connected = co_await ring_.connect(*socket, server_, ring_.now() + seconds{10});
    if (connected) co_await converse(*socket);
    (void)co_await ring_.close(*socket);
    co_await ring_.sleep_for(milliseconds{20 + prng().below(400)});
  }
}

Task<void> Clients::converse(Fd socket) {
  Wire wire{ring_, socket};
  const bool greeted = co_await greet(wire);
  if (!greeted) co_return;
  for (std::uint64_t messages = 1 + prng().below(12); messages > 0 && ledger_.accepted() < wanted_; --messages) {
    const Next next = co_await submit(wire, socket);
    if (next == Next::hang_up) co_return;
    co_await ring_.sleep_for(next == Next::wait ? Duration{milliseconds{200 + prng().below(800)}}
                                                : Duration{milliseconds{prng().below(60)}});
  }
  if (prng().one_in(4)) co_return;  // leaves without a word
  const bool said = co_await wire.send("QUIT\r\n", kPatience);
  std::string line;
  if (said) (void)co_await read_reply(wire, line);
}

Task<bool> Clients::greet(Wire& wire) {
  std::string line;
  bool going = co_await read_reply(wire, line);
  if (going) ledger_.heard(line);
  if (!going || !line.starts_with("220")) co_return false;
  going = co_await wire.send("EHLO client.example\r\n", kPatience);
  if (going) going = co_await read_reply(wire, line);
  co_return going&& line.starts_with("250");
}

Task<Clients::Next> Clients::submit(Wire& wire, Fd socket) {
  Submission& submission = ledger_.draw(prng());
  const bool chunks = prng().one_in(3), pipelined = !prng().one_in(3);
  const Next offered = co_await offer(wire, submission, pipelined, !chunks);
  if (offered != Next::go_on) co_return offered;
  if (prng().one_in(40)) {  // breaks off in the middle: never a message
    const std::string text = chunks ? submission.content : dot_stuffed(submission.content);
    const std::size_t kept = text.size() / 2;
    std::string begin = chunks ? "BDAT " + std::to_string(text.size() + 1) + " LAST\r\n" : "";
    (void)co_await wire.send(begin.append(text, 0, kept), kPatience);
    (void)co_await ring_.shutdown(socket, SHUT_RDWR);
    co_return Next::hang_up;
  }
  co_return chunks ? co_await send_chunks(wire, submission, pipelined) : co_await send_data(wire, submission);
}

// MAIL, RCPT and, with DATA, the 354. All of them at once or one after the other.
Task<Clients::Next> Clients::offer(Wire& wire, Submission& submission, bool pipelined, bool with_data) {
  std::vector<std::string> commands;
  commands.push_back("MAIL FROM:<" + Ledger::sender(submission) + ">" + (submission.eight_bit ? " BODY=8BITMIME" : "") +
                     (prng().one_in(2) ? " SIZE=" + std::to_string(submission.content.size()) : "") + "\r\n");
  for (std::size_t i = 0; i < submission.recipients.size(); ++i)
    commands.push_back("RCPT TO:<" + Ledger::recipient(submission, i) + ">\r\n");
  if (with_data) commands.push_back("DATA\r\n");
  bool going = true, taken = true;
  std::string line;
  if (pipelined) {
    std::string all;
    for (const std::string& command : commands) all += command;
    going = co_await wire.send(all, kPatience);
  }
  for (const std::string& command : commands) {
    if (going && !pipelined) going = co_await wire.send(command, kPatience);
    if (going) going = co_await read_reply(wire, line);
    if (going) ledger_.heard(line);
    if (!going || line.starts_with("421")) co_return Next::hang_up;
    taken = taken && (line.starts_with("250") || line.starts_with("354"));
    if (!taken && !pipelined) break;
  }
  if (taken) co_return Next::go_on;
  going = co_await wire.send("RSET\r\n", kPatience);
  if (going) going = co_await read_reply(wire, line);
  co_return going ? Next::wait : Next::hang_up;
}

Task<Clients::Next> Clients::send_data(Wire& wire, Submission& submission) {
  const std::string text = dot_stuffed(submission.content);
  const std::size_t piece = prng().one_in(3) ? 1 + prng().below(3000) : std::size_t{1} << 20;
  submission.end_sent = true;  // whether the last byte left is not known when this fails
  bool going = co_await wire.send(text, kPatience, piece);
  std::string line;
  if (going) going = co_await read_reply(wire, line);
  if (!going) co_return Next::hang_up;
  co_return conclude(submission, line);
}

Task<Clients::Next> Clients::send_chunks(Wire& wire, Submission& submission, bool pipelined) {
  std::string_view rest = submission.content;
  const std::size_t chunk_max = prng().one_in(2) ? rest.size() + 1 : 1 + rest.size() / (1 + prng().below(20));
  std::string line;
  std::size_t unanswered = 0;
  for (bool last = false; !last;) {
    const std::string_view chunk = rest.substr(0, chunk_max);
    rest.remove_prefix(chunk.size());
    last = rest.empty();
    submission.end_sent |= last;
    std::string out = "BDAT " + std::to_string(chunk.size()) + (last ? " LAST\r\n" : "\r\n");
    bool going = co_await wire.send(out.append(chunk), kPatience);
    if (!going) co_return Next::hang_up;
    ++unanswered;
    if (pipelined && !last) continue;
    for (; unanswered > 0; --unanswered) {
      going = co_await read_reply(wire, line);
      if (!going) co_return Next::hang_up;
      if (!last && !line.starts_with("250")) {  // nothing more of this one
        going = co_await wire.send("RSET\r\n", kPatience);
        if (going) going = co_await read_reply(wire, line);
        co_return going ? Next::wait : Next::hang_up;
      }
    }
  }
  co_return conclude(submission, line);
}

Clients::Next Clients::conclude(Submission& submission, std::string_view reply) {
  ledger_.heard(reply);
  if (reply.starts_with("250")) {
    const std::size_t at = reply.find(kQueued);
    ledger_.answered(submission, Answer::accepted, ring_.now(),
                     at == std::string_view::npos ? "" : reply.substr(at + kQueued.size()));
    return Next::go_on;
  }
  ledger_.answered(submission, Answer::refused, ring_.now());
  return reply.starts_with("421") ? Next::hang_up : Next::wait;
}

}  // namespace ringpost::sim::relay
