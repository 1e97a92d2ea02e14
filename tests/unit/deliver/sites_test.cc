// Several destinations at once: each has its own line, its own connections and its own trouble.
#include <algorithm>

#include "support.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

const SocketAddress kOther = *SocketAddress::parse("192.0.2.26:25"), kThird = *SocketAddress::parse("192.0.2.27:25");

config::Route to(const SocketAddress& address) {
  return {.kind = config::Route::Kind::smtp, .host = address.ip().text(), .port = address.port(), .address = address};
}

/// good.test goes to the bench's own hop, other.test to kOther, third.test to kThird, the rest by MX.
config::Settings routed() {
  config::Settings settings = small_settings();
  settings.route.domains = {{"good.test", to(kHop)}, {"other.test", to(kOther)}, {"third.test", to(kThird)}};
  settings.route.fallback = {.kind = config::Route::Kind::mx};
  settings.retry = {seconds{60}, minutes{30}};
  return settings;
}

Mail mail_to(std::vector<std::string> recipients) { return {.recipients = std::move(recipients)}; }

Hosts hosts_at(std::string name, std::vector<SocketAddress> addresses) { return {.names = {std::move(name)}, .addresses = std::move(addresses)}; }

TEST(Sites, a_message_goes_to_each_of_its_domains_in_one_transaction) {
  Bench bench({}, routed());
  Hop other(bench.world, {}, kOther), third(bench.world, {}, kThird);
  third.script.replies["RCPT"] = "550 5.1.1 nobody\r\n";
  bench.hosts.hosts["mx.test"] = hosts_at("mx1.test", {kOther});
  const std::size_t number = bench.send(mail_to({"a@good.test", "b@other.test", "c@good.test", "d@third.test", "e@mx.test", "f@nowhere.test"}));
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{10});
  EXPECT_EQ(bench.queue.size(), 0u);
  EXPECT_EQ(bench.hop->messages.size(), 1u);
  EXPECT_EQ(std::ranges::count(bench.hop->lines, "RCPT TO:<c@good.test>"), 1);
  EXPECT_EQ(other.messages.size(), 2u) << "a domain's own hosts are another place than a configured hop, even at the same address";
  EXPECT_EQ(third.text, "");
  std::map<std::size_t, std::string> verdict;
  for (const Attempt& attempt : bench.attempts[number])
    for (std::size_t slot = 0; slot < attempt.results.size(); ++slot) verdict[attempt.recipient(slot)] += verdicts(attempt)[slot];
  const std::map<std::size_t, std::string> expected{{0, "+"}, {1, "+"}, {2, "+"}, {3, "x"}, {4, "+"}, {5, "x"}};
  EXPECT_EQ(verdict, expected);
  EXPECT_EQ(bench.attempts[number][0].results[0].reason, event::Reason::dns_no_such_domain);
}

TEST(Sites, a_dead_destination_with_a_backlog_hinders_nobody_and_its_mail_is_not_opened_over_and_over) {
  Bench bench({}, routed());
  bench.world.network().set_route(kOther, sim::Route::refused);
  for (int i = 0; i < 3000; ++i) (void)bench.send(mail_to({"a@other.test"}));
  bench.run_for(seconds{30});
  std::vector<std::size_t> good;
  for (int i = 0; i < 100; ++i) {
    good.push_back(bench.send(mail_to({"b@good.test"})));
    bench.run_for(milliseconds{100});
  }
  bench.run_for(seconds{5});
  EXPECT_LT(bench.slowest(good), milliseconds{500});
  EXPECT_LT(bench.opens, 600u) << "a suspended destination's mail is put back unopened";
  EXPECT_LT(bench.puts_back, 60 * 2000u);
  EXPECT_LT(bench.metrics.delivery_connections.value(), 40u);
  EXPECT_EQ(bench.queue.size(), 3000u);
  Hop other(bench.world, {}, kOther);
  bench.world.network().set_route(kOther, sim::Route::open);
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{20});
  EXPECT_EQ(bench.queue.size(), 0u);
  EXPECT_EQ(other.messages.size(), 3000u);
}

