// Sessions under TLS, and on their way there.
#include "certified.hh"

namespace ringpost::receive {
namespace {

using namespace testing;
using config::ListenerTls;
using namespace std::string_view_literals;

struct TlsBench : Bench {
  explicit TlsBench(ListenerTls tls, config::Settings settings = with_certificate())
      : Bench(std::move(settings), 1, config::BareNewline::refuse, tls) {}
};

TEST(Tls, a_session_begins_anew_behind_starttls) {
  TlsBench bench{ListenerTls::offered};
  Client client(bench);
  client.begin();
  EXPECT_NE(client.ask("EHLO client.test").find("250-STARTTLS\r\n"), std::string::npos);
  EXPECT_EQ(client.ask("STARTTLS"), "220 2.0.0 Ready to start TLS\r\n");
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask("EHLO client.test").find("STARTTLS"), std::string::npos);
  client.begin_data();
  EXPECT_EQ(client.ask("Subject: x\r\n\r\nbody\r\n.").substr(0, 3), "250");
  EXPECT_EQ(client.ask("QUIT").substr(0, 3), "221");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  const std::string& content = bench.intake.stored[0].content;
  EXPECT_NE(content.find("with ESMTPS\r\n\ttls TLS_AES_128_GCM_SHA256 group X25519 (TLSv1.3)\r\n\tid "), std::string::npos) << content;
  EXPECT_EQ(without_trace(content), "Subject: x\r\n\r\nbody\r\n");
  EXPECT_EQ(bench.metrics.tls_handshakes.value(), 1u);
}

TEST(Tls, comes_before_the_banner_where_it_is_implicit) {
  TlsBench bench{ListenerTls::implicit};
  Client client(bench);
  ASSERT_TRUE(client.start_tls());
  client.begin();
  EXPECT_EQ(client.ask("EHLO client.test").find("STARTTLS"), std::string::npos);
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "503");
  client.begin_data();
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
}

TEST(Tls, REQUIRETLS_is_offered_and_kept_under_tls_alone) {  // RFC 8689 section 3
  TlsBench bench{ListenerTls::offered};
  Client client(bench);
  client.begin();
  EXPECT_EQ(client.ask("EHLO client.test").find("REQUIRETLS"), std::string::npos);
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> REQUIRETLS").substr(0, 3), "555");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_NE(client.ask("EHLO client.test").find("250-REQUIRETLS\r\n"), std::string::npos);
  const std::pair<std::string, smtp::TlsWish> sent[] = {{"MAIL FROM:<a@client.test> REQUIRETLS|Subject: x", smtp::TlsWish::required},
                                                        {"MAIL FROM:<a@client.test>|Subject: x", smtp::TlsWish::none},
                                                        {"MAIL FROM:<a@client.test>|TLS-Required: No", smtp::TlsWish::waived},
                                                        {"MAIL FROM:<a@client.test> REQUIRETLS|TLS-Required: No", smtp::TlsWish::required}};
  for (const auto& [words, wish] : sent) {
    EXPECT_EQ(client.ask(words.substr(0, words.find('|'))).substr(0, 3), "250");
    EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
    EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
    EXPECT_EQ(client.ask(words.substr(words.find('|') + 1) + "\r\n\r\nbody\r\n.").substr(0, 3), "250");
    EXPECT_EQ(bench.intake.stored.back().tls_wish, wish) << words;
  }
}

TEST(Tls, without_it_mail_is_refused_where_it_is_required) {
  TlsBench bench{ListenerTls::required};
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>"), "530 5.7.0 Must issue a STARTTLS command first\r\n");
  client.send("BDAT 14 LAST\r\nMAIL FROM:<>\r\nNOOP\r\n");  // the chunk is no command
  EXPECT_EQ(client.codes(2), "530 250");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  client.begin_data();
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
}

