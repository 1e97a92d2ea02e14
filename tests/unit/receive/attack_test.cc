// Hostile clients, by attack row.
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>

#include "ringpost/base/prng.hh"
#include "ringpost/smtp/transaction.hh"
#include "support.hh"

namespace ringpost::receive {
namespace {

using namespace testing;

std::string from_base64(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// Sends a message that holds `bytes` with a second transaction behind them, and returns what was kept.
std::vector<Stored> smuggle(std::string_view bytes, std::uint64_t seed, bool in_pieces) {
  Bench bench(small_settings(), seed);
  if (in_pieces) bench.world.faults().set(Fault::net_split, 1);
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("Subject: x\r\n\r\ntext" + std::string{bytes} +
              "MAIL FROM:<smuggled@evil.test>\r\nRCPT TO:<victim@next.test>\r\nDATA\r\nsmuggled\r\n.\r\nQUIT\r\n");
  (void)client.rest();
  return bench.intake.stored;
}

TEST(Attacks, E1_E30_no_variant_of_the_end_of_data_smuggles_a_transaction) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  std::ifstream file(std::string{root} + "/smtp-injection/end-of-data-variants.json");
  ASSERT_TRUE(file);
  const auto variants = nlohmann::json::parse(file);
  ASSERT_GE(variants.size(), 10u);
  std::size_t kept = 0;
  for (const auto& variant : variants) {
    const std::string bytes = from_base64(variant["bytes_b64"].get<std::string>()), expected = variant["expected"].get<std::string>();
    for (bool in_pieces : {false, true}) {
      const std::vector<Stored> stored = smuggle(bytes, 1, in_pieces);
      for (const Stored& message : stored) ASSERT_EQ(message.reverse_path, "a@client.test") << variant["id"];
      const bool refused = expected.starts_with("NOT end of data") || expected.find("is refused") != std::string::npos;
      ASSERT_EQ(stored.size(), refused ? 0u : 1u) << variant["id"] << " " << expected;
      kept += stored.size();
    }
  }
  EXPECT_GT(kept, 0u);
}

TEST(Attacks, E27_the_end_one_byte_at_a_time) {
  Bench bench;
  bench.world.faults().set(Fault::net_split, 1);
  Client client(bench);
  client.greet();
  client.begin_data();
  for (char c : "x\r\n.\r\n"s) {
    client.send(std::string(1, c));
    bench.run_for(milliseconds{10});
  }
  EXPECT_EQ(client.reply().substr(0, 3), "250");
  EXPECT_EQ(bench.intake.stored.size(), 1u);
}

TEST(Attacks, E28_commands_behind_the_dot_are_commands_and_text_behind_their_data_ends_the_session) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("one\r\n.\r\nMAIL FROM:<c@client.test>\r\nRCPT TO:<d@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(4), "250 250 250 354");
  client.send("two\r\n.\r\nRSET\r\nMAIL FROM:<e@client.test>\r\nRCPT TO:<f@next.test>\r\nDATA\r\nthree\r\n.\r\n");
  EXPECT_EQ(client.codes_to_end(), "250 250 250 250 554");
  ASSERT_EQ(bench.intake.stored.size(), 2u);
  EXPECT_EQ(without_trace(bench.intake.stored[1].content), "two\r\n");
}

TEST(Attacks, E31_a_bare_newline_in_a_command_makes_no_second_command_and_three_end_the_session) {
  for (std::string newline : {"\n", "\r"}) {
    Bench bench;
    Client client(bench);
    client.greet();
    const std::string line = "MAIL FROM:<a@client.test>" + newline + "RCPT TO:<b@next.test>";
    EXPECT_EQ(client.ask(line).substr(0, 9), "500 5.5.2");
    EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
    EXPECT_EQ(client.ask(line).substr(0, 3), "500");
    client.send(line + "\r\n");
    EXPECT_EQ(client.codes_to_end(), "500 421");
  }
}

TEST(Attacks, E32_stray_newlines_and_nul_in_chunks_are_refused) {
  for (const std::string& bad : {"a\nb"s, "a\rb"s, "ab\r"s, "a\0b"s}) {
    Bench bench;
    Client client(bench);
    client.greet();
    (void)client.ask("MAIL FROM:<a@client.test>");
    (void)client.ask("RCPT TO:<b@next.test>");
    client.send("BDAT " + std::to_string(bad.size()) + " LAST\r\n" + bad);
    EXPECT_EQ(client.reply().substr(0, 7), "554 5.6");
    EXPECT_EQ(bench.intake.stored.size(), 0u);
    EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
  }
}

TEST(Attacks, C6_other_protocols_are_shown_the_door) {
  for (const std::string& hello : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n"s, "POST / HTTP/1.1\r\n\r\nMAIL FROM:<a@b>\r\n"s,
                                   "SSH-2.0-OpenSSH\r\n"s}) {
    Bench bench;
    Client client(bench);
    client.begin();
    client.send(hello);
    EXPECT_EQ(client.codes_to_end(), "554");
  }
}

TEST(Attacks, C6_who_talks_before_the_banner_is_sent_away) {
  Bench bench;
  bench.world.timing().wire = {std::chrono::microseconds{1}, std::chrono::microseconds{2}};
  bench.world.timing().turn = {std::chrono::microseconds{1}, milliseconds{5}};
  bool seen = false;
  for (int i = 0; i < 100 && !seen; ++i) {  // the bytes must be there before the server gets to its banner
    Client client(bench, "198.51.100.7", "EHLO client.test\r\n");
    std::string first = client.reply();
    if (first.starts_with("220")) continue;
    EXPECT_EQ(first.substr(0, 3), "554");
    EXPECT_EQ(client.rest(), "");
    seen = true;
  }
  EXPECT_TRUE(seen);
}

/// A server whose listener waits with its banner.
config::Settings with_delay(Duration delay) {
  config::Settings settings = small_settings();
  settings.listeners = {{.name = "test", .address = kServer, .greeting_delay = delay}};
  return settings;
}

TEST(Attacks, C6_within_the_greeting_delay_a_talker_gets_554_at_once_and_no_banner) {
  Bench bench(with_delay(seconds{5}));
  const Instant began = bench.world.now();
  Client early(bench);
  bench.run_for(milliseconds{700});
  EXPECT_EQ(early.inbox, "");
  early.send("EHLO client.test\r\n");
  EXPECT_EQ(early.codes_to_end(), "554");
  EXPECT_LT(bench.world.now() - began, seconds{2});
  EXPECT_EQ(bench.metrics.sessions_started.value(), 0u);
}

TEST(Attacks, C6_who_listens_is_greeted_after_the_delay_and_served) {
  Bench bench(with_delay(seconds{5}));
  const Instant began = bench.world.now();
  Client patient(bench);
  EXPECT_EQ(patient.codes(1), "220");
  EXPECT_GE(bench.world.now() - began, seconds{5});
  EXPECT_EQ(patient.ask("EHLO client.test").substr(0, 3), "250");
}

TEST(Attacks, C6_a_server_that_stops_does_not_wait_for_its_own_delay) {
  Bench bench(with_delay(seconds{60}));
  Client waiting(bench);
  bench.run_for(milliseconds{100});
  const Instant began = bench.world.now();
  bench.begin_stop(seconds{30});
  EXPECT_EQ(waiting.codes_to_end(), "421");
  EXPECT_LT(bench.world.now() - began, seconds{2});
}

TEST(Session, a_listeners_live_keys_count_for_sessions_that_begin_after_their_change) {
  Bench bench(with_delay(seconds{5}));
  bench.server.reconfigure(std::make_shared<const config::Settings>(with_delay({})));
  const Instant began = bench.world.now();
  Client client(bench);
  EXPECT_EQ(client.codes(1), "220");
  EXPECT_LT(bench.world.now() - began, seconds{2});
}

TEST(Attacks, C7_junk_and_errors_have_an_end) {
  for (std::string command : {"NOOP", "RSET", "VRFY x", "HELP", "FOO", "EXPN x"}) {
    Bench bench;
    Client client(bench);
    client.greet();
    std::string all;
    for (int i = 0; i < 10'000; ++i) all += command + "\r\n";
    client.send(all);
    const std::string codes = client.codes_to_end();
    EXPECT_EQ(codes.substr(codes.size() - 3), "421") << command;
    EXPECT_LT(codes.size(), 4u * 200) << command;
  }
}

TEST(Attacks, C8_lines_without_end) {
  Bench bench;
  Client twice(bench), endless(bench);
  twice.greet();
  EXPECT_EQ(twice.ask(std::string(4096, 'x')).substr(0, 9), "500 5.5.2");
  twice.send(std::string(4096, 'x') + "\r\n");
  EXPECT_EQ(twice.codes_to_end(), "500 421");
  endless.greet();
  endless.send(std::string(4_MiB, 'x'));
  EXPECT_EQ(endless.codes_to_end(), "500 500");
}

TEST(Attacks, C9_control_characters_in_commands) {
  for (const std::string& line : {"NOOP\0"s, "EHLO \x1b[2J"s, "MAIL FROM:<a\x07@b>"s, "EHLO caf\xc3\xa9"s}) {
    Bench bench;
    Client client(bench);
    client.greet();
    EXPECT_EQ(client.ask(line).substr(0, 2), "50") << line;
  }
}

TEST(Attacks, C10_a_client_that_pipelines_a_hundred_thousand_recipients_and_reads_nothing_is_let_go) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.read_nothing();
  std::string all = "MAIL FROM:<a@client.test>\r\n";
  for (int i = 0; i < 100'000; ++i) all += "RCPT TO:<b@next.test>\r\n";
  client.send(all);
  bench.run_for(std::chrono::minutes{20});
  EXPECT_EQ(bench.server.sessions(), 0u);
  Client good(bench);
  good.greet();
}

TEST(Attacks, C10_who_reads_gets_every_answer_in_order) {
  Bench bench;
  Client client(bench);
  client.greet();
  std::string all = "MAIL FROM:<a@client.test>\r\n";
  for (int i = 0; i < 1000; ++i) all += "RCPT TO:<b@next.test>\r\n";
  client.send(all + "NOOP\r\n");
  std::string expected = "250";
  for (int i = 0; i < 100; ++i) expected += " 250";
  for (int i = 0; i < 900; ++i) expected += " 452";
  EXPECT_EQ(client.codes(1002), expected + " 250");
}

TEST(Attacks, C11_text_behind_a_refused_data_is_never_read_as_commands) {
  Bench bench;
  Client client(bench, "203.0.113.9");
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\nRSET\r\nVRFY x\r\n.\r\n");
  EXPECT_EQ(client.codes_to_end(), "250 550 554");
}

TEST(Attacks, C12_chunks_that_break_the_rules) {
  for (std::string bad : {"BDAT", "BDAT x", "BDAT -1", "BDAT 9223372036854775808", "BDAT 18446744073709551616 LAST", "BDAT 5 LAS"}) {
    Bench bench;
    Client client(bench);
    client.greet();
    client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\n" + bad + "\r\nRSET\r\nNOOP\r\n");
    EXPECT_EQ(client.codes_to_end(), "250 250 501") << bad;
  }
  Bench bench;
  Client client(bench);
  client.greet();
  client.send("BDAT 6\r\nNOOP\r\nNOOP\r\n");  // the chunk is swallowed, not run
  EXPECT_EQ(client.codes(2), "503 250");
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nBDAT 2\r\nabDATA\r\n");
  EXPECT_EQ(client.codes(4), "250 250 250 503");
  client.send("BDAT 3\r\na\nbBDAT 2 LAST\r\nxyNOOP\r\n");
  EXPECT_EQ(client.codes(3), "554 503 250");
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nBDAT 0 LAST\r\n");
  EXPECT_EQ(client.codes(3), "250 250 250");
  EXPECT_EQ(bench.intake.stored.size(), 1u);
  Client cut(bench);
  cut.greet();
  cut.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nBDAT 100 LAST\r\nhalf");
  EXPECT_EQ(cut.codes(2), "250 250");
  cut.close();
  bench.run_for(seconds{5});
  EXPECT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.alive, 0u);
  Client zeros(bench);
  zeros.greet();
  std::string all = "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\n";
  for (int i = 0; i < 100'000; ++i) all += "BDAT 0\r\n";
  zeros.send(all);
  const std::string codes = zeros.codes_to_end();
  EXPECT_TRUE(codes.ends_with("421"));
  EXPECT_LT(codes.size(), 4u * 1000);
}

// Random commands, one at a time; the replies must be those of the pure state machine.
TEST(Attacks, C13_random_sequences_agree_with_the_state_machine) {
  struct Row {
    smtp::Verb verb;
    std::string_view line;
    bool last;
  };
  constexpr Row kRows[] = {{smtp::Verb::ehlo, "EHLO client.test", false},      {smtp::Verb::helo, "HELO client.test", false},
                           {smtp::Verb::mail, "MAIL FROM:<a@client.test>", false}, {smtp::Verb::mail, "MAIL FROM:<>", false},
                           {smtp::Verb::rcpt, "RCPT TO:<b@next.test>", false}, {smtp::Verb::rcpt, "RCPT TO:<b@next.test>", false},
                           {smtp::Verb::data, "DATA", false},                  {smtp::Verb::bdat, "BDAT 1\r\nx", false},
                           {smtp::Verb::bdat, "BDAT 3 LAST\r\na\r\n", true},   {smtp::Verb::bdat, "BDAT 3\r\na\nb", false},
                           {smtp::Verb::rset, "RSET", false}};
  Prng random(13);
  std::size_t accepted = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    config::Settings settings = small_settings();
    settings.smtp.errors_max = 1'000'000;
    settings.smtp.commands_without_mail_max = 1'000'000;
    Bench bench(settings, seed);
    Client client(bench);
    client.begin();
    smtp::TransactionState state;
    std::size_t stored = 0;
    for (int i = 0; i < 60; ++i) {
      const Row& row = kRows[random.below(std::size(kRows))];
      const bool chunk = row.verb == smtp::Verb::bdat, bad = row.line.find("a\nb") != std::string_view::npos;
      const smtp::Decision decision = state.decide(row.verb);
      client.send(std::string{row.line} + (chunk ? "" : "\r\n"));
      const std::string reply = client.reply().substr(0, 3);
      if (!decision.allowed()) {
        ASSERT_EQ(reply, std::to_string(decision.refusal.code)) << row.line;
        if (chunk) state.chunk_refused(row.last);
        continue;
      }
      ASSERT_EQ(reply, bad ? "554" : row.verb == smtp::Verb::data ? "354" : "250") << row.line;
      switch (row.verb) {
        case smtp::Verb::ehlo:
        case smtp::Verb::helo: state.greeted(row.verb == smtp::Verb::ehlo); break;
        case smtp::Verb::mail: state.mail_accepted(); break;
        case smtp::Verb::rcpt: state.rcpt_accepted(); break;
        case smtp::Verb::rset: state.reset(); break;
        case smtp::Verb::bdat:
          if (bad) state.chunk_refused(row.last);
          else state.chunk_accepted(row.last);
          stored += row.last && !bad;
          break;
        default:
          state.data_started();
          ASSERT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
          state.message_ended();
          ++stored;
      }
    }
    ASSERT_EQ(bench.intake.stored.size(), stored) << "seed " << seed;
    accepted += stored;
  }
  EXPECT_GT(accepted, 10u);
}

TEST(Attacks, C14_parameters) {
  Bench bench;
  Client client(bench);
  client.greet();
  const std::pair<std::string, std::string> cases[] = {{"SIZE=-1", "501"}, {"SIZE=0", "250"}, {"SIZE=9223372036854775808", "552"},
                                                       {"SIZE=1 SIZE=1", "501"}, {"BODY=", "501"}, {"FOO=1", "555"},
                                                       {"RET=FULL", "250"}, {"RET=FULL ENVID=a ENVID=a", "501"}, {"ENVID=+0D+0A", "501"}, {"NOTIFY=NEVER", "555"}, {"SMTPUTF8", "250"}, {"BODY=8BITMIME", "250"}};
  for (const auto& [parameters, code] : cases) {
    EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> " + parameters).substr(0, 3), code) << parameters;
    if (code == "250") EXPECT_EQ(client.ask("RSET").substr(0, 3), "250");
  }
}

TEST(Attacks, C15_names_in_ehlo) {
  for (std::string name : {"[1.2.3.4]", "[IPv6:::1]", "a-b.test"}) {
    Bench bench;
    Client client(bench);
    client.begin();
    EXPECT_EQ(client.ask("EHLO " + name).substr(0, 3), "250") << name;
  }
  for (std::string name : {"", "[999.1.1.1]", "-a.test", "a b", "[IPv6:fe80::1%25eth0]", "a;b", "$(x)"}) {
    Bench bench;
    Client client(bench);
    client.begin();
    EXPECT_EQ(client.ask("EHLO " + name).substr(0, 3), "501") << name;
  }
}

TEST(Attacks, C16_who_drips_is_timed_out_wherever_it_is) {
  for (std::string begin : {"", "EHLO client.test\r\n", "EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n",
                            "EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nBDAT 100000\r\n"}) {
    Bench bench;
    Client client(bench);
    client.begin();
    client.send(begin);
    Duration longest = std::chrono::hours{1};
    Duration spent{};
    while (bench.server.sessions() > 0 && spent < longest) {
      client.send("x");
      bench.run_for(seconds{10});
      spent += seconds{10};
    }
    EXPECT_EQ(bench.server.sessions(), 0u) << begin;
    EXPECT_EQ(bench.metrics.sessions_timed_out.value(), 1u) << begin;
    EXPECT_LT(spent, std::chrono::minutes{15}) << begin;
    EXPECT_NE(client.rest().find("421"), std::string::npos) << begin;
    EXPECT_EQ(bench.intake.stored.size(), 0u);
  }
}

// The oracle is in ~Bench: counters at zero, no operation, no buffer, no message left.
TEST(Attacks, C17_a_connection_may_end_in_any_state_in_either_way) {
  const std::string steps[] = {"EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n", "RCPT TO:<b@next.test>\r\n", "DATA\r\n", "text\r\n", ".\r"};
  for (std::size_t count = 0; count <= std::size(steps); ++count) {
    for (bool rude : {false, true}) {
      Bench bench;
      Client client(bench);
      client.begin();
      for (std::size_t i = 0; i < count; ++i) {
        client.send(steps[i]);
        if (i < 4) EXPECT_NE(client.reply(), "");
      }
      if (rude) client.reset();
      else client.close();
      bench.run_for(seconds{10});
      EXPECT_EQ(bench.server.sessions(), 0u) << count;
      EXPECT_EQ(bench.intake.stored.size(), 0u);
    }
  }
}

TEST(Attacks, A2_A3_addresses_are_data_or_refused) {
  Bench bench;
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<" + std::string(65, 'a') + "@b.test>").substr(0, 2), "50");
  EXPECT_EQ(client.ask("MAIL FROM:<a@" + std::string(64, 'b') + ".test>").substr(0, 1), "5");
  EXPECT_EQ(client.ask("MAIL FROM:<a@b.test").substr(0, 3), "501");
  (void)client.ask("MAIL FROM:<a@client.test>");
  const std::string odd[] = {"$(x)`id`|cmd@next.test", "../../etc@next.test", "-oX@next.test"};
  std::vector<std::string> taken;
  for (const std::string& address : odd)
    if (client.ask("RCPT TO:<" + address + ">").starts_with("250")) taken.push_back(address);
  (void)client.ask("RCPT TO:<b@next.test>");
  (void)client.ask("DATA");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  taken.push_back("b@next.test");
  EXPECT_EQ(bench.intake.stored.at(0).recipients, taken);
}

TEST(Attacks, A4_an_address_beyond_ascii_needs_the_parameter) {
  Bench bench;
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<j\xc3\xb6rg@client.test>").substr(0, 9), "553 5.6.7");
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<j\xc3\xb6rg@next.test>").substr(0, 9), "553 5.6.7");
  (void)client.ask("RSET");
  EXPECT_EQ(client.ask("MAIL FROM:<j\xc3\xb6rg@client.test> SMTPUTF8").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<j\xc3\xb6rg@next.test>").substr(0, 3), "250");
  (void)client.ask("DATA");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  EXPECT_TRUE(bench.intake.stored.at(0).smtputf8);
  EXPECT_NE(bench.intake.stored.at(0).content.find("with UTF8SMTP\r\n"), std::string::npos);
}

TEST(Attacks, C18_a_prefix_full_of_connections_gets_421_and_others_are_served) {
  config::Settings settings = small_settings();
  settings.limits.connections_per_prefix = 10;
  for (const std::string prefix : {"198.51.100.", "2001:db8:1:2::"}) {
    Bench bench(settings);
    std::vector<std::unique_ptr<Client>> crowd;
    std::size_t greeted = 0, refused = 0;
    for (int i = 1; i <= 60; ++i) {
      crowd.push_back(std::make_unique<Client>(bench, prefix + std::to_string(i)));
      const std::string code = crowd.back()->codes(1);
      greeted += code == "220";
      refused += code == "421";
    }
    EXPECT_EQ(greeted, 10u);
    EXPECT_EQ(refused, 50u);
    for (const std::string other : {"198.51.101.1", "2001:db8:1:3::1"}) {
      Client client(bench, other);
      client.greet();
      EXPECT_EQ(client.ask("QUIT").substr(0, 3), "221");
    }
  }
}

/// A server for next.test, where only john exists, as a list says.
config::Settings with_list() {
  config::Settings settings = small_settings();
  settings.listeners = {{.name = "test", .address = kServer, .role = config::ListenerRole::mx}};
  settings.relay.domains = {"next.test"};
  auto list = std::make_shared<const config::RecipientList>(*config::RecipientList::parse("john\n", "next.test"));
  settings.recipients = {{.domain = "next.test", .value = {.kind = config::RecipientRule::Kind::file}, .list = std::move(list)}};
  return settings;
}

TEST(Attacks, A9_who_harvests_addresses_is_let_go_after_so_many_errors) {
  Bench bench(with_list());
  Client client(bench, "203.0.113.9");
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<john@next.test>").substr(0, 3), "250");
  std::string all, expected;
  for (int i = 0; i < 1000; ++i) all += "RCPT TO:<guess" + std::to_string(i) + "@next.test>\r\n";
  for (int i = 0; i < 20; ++i) expected += "550 ";
  client.send(all);
  EXPECT_EQ(client.codes_to_end(), expected + "421");
}

TEST(Attacks, A9_vrfy_and_expn_say_the_same_of_everybody_in_the_same_time) {
  Bench bench(with_list());
  Client client(bench, "203.0.113.9");
  client.greet();
  std::map<std::string, std::vector<Duration>> took;
  for (int round = 0; round < 20; ++round) {
    for (const std::string verb : {"VRFY", "EXPN"}) {
      for (const std::string who : {"john@next.test", "nobody@next.test"}) {
        const Instant begun = bench.world.now();
        EXPECT_EQ(client.ask(verb + " " + who), "252 2.1.5 Cannot verify, but will accept and attempt delivery\r\n");
        took[who].push_back(bench.world.now() - begun);
      }
    }
  }
  auto median = [](std::vector<Duration> times) {
    std::ranges::sort(times);
    return std::chrono::duration<double>{times[times.size() / 2]}.count();
  };
  EXPECT_NEAR(median(took["john@next.test"]) / median(took["nobody@next.test"]), 1, 0.2);
  EXPECT_TRUE(bench.verifier.asked.empty()) << "nobody is asked who exists";
}

TEST(Attacks, M1_M2_M4_big_headers_deep_mime_and_long_lines_pass_or_are_refused_within_bounds) {
  config::Settings settings = small_settings();
  settings.smtp.line_bytes_max = 998;
  Bench bench(settings);
  Client client(bench);
  client.greet();
  std::string headers, folded = "X:", deep;
  for (int i = 0; i < 20'000; ++i) headers += "X: y\r\n";
  for (int i = 0; i < 20'000; ++i) folded += " y\r\n";
  for (int i = 0; i < 5'000; ++i) deep += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\r\n\r\n--b" + std::to_string(i) + "\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {headers, "250"}, {folded, "250"}, {deep, "250"},
      {std::string(998, 'x') + "\r\n", "250"}, {std::string(999, 'x') + "\r\n", "554"}, {"X: " + std::string(900'000, 'x') + "\r\n", "554"}};
  std::size_t kept = 0;
  for (const auto& [text, code] : cases) {
    client.begin_data();
    client.send(text + ".\r\n");
    EXPECT_EQ(client.reply().substr(0, 3), code) << text.substr(0, 40);
    kept += code == "250";
    ASSERT_EQ(bench.intake.stored.size(), kept);
    if (code == "250") EXPECT_EQ(without_trace(bench.intake.stored.back().content), text);
  }
}

}  // namespace
}  // namespace ringpost::receive