/// 10,000 messages of one sender wait; how long the slowest of some takes that come late.
Duration slowest_behind_a_crowd(const config::Settings& settings, bool of_the_same_sender) {
  Bench bench({.delay = milliseconds{20}}, settings);
  for (int i = 0; i < 10'000; ++i) (void)bench.send({.reverse_path = "crowd@client.test", .recipients = {"a@good.test"}});
  bench.run_for(seconds{20});
  std::vector<std::size_t> late;
  for (int i = 0; i < 10; ++i) {
    const std::string sender = of_the_same_sender ? "crowd@client.test" : "late" + std::to_string(i) + "@client.test";
    late.push_back(bench.send({.reverse_path = sender, .recipients = {"b@good.test"}}));
    bench.run_for(milliseconds{330});
  }
  bench.world.run_until([&] { return std::ranges::all_of(late, [&](std::size_t number) { return !bench.attempts[number].empty(); }); }, minutes{20});
  const Duration slowest = bench.slowest(late);
  bench.stop(Duration{});
  return slowest;
}

TEST(Sites, who_sent_much_does_not_make_another_sender_wait_behind_all_of_it) {
  for (const config::Settings& settings : {routed(), small_settings()}) {
    EXPECT_LT(slowest_behind_a_crowd(settings, false), milliseconds{500});
    EXPECT_GT(slowest_behind_a_crowd(settings, true), seconds{2}) << "who is one sender with the crowd waits with it";
  }
}

TEST(Attacks, N6_a_tarpit_with_a_backlog_keeps_nobody_waiting) {
  config::Settings settings = routed();
  settings.deliver.connections_total = 100;
  Bench bench({}, settings);
  Hop tarpit(bench.world, {.delay = seconds{250}}, kOther);
  for (int i = 0; i < 3000; ++i) (void)bench.send(mail_to({"a@other.test"}));
  std::vector<std::size_t> good;
  for (int i = 0; i < 200; ++i) {
    good.push_back(bench.send(mail_to({"b@good.test"})));
    bench.run_for(milliseconds{500});
  }
  bench.run_for(seconds{5});
  EXPECT_LT(bench.slowest(good), milliseconds{500});
  EXPECT_LE(tarpit.open_most, 2) << "who answers nothing gets no more connections";
  bench.world.network().set_route(kOther, sim::Route::refused);
  bench.world.network().reset_all(kOther);
}

/// One of eight shards, with mail for 100 hosts that nobody knows and that do not answer.
struct CrowdedShard {
  explicit CrowdedShard(policy::SeatPool* seats) : bench({}, eight_seats_a_shard(), 1, 8, seats) {
    bench.hosts.by_default = [this](const std::string& domain) -> std::expected<Hosts, NoHosts> {
      addresses.emplace_back(IpAddress::from_ipv4(0xcb007100u + static_cast<std::uint32_t>(addresses.size())), 25);
      bench.world.network().set_route(addresses.back(), sim::Route::lost);
      return hosts_at("mx." + domain, {addresses.back()});
    };
    for (int i = 0; i < 100; ++i) (void)bench.send(mail_to({"a@d" + std::to_string(i) + ".test"}));
  }
  ~CrowdedShard() {
    for (const SocketAddress& address : addresses) bench.world.network().set_route(address, sim::Route::refused);
    bench.world.run_until([&] { return bench.deliverer.connections() == 0; }, minutes{30});
  }
  static config::Settings eight_seats_a_shard() {
    config::Settings settings = routed();
    settings.deliver.connections_total = 64;
    return settings;
  }
  /// A second later.
  std::size_t connections() {
    bench.run_for(seconds{1});
    return bench.deliverer.connections();
  }

  Bench bench;
  std::vector<SocketAddress> addresses;
};

TEST(Sites, a_shard_with_all_the_mail_borrows_connections_of_the_others) {
  EXPECT_EQ(CrowdedShard{nullptr}.connections(), 2u) << "half of its own four";
  policy::SeatPool seats;
  EXPECT_EQ(CrowdedShard{&seats}.connections(), 2u + 16u) << "and half of those that are lent";
  EXPECT_EQ(seats.lent(), 0u) << "all given back";
}

TEST(Sites, what_other_shards_give_back_is_taken_soon) {
  policy::SeatPool seats;
  while (seats.borrow(32)) continue;
  {
    CrowdedShard shard{&seats};
    EXPECT_EQ(shard.connections(), 2u) << "its own nobody takes";
    for (int i = 0; i < 16; ++i) seats.give_back();
    EXPECT_EQ(shard.connections(), 2u) << "strangers get half of them";
    for (int i = 0; i < 10; ++i) seats.give_back();
    EXPECT_EQ(shard.connections(), 2u + 10u);
  }
  EXPECT_EQ(seats.lent(), 6u);
}

TEST(Attacks, A10_ten_thousand_recipients_at_ten_thousand_domains_do_not_hinder_other_mail) {
  config::Settings settings = routed();
  Bench bench({}, settings);
  std::size_t number_of_hosts = 0;
  bench.hosts.delay = milliseconds{20};
  bench.hosts.by_default = [&](const std::string& domain) -> std::expected<Hosts, NoHosts> {
    if (++number_of_hosts % 2 == 0) return std::unexpected(NoHosts{{.verdict = Verdict::deferred, .reason = event::Reason::dns_temporary}, {}});
    const auto last = static_cast<std::uint32_t>(number_of_hosts);
    return hosts_at("mx." + domain, {SocketAddress{IpAddress::from_ipv4(0xcb007100u + last % 250), 25}});
  };
  for (std::uint32_t last = 0; last < 250; ++last)
    bench.world.network().set_route({IpAddress::from_ipv4(0xcb007100u + last), 25}, last % 2 ? sim::Route::refused : sim::Route::lost);
  std::vector<std::string> recipients;
  for (int i = 0; i < 10'000; ++i) recipients.push_back("a@d" + std::to_string(i) + ".test");
  const std::size_t crowd = bench.send(mail_to(recipients));
  std::vector<std::size_t> good;
  for (int i = 0; i < 200; ++i) {
    good.push_back(bench.send(mail_to({"b@good.test"})));
    bench.run_for(milliseconds{100});
  }
  bench.run_for(seconds{5});
  EXPECT_LT(bench.slowest(good), milliseconds{500});
  EXPECT_LE(bench.hosts.most_at_once, 32u);
  EXPECT_GT(bench.attempts[crowd].size(), 1u);
  EXPECT_LE(bench.deliverer.connections(), settings.deliver.connections_total);
  // What DNS could not say was recorded at once, the rest as its connections fail.
  bench.run_for(minutes{1});
  std::size_t results = 0;
  for (const Attempt& attempt : bench.attempts[crowd]) results += attempt.results.size();
  EXPECT_GE(results, 5'000u);
}

TEST(Sites, mail_that_nobody_tries_expires_all_the_same) {
  for (const config::Settings& settings : {routed(), small_settings()}) {
    Bench bench({}, settings);
    bench.lifetime = std::chrono::hours{2};
    bench.world.network().set_route(kHop, sim::Route::refused);
    for (int i = 0; i < 500; ++i) (void)bench.send(mail_to({"a@good.test"}));
    bench.run_for(minutes{110});
    EXPECT_EQ(bench.queue.size(), 500u);
    bench.run_for(minutes{80});
    EXPECT_EQ(bench.queue.size(), 0u);
  }
}

TEST(Sites, hosts_are_tried_one_after_the_other_and_the_one_that_works_is_kept) {
  Bench bench({}, routed());
  bench.hosts.hosts["mx.test"] = hosts_at("mx.test", {kOther, kThird, kHop});
  bench.world.network().set_route(kOther, sim::Route::refused);
  Hop third(bench.world, {.greeting = "554 5.3.2 not today\r\n"}, kThird);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(verdicts(bench.attempt(bench.send(mail_to({"a@mx.test"})))), "+");
  EXPECT_EQ(bench.hop->messages.size(), 20u);
  EXPECT_EQ(third.connections, 1);
  EXPECT_EQ(bench.metrics.delivery_connection_failures.value(), 2u);
}

TEST(Sites, what_dns_says_defers_or_fails) {
  Bench bench({}, routed());
  bench.hosts.hosts["later.test"] = std::unexpected(NoHosts{{.verdict = Verdict::deferred, .reason = event::Reason::dns_temporary}, {}});
  bench.hosts.hosts["null.test"] =
      std::unexpected(NoHosts{{.verdict = Verdict::failed, .reason = event::Reason::null_mx, .reply = {556, 5, 1, 10}}, {}});
  EXPECT_EQ(verdicts(bench.deliver(mail_to({"a@later.test"}))), "~");
  const Attempt& null = bench.deliver(mail_to({"a@null.test"}));
  EXPECT_EQ(verdicts(null), "x");
  EXPECT_EQ(null.results[0].reply, (event::ReplyCode{556, 5, 1, 10}));
  EXPECT_EQ(bench.metrics.delivery_connections.value(), 0u);
}

TEST(Sites, routes_that_refuse_fail_and_routes_that_hold_wait_for_another_route) {
  config::Settings settings = routed();
  settings.route.domains = {{"held.test", {}}, {"no.test", {.kind = config::Route::Kind::reject, .text = "moved"}}};
  Bench bench({}, settings);
  const Attempt& refused = bench.deliver(mail_to({"a@no.test"}));
  EXPECT_EQ(verdicts(refused), "x");
  EXPECT_EQ(refused.results[0].text, "moved");
  for (int i = 0; i < 50; ++i) (void)bench.send(mail_to({"a@held.test"}));
  bench.run_for(minutes{60});
  EXPECT_LT(bench.opens, 20u);
  EXPECT_EQ(bench.queue.size(), 50u);
  settings.route.domains = {{"held.test", to(kHop)}};
  bench.deliverer.reconfigure(std::make_shared<const config::Settings>(settings));
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{1});
  EXPECT_EQ(bench.hop->messages.size(), 50u);
}

TEST(Sites, a_hop_that_bears_few_connections_gets_few_and_all_its_mail) {
  config::Settings settings = small_settings();
  settings.deliver.connections_max = 20;
  Bench bench({}, settings);
  bench.hop->script.hook = [&](const std::string& verb, const std::string&, int) -> std::optional<std::string> {
    if (verb == "EHLO" && bench.hop->open > 3) return "421 4.7.0 too many connections\r\n";
    return std::nullopt;
  };
  for (int i = 0; i < 500; ++i) (void)bench.send({});
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{10});
  EXPECT_EQ(bench.queue.size(), 0u);
  for (const auto& attempts : bench.attempts) EXPECT_EQ(attempts.size(), 1u) << "one connection too many is no attempt";
  EXPECT_LT(bench.metrics.delivery_connection_failures.value(), 60u);
}

TEST(Sites, limits_by_pattern_are_shared_by_all_hosts_it_names) {
  config::Settings settings = routed();
  settings.destinations = {{.domain = "*.big.test", .connections_max = 3, .messages_per_connection = 5}};
  Bench bench({.delay = milliseconds{50}}, settings);
  for (const char* name : {"a", "b", "c"}) bench.hosts.hosts[name + ".test"s] = hosts_at("mx-"s + name + ".big.test", {kHop});
  for (int i = 0; i < 60; ++i)
    for (const char* name : {"a", "b", "c"}) (void)bench.send(mail_to({"u@"s + name + ".test"}));
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{10});
  EXPECT_EQ(bench.queue.size(), 0u);
  EXPECT_EQ(bench.hop->messages.size(), 180u);
  EXPECT_LE(bench.hop->open_most, 3);
  EXPECT_GE(bench.hop->connections, 36);
}