TEST(Attacks, C1_what_is_glued_behind_starttls_gets_no_reply_and_leaves_nothing) {
  for (const char* glued : {"EHLO evil.test", "MAIL FROM:<evil@evil.test>", "RCPT TO:<evil@evil.test>", "DATA", "AUTH PLAIN AGEAYg==",
                            "XCLIENT ADDR=192.0.2.66", "QUIT", "RSET\r\nMAIL FROM:<e@e.test>\r\nRCPT TO:<e@e.test>\r\nDATA\r\nx\r\n.", "half a line"}) {
    TlsBench bench{ListenerTls::offered};
    Client client(bench);
    client.greet();
    client.send("STARTTLS\r\n"s + glued + (std::string_view{glued} == "half a line" ? "" : "\r\n"));
    EXPECT_EQ(client.reply().substr(0, 3), "220") << glued;
    ASSERT_TRUE(client.start_tls()) << glued;
    bench.run_for(seconds{5});
    EXPECT_EQ(client.inbox, "") << glued;
    EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503") << glued;
    EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "503") << glued;
    EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-")) << glued;
    EXPECT_EQ(client.ask("DATA").substr(0, 3), "503") << glued;
    EXPECT_TRUE(bench.intake.stored.empty());
  }
}

TEST(Attacks, C1_what_comes_in_the_next_segment_gets_no_reply_either) {
  for (const char* glued : {"EHLO evil.test", "MAIL FROM:<evil@evil.test>", "RCPT TO:<evil@evil.test>", "DATA", "AUTH PLAIN AGEAYg==",
                            "XCLIENT ADDR=192.0.2.66"}) {
    for (Duration later : {Duration{}, Duration{std::chrono::microseconds{200}}, Duration{milliseconds{20}}}) {
      TlsBench bench{ListenerTls::offered};
      Client client(bench);
      client.greet();
      client.send("STARTTLS\r\n");
      if (later > Duration{}) bench.run_for(later);
      client.send(glued + "\r\n"s);
      EXPECT_EQ(client.reply().substr(0, 3), "220");
      if (!client.start_tls()) continue;  // it came behind our 220, and is no handshake
      bench.run_for(seconds{5});
      EXPECT_EQ(client.inbox, "") << glued;
      EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "503") << glued;
    }
  }
}

TEST(Attacks, C3_nothing_said_in_clear_counts_under_tls) {
  TlsBench bench{ListenerTls::offered};
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "503");
  EXPECT_TRUE(client.ask("EHLO other.test").starts_with("250-"));
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "503");
  EXPECT_EQ(client.ask("MAIL FROM:<c@client.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<d@next.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].reverse_path, "c@client.test");
  EXPECT_EQ(bench.intake.stored[0].recipients, std::vector<std::string>{"d@next.test"});
  EXPECT_TRUE(bench.intake.stored[0].content.starts_with("Received: from other.test "));
}

TEST(Attacks, C4_starttls_twice_with_an_argument_and_unasked) {
  TlsBench bench{ListenerTls::offered};
  Client client(bench);
  client.begin();
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "503");
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  EXPECT_EQ(client.ask("STARTTLS now").substr(0, 3), "501");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "503");
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "503");
  TlsBench none{ListenerTls::none};
  Client plain(none);
  plain.greet();
  EXPECT_EQ(plain.ask("STARTTLS").substr(0, 3), "502");
}

TEST(Tls, a_server_whose_certificates_are_gone_says_so) {
  TlsBench bench{ListenerTls::offered, small_settings()};
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("STARTTLS"), "454 4.7.0 TLS not available for now\r\n");
  client.begin_data();
}

