// ringpost-bench: sends made-up mail, takes it in, and compares both ends.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <string>

#include "bench/crew.hh"
#include "bench/modes.hh"

namespace {

using namespace ringpost;
using namespace ringpost::bench;

/// An option's text that turns out not to mean anything; CLI11 prints it and exits.
[[noreturn]] void bad(const std::string& option, const std::string& why) { throw CLI::ValidationError(option, why); }

SocketAddress read_address(const std::string& option, const std::string& text) {
  auto address = SocketAddress::parse(text);
  if (!address) bad(option, "\"" + text + "\" is not IP:PORT, such as 127.0.0.1:2525 or [::1]:2525");
  return *address;
}

std::uint64_t read_number(const std::string& option, std::string_view text) {
  std::uint64_t scale = 1, value = 0;
  if (text.ends_with('k') || text.ends_with('K')) scale = 1_KiB;
  if (text.ends_with('M')) scale = 1_MiB;
  if (scale > 1) text.remove_suffix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || value > (1ull << 40) / scale)
    bad(option, "needs a number, with k or M if it is a size");
  return value * scale;
}

/// NUMBER or MIN-MAX.
Range read_range(const std::string& option, const std::string& text, std::uint64_t min, std::uint64_t max) {
  std::size_t dash = text.find('-');
  Range range;
  range.min = read_number(option, std::string_view{text}.substr(0, dash));
  range.max = dash == std::string::npos ? range.min : read_number(option, std::string_view{text}.substr(dash + 1));
  if (range.min < min || range.max > max || range.min > range.max)
    bad(option, fmt::format("needs NUMBER or MIN-MAX within {} and {}", min, max));
  return range;
}

/// A name that no earlier run had: two runs with one name could not be told apart in a ledger.
std::string fresh_run_name() { return fmt::format("{:x}.{:x}", monotonic_now().time_since_epoch().count(), ::getpid()); }

struct SinkWords {
  std::vector<std::string> listen, without;
  std::string mode, max_bytes = "1024M";
};

struct SendWords {
  std::string to, size = "4096", recipients = "1", chunk = "0";
  double seconds = 0, reconnect_s = 30, timeout_s = 60;
};

void declare(CLI::App& app, SinkSetup& setup, SinkWords& words) {
  app.add_option("--listen", words.listen, "IP:PORT[,IP:PORT..]; port 0 takes a free one")->required()->delimiter(',');
  app.add_option("--ledger", setup.ledger, "append a line for each message, before its 250 leaves");
  app.add_option("--store", setup.store, "keep each message in this directory: NUMBER.eml, NUMBER.json");
  app.add_option("--mode", words.mode,
                 "faults, separated by commas: tempfail@STAGE[=RATE], permfail@STAGE[=RATE], drop@STAGE[=RATE], slow=TIME,\n"
                 "greylist=TIME. Stages: connect, mail, rcpt, data, content, end, reply. Rates 0..1, times such as 50ms or 2s");
  app.add_option("--without", words.without, "do not offer: pipelining, size, 8bitmime, smtputf8, chunking, enhancedstatuscodes")
      ->delimiter(',')
      ->check(CLI::IsMember({"pipelining", "size", "8bitmime", "smtputf8", "chunking", "enhancedstatuscodes"}, CLI::ignore_case));
  app.add_option("--max-size", words.max_bytes, "largest message (" + words.max_bytes + ")");
  app.add_option("--hostname", setup.options.hostname, "name in the greeting");
  app.add_option("--threads", setup.threads, "threads, each with a ring of its own (1)")->check(CLI::Range(1, 256));
  app.add_option("--cpu", setup.cpu, "core of the first thread; the others take those behind it");
  app.add_option("--seed", setup.options.seed, "of the faults");
  app.add_option("--json", setup.json, "write a summary at the end; - is standard output");
  app.add_flag("--quiet", setup.quiet, "no live line");
}

void complete(SinkSetup& setup, const SinkWords& words) {
  for (const std::string& text : words.listen) setup.listen.push_back(read_address("--listen", text));
  auto faults = FaultPlan::parse(words.mode);
  if (!faults) bad("--mode", faults.error());
  setup.options.faults = *faults;
  setup.options.message_bytes_max = read_number("--max-size", words.max_bytes);
  for (const std::string& name : words.without) {
    Offers& offers = setup.options.offers;
    std::string lower = CLI::detail::to_lower(name);
    if (lower == "pipelining") offers.pipelining = false;
    if (lower == "size") offers.size = false;
    if (lower == "8bitmime") offers.eight_bit_mime = false;
    if (lower == "smtputf8") offers.smtputf8 = false;
    if (lower == "chunking") offers.chunking = false;
    if (lower == "enhancedstatuscodes") offers.enhanced_status_codes = false;
  }
}