TEST(Sites, a_rate_is_kept) {
  config::Settings settings = routed();
  settings.destinations = {{.domain = "mx.slow.test", .rate = {60, minutes{1}}}};
  Bench bench({}, settings);
  bench.hosts.hosts["slow.test"] = hosts_at("mx.slow.test", {kHop});
  const Instant began = bench.world.now();
  for (int i = 0; i < 30; ++i) (void)bench.send(mail_to({"u@slow.test"}));
  bench.world.run_until([&] { return bench.hop->messages.size() == 30; }, minutes{5});
  EXPECT_GE(bench.world.now() - began, seconds{28});
  EXPECT_LE(bench.world.now() - began, seconds{40});
}

TEST(Sites, sites_without_work_are_forgotten) {
  Bench bench({}, routed());
  for (int i = 0; i < 50; ++i) {
    bench.hosts.hosts["d" + std::to_string(i) + ".test"] = hosts_at("mx" + std::to_string(i) + ".test", {kHop});
    EXPECT_EQ(verdicts(bench.deliver(mail_to({"u@d" + std::to_string(i) + ".test"}))), "+");
  }
  EXPECT_EQ(bench.deliverer.sites(), 50u);
  bench.run_for(minutes{30});
  EXPECT_EQ(bench.deliverer.sites(), 0u);
}

