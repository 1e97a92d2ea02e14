#include "helpers.hh"

namespace ringpost::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Configuration, defaults_are_the_documented_ones) {
  Configuration configuration = Configuration::defaults(kEnvironment);
  const Settings& s = configuration.settings();
  EXPECT_EQ(s.shards, 0u);
  EXPECT_EQ(s.hostname, "mx.example.org");
  EXPECT_TRUE(s.listeners.empty());
  ASSERT_EQ(s.relay.clients.size(), 2u);
  EXPECT_TRUE(s.relay.clients[0].contains(*IpAddress::parse("127.1.2.3")));
  EXPECT_TRUE(s.route.fallback.is_hold());
  EXPECT_EQ(s.smtp.message_bytes_max, 64_MiB);
  EXPECT_EQ(s.smtp.recipients_max, 1000u);
  EXPECT_GE(s.limits.connections_per_client, 100u);
  EXPECT_EQ(s.deliver.timeout.data_done, minutes{10});
  EXPECT_EQ(s.queue.lifetime, hours{5 * 24});
  EXPECT_EQ(s.keys.kek_file, "/var/lib/ringpost/keys/kek");
  EXPECT_FALSE(s.keys.allow_same_filesystem);
  EXPECT_FALSE(s.security.require_separation);
  EXPECT_TRUE(s.crypto.require_hardware_aes);
  EXPECT_EQ(s.log.level, LogLevel::info);
}

TEST(Configuration, reads_every_kind_of_value) {
  Configuration configuration = accepted(R"(# a comment
shards = 4
hostname=relay.example.net
  listener.lan.address =	10.0.0.1:25    # behind a blank a comment begins
listener.lan.bare_newline = repair
listener.v6.address = [2001:db8::1]:2525
relay.clients = 10.0.0.0/8, 192.0.2.7 2001:db8::/32
route.default = smtp://mail.example.com:2525
smtp.message_bytes_max = 1GiB
smtp.line_bytes_max = 0
retry.first = 500 ms
queue.lifetime = 2d
spool.directory = /srv/mail#1/spool
spool.direct = no
log.level = debug
audit.when_unavailable = defer
)");
  const Settings& s = configuration.settings();
  EXPECT_EQ(s.shards, 4u);
  EXPECT_EQ(s.hostname, "relay.example.net");
  ASSERT_EQ(s.listeners.size(), 2u);
  EXPECT_EQ(s.listeners[0], (Listener{"lan", *SocketAddress::parse("10.0.0.1:25"), ListenerRole::relay, BareNewline::repair}));
  EXPECT_EQ(s.listeners[1],
            (Listener{"v6", *SocketAddress::parse("[2001:db8::1]:2525"), ListenerRole::relay, BareNewline::refuse}));
  ASSERT_EQ(s.relay.clients.size(), 3u);
  EXPECT_EQ(s.relay.clients[1].text(), "192.0.2.7/32");
  EXPECT_EQ(s.route.fallback, (Route{.kind = Route::Kind::smtp, .host = "mail.example.com", .port = 2525}));
  EXPECT_EQ(s.smtp.message_bytes_max, 1_GiB);
  EXPECT_EQ(s.smtp.line_bytes_max, 0u);
  EXPECT_EQ(s.retry.first, milliseconds{500});
  EXPECT_EQ(s.queue.lifetime, hours{48});
  EXPECT_EQ(s.spool.directory, "/srv/mail#1/spool");
  EXPECT_FALSE(s.spool.direct);
  EXPECT_EQ(s.log.level, LogLevel::debug);
  EXPECT_EQ(s.audit.when_unavailable, WhenUnavailable::defer);
}

TEST(Configuration, lines_may_end_in_crlf_and_the_last_one_in_nothing) {
  Configuration configuration = accepted("shards = 2\r\n\r\n# c\r\nlog.level = debug");
  EXPECT_EQ(configuration.settings().shards, 2u);
  EXPECT_EQ(configuration.settings().log.level, LogLevel::debug);
}

TEST(Configuration, an_unusable_system_name_becomes_localhost) {
  EXPECT_EQ(Configuration::defaults({.hostname = "my_host"}).settings().hostname, "localhost");
  EXPECT_EQ(Configuration::defaults({}).settings().hostname, "localhost");
}

TEST(Configuration, the_kek_lies_in_the_keys_directory_unless_said_otherwise) {
  EXPECT_EQ(accepted("keys.directory = /k\n").settings().keys.kek_file, "/k/kek");
  EXPECT_EQ(accepted("keys.directory = /k\nkeys.kek_file = /mnt/usb/kek\n").settings().keys.kek_file, "/mnt/usb/kek");
}