void declare(CLI::App& app, SendSetup& setup, SendWords& words) {
  app.add_option("--to", words.to, "IP:PORT of the server")->required();
  app.add_option("--connections", setup.connections, "connections at once (1)")->check(CLI::Range(1u, 60'000u));
  app.add_option("--messages", setup.messages, "how many messages")->check(CLI::PositiveNumber);
  app.add_option("--seconds", words.seconds, "for how long")->check(CLI::PositiveNumber);
  app.add_option("--size", words.size, "BYTES or MIN-MAX of a message, header included (4096)");
  app.add_option("--recipients", words.recipients, "NUMBER or MIN-MAX of a message (1)");
  app.add_option("--per-connection", setup.options.per_connection, "messages in one connection (no bound)");
  app.add_flag("--pipeline", setup.options.pipeline, "send MAIL, RCPT and DATA or BDAT together");
  app.add_option("--depth", setup.options.depth,
                 "with --pipeline: messages under way in one connection; with DATA, 2 means that the next one's commands leave\n"
                 "with the end of this one (1)")
      ->check(CLI::Range(1, 64));
  app.add_flag("--bdat", setup.options.bdat, "use BDAT, not DATA");
  app.add_option("--chunk", words.chunk, "with --bdat: bytes of a chunk (the whole message)");
  app.add_option("--rate", setup.rate,
                 "messages in a second, whatever the server does (open loop): latency counts from when a message was due")
      ->check(CLI::PositiveNumber);
  app.add_flag("--eight-bit", setup.generator.eight_bit, "octets above 127 in the bodies");
  app.add_flag("--keep-going", setup.options.keep_going, "connect again when a connection breaks; exit 0 if anything got 250");
  app.add_option("--reconnect-for", words.reconnect_s,
                 "with --keep-going: seconds without a connection until one is given up (30)");
  app.add_option("--timeout", words.timeout_s, "seconds to wait for a reply (60)")->check(CLI::PositiveNumber);
  app.add_option("--ledger", setup.ledger, "append a line for each message that got 250, at once");
  app.add_option("--run-id", setup.generator.run, "name of this run in the tokens (a fresh one)");
  app.add_option("--seed", setup.generator.seed, "of the messages (1)");
  app.add_option("--from", setup.options.sender, "sender's address");
  app.add_option("--to-domain", setup.options.recipient_domain, "domain of the recipients");
  app.add_option("--hostname", setup.options.hostname, "name for EHLO");
  app.add_option("--threads", setup.threads, "threads, each with a ring of its own (1)")->check(CLI::Range(1, 256));
  app.add_option("--cpu", setup.cpu, "core of the first thread; the others take those behind it");
  app.add_option("--json", setup.json, "write the results; - is standard output");
  app.add_flag("--quiet", setup.quiet, "no live line, no summary");
}

Duration seconds(double value) { return Duration{static_cast<Duration::rep>(value * 1e9)}; }

void complete(SendSetup& setup, const SendWords& words) {
  if (setup.messages == 0 && words.seconds == 0) bad("--messages", "say --messages, --seconds or both");
  setup.options.to = read_address("--to", words.to);
  setup.generator.bytes = read_range("--size", words.size, kMessageBytesMin, 1_GiB);
  setup.generator.recipients = read_range("--recipients", words.recipients, 1, 100'000);
  setup.options.chunk_bytes = read_number("--chunk", words.chunk);
  if (setup.options.chunk_bytes != 0 && !setup.options.bdat) bad("--chunk", "needs --bdat");
  if (setup.options.depth > 1 && !setup.options.pipeline) bad("--depth", "needs --pipeline");
  if (setup.generator.run.empty()) setup.generator.run = fresh_run_name();
  if (!is_token(setup.generator.run) || setup.generator.run.size() > kRunBytesMax)
    bad("--run-id", fmt::format("needs 1 to {} letters, digits, '.', '_' or '-'", kRunBytesMax));
  setup.span = seconds(words.seconds);
  setup.options.reconnect_max = seconds(words.reconnect_s);
  setup.options.reply_max = seconds(words.timeout_s);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Sends made-up mail, takes it in, and compares both ends.", "ringpost-bench"};
  app.require_subcommand(1);
  SinkSetup sink;
  SinkWords sink_words;
  SendSetup send;
  SendWords send_words;
  CheckSetup check;
  CLI::App* sink_app = app.add_subcommand("sink", "an SMTP server that accepts everything, or misbehaves as told");
  CLI::App* send_app = app.add_subcommand("send", "a generator of SMTP load");
  CLI::App* check_app = app.add_subcommand("check", "whether all that got 250 arrived unchanged");
  declare(*sink_app, sink, sink_words);
  declare(*send_app, send, send_words);
  check_app->add_option("--sent", check.sent, "ledger of a generator; may be given several times")->required();
  check_app->add_option("--received", check.received, "ledger of a sink; may be given several times")->required();
  check_app->add_option("--json", check.json, "write the counts; - is standard output");
  try {
    app.parse(argc, argv);
    if (*sink_app) complete(sink, sink_words);
    if (*send_app) complete(send, send_words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (*sink_app) return run_sink(std::move(sink));
  if (*send_app) return run_send(std::move(send));
  return run_check(check);
}