TEST(Lmtp, each_recipient_has_its_own_answer) {
  config::Settings settings = small_settings();
  settings.route.fallback.kind = config::Route::Kind::lmtp;
  Bench bench({}, settings);
  bench.hop->script.replies["."] = "250 2.0.0 b has it\r\n452 4.2.2 d is full\r\n550 5.2.1 e is gone\r\n";
  bench.hop->script.hook = [](const std::string& verb, const std::string& line, int) -> std::optional<std::string> {
    if (verb == "RCPT" && line.find("c@") != std::string::npos) return "550 5.1.1 no c\r\n";
    return std::nullopt;
  };
  const Attempt& attempt = bench.deliver(mail_to({"b@next.test", "c@next.test", "d@next.test", "e@next.test"}));
  EXPECT_EQ(verdicts(attempt), "+x~x");
  EXPECT_EQ(bench.hop->lines.at(0), "LHLO mx.test");
  EXPECT_EQ(attempt.results[2].reply, (event::ReplyCode{452, 4, 2, 2}));
}

TEST(Lmtp, answers_that_do_not_come_defer_those_they_were_for) {
  config::Settings settings = small_settings();
  settings.route.fallback.kind = config::Route::Kind::lmtp;
  settings.deliver.timeout.data_done = minutes{2};
  Bench bench({}, settings);
  bench.hop->script.replies["."] = "250 2.0.0 b has it\r\n";
  EXPECT_EQ(verdicts(bench.deliver(mail_to({"b@next.test", "c@next.test"}))), "+~");
  bench.hop->script.replies["RCPT"] = "550 5.1.1 nobody\r\n";
  bench.hop->script.replies["DATA"] = "503 5.5.1 no recipients\r\n";
  EXPECT_EQ(verdicts(bench.deliver(mail_to({"d@next.test", "e@next.test"}))), "xx");
}

