// ringpost-bench: sends mail, takes it in, compares both ends, and says what a server did with it.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "bench/crew.hh"
#include "bench/modes.hh"
#include "bench/options.hh"
#include "ringpost/base/steady_clock.hh"

namespace {

using namespace ringpost;
using namespace ringpost::bench;

/// A name that no earlier run had: two runs with one name could not be told apart in a ledger.
std::string fresh_run_name() { return fmt::format("{:x}.{:x}", steady_now().time_since_epoch().count(), ::getpid()); }

struct SinkWords {
  std::vector<std::string> listen, without;
  std::string mode, max_bytes = "1024M", tls = "none";
};

/// `prefix`: in front of the options that a generator has, too, where one command has both.
void declare(CLI::App& app, SinkSetup& setup, SinkWords& words, const std::string& prefix = "--") {
  app.add_option("--listen", words.listen, "IP:PORT[,IP:PORT..]; port 0 takes a free one")->required()->delimiter(',');
  app.add_option("--store", setup.store, "keep each message in this directory: NUMBER.eml, NUMBER.json");
  app.add_option("--mode", words.mode,
                 "faults, separated by commas: tempfail@STAGE[=RATE], permfail@STAGE[=RATE], drop@STAGE[=RATE], slow=TIME,\n"
                 "greylist=TIME. Stages: connect, tls, mail, rcpt, data, content, end, reply. Rates 0..1, times such as 50ms or 2s");
  app.add_option("--without", words.without, "do not offer: pipelining, size, 8bitmime, smtputf8, chunking, enhancedstatuscodes")
      ->delimiter(',')
      ->check(CLI::IsMember({"pipelining", "size", "8bitmime", "smtputf8", "chunking", "enhancedstatuscodes"}, CLI::ignore_case));
  app.add_option("--max-size", words.max_bytes, "largest message (" + words.max_bytes + ")");
  app.add_option(prefix + "tls", words.tls, "none, starttls, implicit (none)")->check(CLI::IsMember({"none", "starttls", "implicit"}));
  app.add_option("--certificate", setup.chain, "with TLS: PEM file of the certificate and its chain");
  app.add_option("--key", setup.key, "with TLS: PEM file of its key");
  app.add_option(prefix + "hostname", setup.options.hostname, "name in the greeting");
  app.add_option(prefix + "threads", setup.threads, "threads, each with a ring of its own (1)")->check(CLI::Range(1, 256));
  app.add_option(prefix + "cpu", setup.cpu, "core of the first thread; the others take those behind it");
  app.add_option(prefix + "seed", setup.options.seed, "of the faults");
}

void complete(SinkSetup& setup, const SinkWords& words) {
  for (const std::string& text : words.listen) setup.listen.push_back(read_address("--listen", text));
  setup.options.faults = good("--mode", FaultPlan::parse(words.mode));
  setup.options.message_bytes_max = good("--max-size", parse_number(words.max_bytes));
  setup.options.security = security_named(words.tls);
  if (setup.options.security != Security::none && (setup.chain.empty() || setup.key.empty()))
    bad("--certificate", "and --key are needed for TLS");
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

struct SendWords {
  ClientWords client;
  std::string size = "4096", recipients = "1", chunk = "0", messages_from;
  double seconds = 0, reconnect_s = 30;
};

void declare(CLI::App& app, SendSetup& setup, SendWords& words) {
  declare(app, setup.options.client, words.client);
  app.add_option("--connections", setup.connections, "connections at once (1)")->check(CLI::Range(1u, 60'000u));
  app.add_option("--messages", setup.messages, "how many messages")->check(CLI::PositiveNumber);
  app.add_option("--seconds", words.seconds, "for how long")->check(CLI::PositiveNumber);
  app.add_option("--size", words.size,
                 "bytes of a message, header included: BYTES or MIN-MAX, or several by weight, such as 1k-8k:80,64k:15,1M:5 (4096)");
  app.add_option("--messages-from", words.messages_from,
                 "send the messages of this mbox, maildir or folder, over and over, each with a token in front");
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
  app.add_option("--run-id", setup.generator.run, "name of this run in the tokens (a fresh one)");
  app.add_option("--seed", setup.generator.seed, "of the messages (1)");
  app.add_option("--from", setup.options.sender, "sender's address");
  app.add_option("--to-domain", setup.options.recipient_domain, "domain of the recipients");
  app.add_option("--domains", setup.options.domains, "recipients in so many domains below it, d0.DOMAIN and so on (1)")
      ->check(CLI::PositiveNumber);
  app.add_option("--server-pid", setup.server_pid, "state the CPU time of this process and its descendants, too");
  app.add_option("--threads", setup.threads, "threads, each with a ring of its own (1)")->check(CLI::Range(1, 256));
  app.add_option("--cpu", setup.cpu, "core of the first thread; the others take those behind it");
}

void complete(SendSetup& setup, const SendWords& words) {
  if (setup.messages == 0 && words.seconds == 0) bad("--messages", "say --messages, --seconds or both");
  complete(setup.options.client, words.client);
  setup.generator.bytes = good("--size", Distribution::parse(words.size, kMessageBytesMin, 1_GiB));
  setup.generator.recipients = good("--recipients", Range::parse(words.recipients, 1, 100'000));
  if (!words.messages_from.empty()) {
    auto kept = std::make_shared<Messages>(good("--messages-from", read_messages(words.messages_from)));
    for (const std::string& message : *kept)
      setup.generator.eight_bit |= std::ranges::any_of(message, [](char c) { return static_cast<unsigned char>(c) > 127; });
    setup.generator.kept = std::move(kept);
  }
  setup.options.chunk_bytes = good("--chunk", parse_number(words.chunk));
  if (setup.options.chunk_bytes != 0 && !setup.options.bdat) bad("--chunk", "needs --bdat");
  if (setup.options.depth > 1 && !setup.options.pipeline) bad("--depth", "needs --pipeline");
  if (setup.generator.run.empty()) setup.generator.run = fresh_run_name();
  if (!is_token(setup.generator.run) || setup.generator.run.size() > kRunBytesMax)
    bad("--run-id", fmt::format("needs 1 to {} letters, digits, '.', '_' or '-'", kRunBytesMax));
  setup.span = seconds(words.seconds);
  setup.options.reconnect_max = seconds(words.reconnect_s);
}

void declare_output(CLI::App& app, std::string& json, bool& quiet) {
  app.add_option("--json", json, "write the results; - is standard output");
  app.add_flag("--quiet", quiet, "no live line, no summary");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Sends mail, takes it in, compares both ends, and says what a server did with it.", "ringpost-bench"};
  app.require_subcommand(1);
  auto command = [&](const char* name, const char* help) { return app.add_subcommand(name, help); };

  SendSetup send;
  SendWords send_words;
  CLI::App* send_app = command("send", "a generator of SMTP or LMTP load");
  declare(*send_app, send, send_words);
  send_app->add_option("--ledger", send.ledger, "append a line for each message that got 250, at once");
  declare_output(*send_app, send.json, send.quiet);

  SinkSetup sink;
  SinkWords sink_words;
  CLI::App* sink_app = command("sink", "an SMTP server that accepts everything, or misbehaves as told");
  declare(*sink_app, sink, sink_words);
  sink_app->add_option("--ledger", sink.ledger, "append a line for each message, before its 250 leaves");
  declare_output(*sink_app, sink.json, sink.quiet);

  RelaySetup relay;
  SendWords relay_words;
  SinkWords relay_sink_words;
  double relay_patience_s = 60;
  CLI::App* relay_app = command("relay", "a generator and a sink around a server, until its queue is empty");
  declare(*relay_app, relay.send, relay_words);
  declare(*relay_app, relay.sink, relay_sink_words, "--sink-");
  relay_app->add_option("--patience", relay_patience_s, "seconds without an arrival, before the rest counts as lost (60)");
  relay_app->add_option("--sent-ledger", relay.send.ledger, "keep the generator's ledger");
  relay_app->add_option("--received-ledger", relay.sink.ledger, "keep the sink's ledger");
  declare_output(*relay_app, relay.send.json, relay.send.quiet);

  LoginSetup login;
  ClientWords login_words;
  double login_seconds = 10;
  CLI::App* login_app = command("login", "connections that log in and leave, rightly or not, at a constant rate");
  declare(*login_app, login.client, login_words);
  login_app->add_option("--rate", login.rate, "logins in a second")->required()->check(CLI::PositiveNumber);
  login_app->add_option("--seconds", login_seconds, "for how long (10)")->check(CLI::PositiveNumber);
  login_app->add_option("--connections", login.concurrent_max, "at once; what is due beyond them waits (1000)")->check(CLI::PositiveNumber);
  login_app->add_flag("--numbered", login.numbered, "each login's name has another number in front");
  declare_output(*login_app, login.json, login.quiet);

  IdleSetup idle;
  ClientWords idle_words;
  double idle_seconds = 0;
  CLI::App* idle_app = command("idle", "connections that do nothing");
  declare(*idle_app, idle.client, idle_words);
  idle_app->add_option("--connections", idle.connections, "how many")->required()->check(CLI::Range(1u, 60'000u));
  idle_app->add_option("--seconds", idle_seconds, "for how long (until a signal)")->check(CLI::PositiveNumber);
  idle_app->add_option("--server-pid", idle.server_pid, "state what each costs this process and its descendants in memory (Pss)");
  declare_output(*idle_app, idle.json, idle.quiet);

  CheckSetup check;
  CLI::App* check_app = command("check", "whether all that got 250 arrived unchanged");
  check_app->add_option("--sent", check.sent, "ledger of a generator; may be given several times")->required();
  check_app->add_option("--received", check.received, "ledger of a sink; may be given several times")->required();
  check_app->add_option("--json", check.json, "write the counts; - is standard output");

  CompareSetup compare;
  CLI::App* compare_app = command("compare", "two results side by side");
  compare_app->add_option("BEFORE", compare.before, "results in JSON")->required();
  compare_app->add_option("AFTER", compare.after, "results in JSON")->required();
  compare_app->add_option("--worse", compare.worse_max, "exit 1 when a figure is worse by more than so many percent")
      ->check(CLI::PositiveNumber);

  try {
    app.parse(argc, argv);
    if (*send_app) complete(send, send_words);
    if (*sink_app) complete(sink, sink_words);
    if (*relay_app) {
      complete(relay.send, relay_words);
      complete(relay.sink, relay_sink_words);
      relay.patience = seconds(relay_patience_s);
    }
    if (*login_app) {
      complete(login.client, login_words);
      if (login.client.user.empty()) bad("--user", "is needed");
      login.span = seconds(login_seconds);
    }
    if (*idle_app) {
      complete(idle.client, idle_words);
      idle.span = seconds(idle_seconds);
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (*send_app) return run_send(std::move(send));
  if (*sink_app) return run_sink(std::move(sink));
  if (*relay_app) return run_relay(std::move(relay));
  if (*login_app) return run_login(login);
  if (*idle_app) return run_idle(idle);
  if (*compare_app) return run_compare(compare);
  return run_check(check);
}