TEST(Configuration, a_tool_finds_the_sound_part_of_files_with_errors) {
  const std::vector<Source> sources = {
      {"a.conf", "shard = 2\ncontrol.socket = /run/a/control.sock\ncontrol.socket = /run/b/control.sock\nsmtp.hops_max = many\n"},
      {"b.conf", "nonsense\nretry.first = 2 s\n"}};
  ASSERT_FALSE(Configuration::load(sources, {"host.example.org"}));
  const Settings s = Configuration::sound_part(sources, {"host.example.org"});
  EXPECT_EQ(s.control.socket, "/run/a/control.sock");
  EXPECT_EQ(s.retry.first, std::chrono::seconds{2});
  EXPECT_EQ(s.smtp.hops_max, 50u);
}

TEST(Configuration, a_listeners_greeting_may_wait) {
  const Configuration with = accepted("listener.a.address = 127.0.0.1:25\nlistener.a.greeting_delay = 3 s\n"
                                      "listener.b.address = 127.0.0.1:26\nlistener.b.greeting_delay = 0\n"
                                      "listener.c.address = 127.0.0.1:27\n");
  EXPECT_EQ(with.settings().listeners[0].greeting_delay, std::chrono::seconds{3});
  EXPECT_EQ(with.settings().listeners[1].greeting_delay, Duration{});
  EXPECT_EQ(with.settings().listeners[2].greeting_delay, Duration{});
  EXPECT_FALSE(Configuration::load(std::vector<Source>{{"f", "listener.a.address = 127.0.0.1:25\nlistener.a.greeting_delay = 5 m\n"}}, {"h"}));
}

TEST(Configuration, a_later_file_overrides_an_earlier_one) {
  std::vector<Source> sources{{"ringpost.conf", "shards = 2\nlog.level = debug\n"}, {"conf.d/10.conf", "\nshards = 3\n"}};
  Configuration configuration = accepted(Configuration::load(sources, kEnvironment));
  EXPECT_EQ(configuration.settings().shards, 3u);
  EXPECT_EQ(configuration.get("shards")->origin.text(), "conf.d/10.conf:2");
  EXPECT_EQ(configuration.get("log.level")->origin.text(), "ringpost.conf:2");
  EXPECT_EQ(configuration.get("hostname")->origin.text(), "default");
}

TEST(Configuration, get_shows_value_default_origin_and_unit) {
  Configuration configuration = accepted("listener.a.address = 127.0.0.1:25\nsmtp.bytes_per_s_min = 100\n");
  EXPECT_EQ(configuration.get("smtp.message_bytes_max")->text(),
            "smtp.message_bytes_max = 64 MiB  # default 64 MiB, from default");
  EXPECT_EQ(configuration.get("smtp.bytes_per_s_min")->text(),
            "smtp.bytes_per_s_min = 100  # default 64, from ringpost.conf:2, in bytes/s");
  EXPECT_EQ(configuration.get("listener.a.address")->text(),
            "listener.a.address = 127.0.0.1:25  # no default, from ringpost.conf:1");
  EXPECT_EQ(configuration.get("listener.a.role")->text(), "listener.a.role = relay  # default relay, from default");
  EXPECT_EQ(configuration.get("listener.b.role").error().text(), "listener.b.role: there is no listener b");
  EXPECT_EQ(configuration.get("smtp.recipient_max").error().text(),
            "smtp.recipient_max: unknown key; nearest valid key: smtp.recipients_max");
}

TEST(Configuration, what_get_all_prints_is_a_configuration_that_means_the_same) {
  Configuration configuration = accepted(
      "listener.b.address = [::1]:2525\nlistener.a.address = 127.0.0.1:25\nlistener.a.bare_newline = repair\n"
      "route.default = smtp://[2001:db8::7]:25\nrelay.clients = none\nretry.first = 1500 ms\nsmtp.line_bytes_max = 0\nshards = "
      "7\n");
  Configuration again = accepted(configuration.dump());
  EXPECT_TRUE(Configuration::changes(configuration, again).empty());
  EXPECT_EQ(again.settings().listeners, configuration.settings().listeners);
  EXPECT_TRUE(again.settings().relay.clients.empty());
  EXPECT_EQ(again.settings().route.fallback, configuration.settings().route.fallback);
  Configuration defaults = Configuration::defaults(kEnvironment);
  EXPECT_TRUE(Configuration::changes(defaults, accepted(defaults.dump())).empty());
}

TEST(Configuration, a_route_to_this_host_needs_no_resolver) {
  EXPECT_EQ(accepted("route.default = smtp://localhost:25\n").settings().route.fallback.address,
            *SocketAddress::parse("127.0.0.1:25"));
  EXPECT_EQ(accepted("route.default = smtp://192.0.2.1:25\n").settings().route.fallback.address,
            *SocketAddress::parse("192.0.2.1:25"));
}