TEST(Attacks, N2_temporary_refusals_for_ever_are_retried_and_lasting_ones_are_not) {
  Bench bench({}, routed());
  bench.hop->script.replies["RCPT"] = "451 4.7.1 later\r\n";
  const std::size_t patient = bench.send(mail_to({"a@good.test"}));
  bench.run_for(minutes{30});
  EXPECT_GT(bench.attempts[patient].size(), 10u);
  for (const Attempt& attempt : bench.attempts[patient]) EXPECT_EQ(verdicts(attempt), "~");
  bench.hop->script.replies["RCPT"] = "550 5.7.1 never\r\n";
  EXPECT_EQ(verdicts(bench.deliver(mail_to({"b@good.test"}))), "x");
  EXPECT_EQ(bench.hop->text, "") << "no content for nobody";
}

TEST(Attacks, N2_421_at_each_stage_defers) {
  for (const std::string verb : {"EHLO", "MAIL", "RCPT", "DATA", "."}) {
    Bench bench({}, routed());
    bench.hop->script.replies[verb] = "421 4.3.2 going down\r\n";
    EXPECT_EQ(verdicts(bench.deliver(mail_to({"a@good.test"}))), "~") << verb;
    bench.hop->script.replies.clear();
    bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{10});
    EXPECT_EQ(bench.hop->messages.size(), verb == "." ? 2u : 1u) << verb;
  }
}

TEST(Attacks, N3_words_of_the_hop_stay_one_text_without_line_ends) {
  Bench bench({}, routed());
  bench.hop->script.replies["RCPT"] = "550-5.1.1 \x1b[2J caf\xc3\xa9\r\n550 5.1.1 X-Injected: yes\r\n";
  const Attempt& attempt = bench.deliver(mail_to({"a@good.test"}));
  EXPECT_EQ(verdicts(attempt), "x");
  EXPECT_EQ(attempt.results[0].text.find_first_of("\r\n\x1b"), std::string::npos) << attempt.results[0].text;
}

TEST(Attacks, N4_enhanced_codes_are_read_strictly_and_never_taken_from_another_reply) {
  const std::pair<std::string, event::ReplyCode> cases[] = {{"550 5.7.2\r\n", {550, 5, 7, 2}},
                                                            {"550 5.1234.5 no\r\n", {550, 0, 0, 0}},
                                                            {"550 no code\r\n", {550, 0, 0, 0}},
                                                            {"550 2.1.5 no\r\n", {550, 0, 0, 0}}};
  for (const auto& [reply, code] : cases) {
    Bench bench({}, routed());
    bench.hop->script.replies["MAIL"] = "250 2.1.0 sender 5.9.9\r\n";
    bench.hop->script.replies["RCPT"] = reply;
    const Attempt& attempt = bench.deliver(mail_to({"a@good.test"}));
    EXPECT_EQ(verdicts(attempt), "x") << reply;
    const event::ReplyCode& got = attempt.results[0].reply;
    EXPECT_EQ(event::reply_code(got.code, got.enhanced_class, got.enhanced_subject, got.enhanced_detail), code) << reply;
  }
}

}  // namespace
}  // namespace ringpost::deliver
