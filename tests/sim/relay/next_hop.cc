#include "next_hop.hh"

#include <algorithm>
#include <charconv>

namespace ringpost::sim::relay {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Duration kPatience = minutes{5};

std::string_view between(std::string_view line) {
  const std::size_t begin = line.find('<'), end = line.find('>');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return line.substr(begin + 1, end - begin - 1);
}

std::string unstuffed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool line_begins = true;
  for (char octet : text) {
    const bool stuffed = line_begins && octet == '.';
    line_begins = octet == '\n';
    if (!stuffed) out += octet;
  }
  return out;
}

/// Exactly one field, of the kind that relaying adds.
bool is_received_field(std::string_view text) {
  if (!text.starts_with("Received: ") || !text.ends_with("\r\n")) return false;
  text.remove_suffix(2);
  for (std::size_t end; (end = text.find("\r\n")) != std::string_view::npos; text.remove_prefix(end + 2)) {
    if (!text.substr(end + 2).starts_with(' ') && !text.substr(end + 2).starts_with('\t')) return false;
  }
  return true;
}

/// `relayed` is `sent` behind one Received field.
bool is_relayed(std::string_view relayed, std::string_view sent) {
  return relayed.ends_with(sent) && is_received_field(relayed.substr(0, relayed.size() - sent.size()));
}

}  // namespace

struct NextHop::Session {
  Session(SimRing& ring, Fd socket) : wire(ring, socket), since(ring.now()) {}
  Wire wire;
  Instant since;
  bool chunking = true, pipelining = true;
  Transaction transaction;
  std::vector<Arrival*> unconfirmed;  // of the last 250
};

NextHop::NextHop(World& world, Ledger& ledger, Findings& findings, const SocketAddress& address)
    : world_(world),
      ledger_(ledger),
      findings_(findings),
      address_(address),
      ring_(world.make_ring("next hop " + address.text(), {.address = address.ip()})),
      scope_(ring_) {}

void NextHop::start() {
  auto listener = ring_.listen(address_, runtime::SocketKind::stream, {});
  RP_ASSERT(listener);
  listener_ = *listener;
  acceptor_.emplace(ring_, listener_);
  scope_.spawn(accept_all());
}

void NextHop::stop() { scope_.spawn(close_listener()); }

Task<void> NextHop::close_listener() {
  co_await acceptor_->stop();
  (void)co_await ring_.close(listener_);
}

Task<void> NextHop::accept_all() {
  for (;;) {
    auto accepted = co_await acceptor_->next();
    if (accepted) {
      scope_.spawn(serve(*accepted));
    } else if (accepted.error().code == Errc::cancelled) {
      co_return;
    } else {
      co_await ring_.sleep_for(milliseconds{10});
    }
  }
}

Task<void> NextHop::serve(Fd socket) {
  Session session{ring_, socket};
  session.chunking = world_.prng().one_in(2);
  session.pipelining = !world_.prng().one_in(4);
  const bool moody = mood("hop greets 421");
  bool going = co_await session.wire.send(moody ? "421 4.3.2 not now\r\n" : "220 hop.example ESMTP\r\n", kPatience);
  going = going && !moody;
  std::string line;
  while (going) {
    going = co_await session.wire.read_line(line, kPatience);
    if (!going) break;
    confirm(session);
    going = co_await handle(session, line);
  }
  (void)co_await ring_.close(socket);
}

// Whoever says something more has read what was said before.
void NextHop::confirm(Session& session) {
  for (Arrival* arrival : session.unconfirmed) arrival->confirmed = ring_.now();
  session.unconfirmed.clear();
}