TEST(Configuration, set_makes_another_configuration_and_leaves_the_first) {
  Configuration before = accepted("smtp.recipients_max = 10\n");
  Configuration after = accepted(before.with("smtp.recipients_max=20"));
  EXPECT_EQ(before.settings().smtp.recipients_max, 10u);
  EXPECT_EQ(after.settings().smtp.recipients_max, 20u);
  EXPECT_EQ(after.get("smtp.recipients_max")->origin.text(), "set");
  EXPECT_EQ(accepted(after.without("smtp.recipients_max")).settings().smtp.recipients_max, 10u);
}

TEST(Configuration, set_refuses_what_a_file_would_and_what_needs_a_restart) {
  Configuration running = accepted("listener.a.address = 127.0.0.1:25\n");
  EXPECT_EQ(problems_of(running.with("smtp.recipients_max=many")), "smtp.recipients_max: \"many\" is no whole number\n");
  EXPECT_EQ(problems_of(running.with("smtp.recipient_max=5")),
            "smtp.recipient_max: unknown key; nearest valid key: smtp.recipients_max\n");
  EXPECT_EQ(problems_of(running.with("shards=2")), "shards: needs a restart to change from \"auto\" to \"2\"\n");
  EXPECT_EQ(problems_of(running.with("retry.first=2h")), "retry.first: retry.first must not exceed retry.max, which is 1 h\n");
  EXPECT_EQ(problems_of(running.with("listener.b.address=127.0.0.1:26")),
            "listener.b.address: needs a restart to change from \"\" to \"127.0.0.1:26\"\n"
            "listener.b.role: needs a restart to change from \"\" to \"relay\"\n");
  EXPECT_EQ(accepted(running.with("shards=2", Apply::at_restart)).settings().shards, 2u);
  EXPECT_EQ(accepted(running.with("listener.a.bare_newline = repair")).settings().listeners[0].bare_newline, BareNewline::repair);
}

TEST(Configuration, reload_reads_the_files_anew_and_keeps_what_was_set) {
  Configuration running = accepted(accepted("smtp.errors_max = 5\nlog.level = debug\n").with("smtp.errors_max=6"));
  std::vector<Source> files{{"ringpost.conf", "smtp.errors_max = 7\nsmtp.hops_max = 30\n"}};
  Configuration reloaded = accepted(running.reloaded(files));
  EXPECT_EQ(reloaded.settings().smtp.errors_max, 6u);
  EXPECT_EQ(reloaded.settings().smtp.hops_max, 30u);
  EXPECT_EQ(reloaded.settings().log.level, LogLevel::info);
  EXPECT_EQ(accepted(reloaded.without("smtp.errors_max")).settings().smtp.errors_max, 7u);
}

TEST(Configuration, a_bad_reload_names_every_problem_and_changes_nothing) {
  Configuration running = accepted("listener.a.address = 127.0.0.1:25\nsmtp.errors_max = 5\n");
  std::vector<Source> bad{{"ringpost.conf", "listener.a.address = 127.0.0.1:25\nsmtp.errors_max = 6\nsmtp.error_max = 7\n"}};
  EXPECT_EQ(problems_of(running.reloaded(bad)),
            "ringpost.conf:3: smtp.error_max: unknown key; nearest valid key: smtp.errors_max\n");
  std::vector<Source> restart{{"ringpost.conf", "listener.a.address = 127.0.0.1:26\nsmtp.errors_max = 6\n"}};
  EXPECT_EQ(problems_of(running.reloaded(restart)),
            "ringpost.conf:1: listener.a.address: needs a restart to change from \"127.0.0.1:25\" to \"127.0.0.1:26\"\n");
  std::vector<Source> gone{{"ringpost.conf", "smtp.errors_max = 5\n"}};
  EXPECT_EQ(problems_of(running.reloaded(gone)),
            "listener.a.address: needs a restart to change from \"127.0.0.1:25\" to \"\"\n"
            "listener.a.role: needs a restart to change from \"relay\" to \"\"\n");
  EXPECT_EQ(running.settings().smtp.errors_max, 5u);
}

TEST(Configuration, changes_list_what_differs) {
  std::vector<Change> changes =
      Configuration::changes(accepted("smtp.errors_max = 5\n"), accepted("shards = 2\nsmtp.hops_max = 50\n"));
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].key, "shards");
  EXPECT_EQ(changes[0].effect, Effect::restart);
  EXPECT_EQ(changes[1].key, "smtp.errors_max");
  EXPECT_EQ(changes[1].from, "5");
  EXPECT_EQ(changes[1].to, "20");
  EXPECT_EQ(changes[1].effect, Effect::live);
}

}  // namespace
}  // namespace ringpost::config