TEST(Attacks, E27_one_byte_in_each_record) {
  TlsBench bench{ListenerTls::implicit};
  Client client(bench);
  ASSERT_TRUE(client.start_tls());
  client.greet();
  client.begin_data();
  for (char c : "Subject: x\r\n\r\n..\r\n.\r\n"s) {
    client.send(std::string(1, c));
    bench.run_for(milliseconds{10});
  }
  EXPECT_EQ(client.reply().substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(without_trace(bench.intake.stored[0].content), "Subject: x\r\n\r\n.\r\n");
}

TEST(Attacks, E28_text_before_its_354_is_refused_under_tls_too) {
  TlsBench bench{ListenerTls::implicit};
  Client client(bench);
  ASSERT_TRUE(client.start_tls());
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\nx\r\n.\r\n");
  EXPECT_EQ(client.codes_to_end(), "250 250 554");
  EXPECT_TRUE(bench.intake.stored.empty());
}

// The oracle is in ~Bench, and with the sanitizers: no use of what ended.
TEST(Attacks, C17_under_tls_too_a_connection_may_end_in_any_state) {
  const std::string steps[] = {"EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n", "RCPT TO:<b@next.test>\r\n", "BDAT 4\r\ntext", "BDAT 100000\r\nhalf"};
  for (std::size_t count = 0; count <= std::size(steps); ++count) {
    for (const bool rude : {false, true}) {
      TlsBench bench{ListenerTls::implicit};
      Client client(bench);
      ASSERT_TRUE(client.start_tls());
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

TEST(Attacks, T2_a_handshake_that_does_not_come_ends_the_session) {
  TlsBench bench{ListenerTls::implicit};
  Client silent(bench), garbage(bench, "198.51.100.8", "GET / HTTP/1.0\r\n\r\n"), half(bench, "198.51.100.9", "\x16\x03\x01\x02\x00\x01\x00"sv);
  EXPECT_EQ(garbage.rest(), "");
  bench.run_for(seconds{31});
  EXPECT_EQ(silent.rest(), "");
  EXPECT_EQ(half.rest(), "");
  EXPECT_EQ(bench.server.sessions(), 0u);
  EXPECT_EQ(bench.metrics.tls_handshakes_failed.value(), 3u);
}

TEST(Attacks, C18_who_is_one_too_many_for_a_listener_that_begins_with_tls_is_just_closed) {
  config::Settings settings = with_certificate();
  settings.limits.connections_per_prefix = 1;
  TlsBench bench{ListenerTls::implicit, std::move(settings)};
  Client first(bench), second(bench, "198.51.100.8");
  EXPECT_EQ(second.rest(), "");
  Client other(bench, "2001:db8::1");
  ASSERT_TRUE(other.start_tls());
  other.greet();
  ASSERT_TRUE(first.start_tls());
  first.greet();
}

TEST(Tls, a_stop_says_421_under_tls_and_cuts_handshakes) {
  TlsBench bench{ListenerTls::implicit};
  Client idle(bench), waiting(bench, "198.51.100.8");
  ASSERT_TRUE(idle.start_tls());
  idle.greet();
  const Instant begun = bench.world.now();
  bench.begin_stop(seconds{20});
  EXPECT_EQ(idle.codes_to_end(), "421");
  EXPECT_EQ(waiting.rest(), "");
  EXPECT_LT(bench.world.now() - begun, seconds{5});
}

TEST(Tls, certificates_change_under_a_running_server) {
  TlsBench bench{ListenerTls::implicit};
  Client before(bench);
  ASSERT_TRUE(before.start_tls());
  before.greet();
  config::Settings changed = with_certificate();
  changed.tls.certificates[0].loaded = std::make_shared<const tls::Certificate>(
      tls::testing::made_of("mx", tls::testing::files().other_chain, tls::testing::files().other_key));
  bench.server.reconfigure(std::make_shared<const config::Settings>(std::move(changed)));
  Client after(bench, "198.51.100.8");
  ASSERT_TRUE(after.start_tls());
  after.greet();
  EXPECT_NE(after.handshake().peer_certificate, before.handshake().peer_certificate);
  EXPECT_EQ(before.ask("NOOP").substr(0, 3), "250");
}

TEST(Tls, the_network_may_cut_a_session_anywhere) {
  for (std::uint64_t nth = 1; nth < 25; ++nth) {
    TlsBench bench{ListenerTls::offered};
    bench.world.faults().fail_nth(Fault::net_reset, nth);
    Client client(bench);
    client.ask("EHLO client.test");
    client.ask("STARTTLS");
    if (!client.ended()) (void)client.start_tls();
    client.ask("EHLO client.test");
    client.ask("MAIL FROM:<a@client.test>");
    client.ask("RCPT TO:<b@next.test>");
    client.ask("DATA");
    client.ask("x\r\n.");
    client.ask("QUIT");
  }
}

}  // namespace
}  // namespace ringpost::receive