Task<bool> NextHop::handle(Session& session, std::string_view command) {
  Transaction& transaction = session.transaction;
  const auto say = [&](std::string_view text) { return session.wire.send(text, kPatience); };
  if (mood("hop is slow")) co_await ring_.sleep_for(milliseconds{100 + world_.prng().below(20'000)});
  if (command.starts_with("EHLO")) {
    std::string reply = "250-hop.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n";
    if (session.pipelining) reply += "250-PIPELINING\r\n";
    if (session.chunking) reply += "250-CHUNKING\r\n";
    co_return co_await say(reply + "250 ENHANCEDSTATUSCODES\r\n");
  }
  if (command.starts_with("MAIL")) {
    if (mood("hop defers MAIL")) co_return co_await say("451 4.3.0 later\r\n");
    transaction = {.sender = std::string{between(command)}, .open = true};
    co_return co_await say("250 2.1.0 Ok\r\n");
  }
  if (command.starts_with("RCPT")) {
    if (const auto number = Ledger::number_of_sender(between(command))) {
      Submission* reported = ledger_.find(*number);
      findings_.expect(reported && transaction.sender.empty(), "what is sent to a sender is no report");
      if (!transaction.open || !reported) co_return co_await say("503 5.5.1 MAIL first\r\n");
      if (mood("hop defers RCPT")) co_return co_await say("450 4.2.0 later\r\n");
      transaction.reported = reported;
      co_return co_await say("250 2.1.5 Ok\r\n");
    }
    const auto addressee = Ledger::addressee(between(command));
    Submission* submission = addressee ? ledger_.find(addressee->number) : nullptr;
    findings_.expect(submission && addressee->index < submission->recipients.size(),
                     "the next hop was offered an unknown recipient");
    if (!transaction.open || !submission) co_return co_await say("503 5.5.1 MAIL first\r\n");
    if (mood("hop defers RCPT")) co_return co_await say("450 4.2.0 later\r\n");
    if (mood("hop refuses RCPT")) {
      submission->recipients[addressee->index].refused_for_good = true;
      co_return co_await say("550 5.1.1 nobody\r\n");
    }
    transaction.recipients.push_back(*addressee);
    co_return co_await say("250 2.1.5 Ok\r\n");
  }
  if (command.starts_with("DATA")) {
    if (!transaction.has_recipients()) co_return co_await say("554 5.5.1 no recipients\r\n");
    if (mood("hop defers DATA")) co_return co_await say("451 4.3.0 later\r\n");
    bool going = co_await say("354 go ahead\r\n");
    std::string text;
    if (going) going = co_await session.wire.read_text(text, kPatience);
    if (!going) co_return false;
    transaction.content = unstuffed(text);
    co_return co_await decide(session, true);
  }
  if (command.starts_with("BDAT"))
    co_return co_await take_chunk(session, command.substr(std::min<std::size_t>(5, command.size())));
  if (command.starts_with("RSET")) {
    transaction = {};
    co_return co_await say("250 2.0.0 Ok\r\n");
  }
  if (command.starts_with("QUIT")) {
    (void)co_await say("221 2.0.0 Bye\r\n");
    co_return false;
  }
  findings_.expect(command.starts_with("NOOP"), "the next hop got a command it does not know");
  co_return co_await say("250 2.0.0 Ok\r\n");
}

Task<bool> NextHop::take_chunk(Session& session, std::string_view argument) {
  Transaction& transaction = session.transaction;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), size);
  if (error != std::errc{}) co_return false;
  const bool last = argument.ends_with("LAST");
  const bool read = co_await session.wire.read_bytes(transaction.content, size, kPatience);
  if (!read) co_return false;
  if (!transaction.has_recipients()) {
    if (last) transaction = {};
    co_return co_await session.wire.send("554 5.5.1 no recipients\r\n", kPatience);
  }
  if (!last) co_return co_await session.wire.send("250 2.0.0 Ok\r\n", kPatience);
  co_return co_await decide(session, false);
}

// The message is here in whole.
Task<bool> NextHop::decide(Session& session, bool by_data) {
  const std::vector<Addressee> recipients = session.transaction.recipients;
  if (mood("hop hangs up before it decides")) co_return false;
  if (mood("hop defers the message")) {
    session.transaction = {};
    co_return co_await session.wire.send("451 4.3.0 later\r\n", kPatience);
  }
  if (mood("hop refuses the message")) {
    for (const Addressee& to : recipients) ledger_.find(to.number)->recipients[to.index].refused_for_good = true;
    if (session.transaction.reported) session.transaction.reported->report_refused = true;
    session.transaction = {};
    co_return co_await session.wire.send("554 5.6.0 never\r\n", kPatience);
  }
  take(session, by_data);
  session.transaction = {};
  if (mood("hop hangs up before it answers")) co_return false;
  co_return co_await session.wire.send("250 2.0.0 Ok: taken\r\n", kPatience);
}

// Whom it says to have failed. Nothing else may be in a group, and nobody else's recipient.
void NextHop::take_report(Session& session) {
  const Submission& about = *session.transaction.reported;
  Submission& submission = *ledger_.find(about.number);
  const std::string_view content = session.transaction.content;
  const std::size_t id_begin = content.find("Message-ID: <");
  const std::string id{content.substr(id_begin, content.find('>', id_begin) - id_begin)};
  constexpr std::string_view kField = "Final-Recipient: rfc822; ";
  findings_.expect(content.find("To: <" + Ledger::sender(about) + ">") != content.npos, "a report is addressed to somebody else");
  std::size_t told = 0, delayed = 0;  // a clock that jumps may make it warn early; it must not make it give up
  for (std::size_t at = content.find(kField); at != content.npos; at = content.find(kField, at + 1)) {
    const std::string_view group = content.substr(at, content.find("\r\n\r\n", at) - at);
    const std::string_view address = group.substr(kField.size(), group.find("\r\n") - kField.size());
    const auto addressee = Ledger::addressee(address);
    const bool known = addressee && addressee->number == about.number && addressee->index < about.recipients.size();
    findings_.expect(known, "a report tells of a stranger");
    delayed += known && group.find("Action: delayed") != group.npos;
    if (!known || group.find("Action: failed") == group.npos) continue;
    ++told;
    auto& arrivals = submission.recipients[addressee->index].reports[id];
    arrivals.push_back({.connected = session.since, .at = ring_.now(), .confirmed = kNever});
    session.unconfirmed.push_back(&arrivals.back());
  }
  findings_.expect(told > 0 || delayed > 0, "a report tells of no failure, and of no delay");
}

void NextHop::take(Session& session, bool by_data) {
  if (session.transaction.reported) return take_report(session);
  const Transaction& transaction = session.transaction;
  Submission* first = nullptr;
  for (const Addressee& to : transaction.recipients) {
    Submission* submission = ledger_.find(to.number);
    if (!first) first = submission;
    findings_.expect(submission == first, "a transaction mixes the recipients of two messages");
    Recipient& recipient = submission->recipients[to.index];
    recipient.arrivals.push_back({.connected = session.since, .at = ring_.now(), .confirmed = kNever});
    session.unconfirmed.push_back(&recipient.arrivals.back());
  }
  // Text that ends without a line's end gets one when it travels by DATA, which cannot do without.
  const bool ended = first->content.empty() || first->content.ends_with("\r\n");
  const bool same = is_relayed(transaction.content, first->content) ||
                    (by_data && !ended && is_relayed(transaction.content, first->content + "\r\n"));
  findings_.expect(same, "a message arrived changed: number " + std::to_string(first->number));
  findings_.expect(transaction.sender == Ledger::sender(*first), "a message arrived with another sender");
}

}  // namespace ringpost::sim::relay
