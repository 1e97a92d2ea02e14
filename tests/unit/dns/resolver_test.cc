// The resolver against servers of every kind, on the simulated network (D1, D3, D5).
#include <functional>
#include <set>

#include "world.hh"

namespace ringpost::dns {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using W = PacketWriter;

std::string ip_of(const Answer& answer) {
  return answer.records.size() == 1 ? std::get<IpAddress>(answer.records[0].data).text() : "none of one";
}

TEST(Resolver, asks_once_and_again_when_the_time_is_over) {
  DnsWorld w;
  w.zone.a("mx.example", "203.0.113.9", 300);
  EXPECT_EQ(ip_of(w.ask("MX.example.")), "203.0.113.9");
  w.world.run_for(seconds{100});
  const Answer again = w.ask("mx.example");
  EXPECT_LE(again.ttl_s, 200u);
  EXPECT_EQ(w.asked(w.zone, "mx.example"), 1u);
  w.world.run_for(seconds{201});
  EXPECT_EQ(ip_of(w.ask("mx.example")), "203.0.113.9");
  EXPECT_EQ(w.asked(w.zone, "mx.example"), 2u);
}

runtime::Task<void> ask_many(DnsWorld& w, std::vector<std::string> names, std::vector<Answer>& answers, std::uint64_t party = 0) {
  answers.assign(names.size(), {});
  runtime::Scope scope(w.ring);
  for (std::size_t i = 0; i < names.size(); ++i) scope.spawn(w.ask_into(names[i], Type::a, party, answers[i]));
  co_await scope.join();
}

TEST(Resolver, equal_questions_at_a_time_are_one) {
  DnsWorld w;
  w.zone.a("mx.example", "203.0.113.9", 0);
  std::vector<Answer> answers;
  sim::drive(w.ring, ask_many(w, std::vector<std::string>(50, "mx.example"), answers));
  for (const Answer& answer : answers) EXPECT_EQ(ip_of(answer), "203.0.113.9");
  EXPECT_EQ(w.asked(w.zone, "mx.example"), 1u);
  EXPECT_EQ(w.resolver.counters().shared, 49u);
  (void)w.ask("mx.example");
  EXPECT_EQ(w.asked(w.zone, "mx.example"), 2u) << "a ttl of 0 is not kept";
}

TEST(Resolver, D1_each_way_to_get_no_answer) {
  struct Case {
    const char* name;
    Habit habit;
    Outcome outcome;
    Failure failure;
  };
  const Case cases[] = {
      {"servfail", Habit::servfail, Outcome::failed, Failure::server_failure},
      {"refused", Habit::refuse, Outcome::failed, Failure::refused},
      {"silent", Habit::silent, Outcome::failed, Failure::timed_out},
      {"lame", Habit::lame, Outcome::failed, Failure::server_failure},
      {"malformed", Habit::malformed, Outcome::failed, Failure::malformed},
      {"empty", Habit::normal, Outcome::no_data, Failure::none},
      {"missing", Habit::normal, Outcome::no_such_name, Failure::none},
      {"truncated", Habit::truncate, Outcome::found, Failure::none},
      {"old", Habit::no_edns, Outcome::found, Failure::none},
      {"folds", Habit::lower_case, Outcome::found, Failure::none},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    DnsWorld w;
    const std::string name = std::string{each.name} + ".example";
    if (each.outcome == Outcome::found) w.zone.a(name, "203.0.113.9");
    if (each.outcome == Outcome::no_data) w.zone.empty(name);
    w.zone.habit(name, each.habit);
    const Instant start = w.world.now();
    const Answer answer = w.ask(name);
    EXPECT_EQ(answer.outcome, each.outcome);
    EXPECT_EQ(answer.failure, each.failure);
    EXPECT_LE(w.world.now() - start, seconds{20} + milliseconds{100});
  }
}

TEST(Resolver, D1_truncated_without_tcp_is_a_failure) {
  DnsWorld w;
  w.zone.a("big.example", "203.0.113.9").habit("big.example", Habit::truncate);
  w.world.faults().set(sim::Fault::net_refused, 1);
  const Answer answer = w.ask("big.example");
  EXPECT_EQ(answer.outcome, Outcome::failed);
  w.world.faults().heal();
  w.world.run_for(seconds{6});
  EXPECT_EQ(w.ask("big.example").outcome, Outcome::found) << "nothing of it is kept for long";
}

TEST(Resolver, D1_what_one_server_does_not_know_another_may) {
  for (Habit habit : {Habit::servfail, Habit::refuse, Habit::silent, Habit::lame, Habit::malformed}) {
    DnsWorld w(1, {.servers = {kFirst, kSecond}});
    w.zone.everywhere = habit;
    w.backup.a("mx.example", "203.0.113.9");
    EXPECT_EQ(ip_of(w.ask("mx.example")), "203.0.113.9");
    EXPECT_EQ(w.asked(w.zone, "mx.example"), 1u);
  }
}

TEST(Resolver, a_large_answer_comes_over_tcp) {
  DnsWorld w;
  for (unsigned i = 0; i < 1000; ++i) w.zone.mx("many.example", i, "mx" + std::to_string(i) + ".many.example");
  const Answer answer = w.ask("many.example", Type::mx);
  EXPECT_EQ(answer.records.size(), 1000u);
  EXPECT_EQ(w.resolver.counters().sent_tcp, 1u);
}

TEST(Resolver, a_server_without_edns_is_asked_plainly_from_then_on) {
  DnsWorld w;
  w.zone.everywhere = Habit::no_edns;
  w.zone.a("one.example", "203.0.113.1").a("two.example", "203.0.113.2");
  EXPECT_EQ(ip_of(w.ask("one.example")), "203.0.113.1");
  EXPECT_EQ(w.asked(w.zone, "one.example"), 2u);
  EXPECT_EQ(ip_of(w.ask("two.example")), "203.0.113.2");
  EXPECT_EQ(w.asked(w.zone, "two.example"), 1u);
}

TEST(Resolver, cnames_out_of_one_answer_are_followed_with_another_and_bounded) {
  DnsWorld w;
  w.zone.chase = false;
  w.zone.cname("a.example", "b.example", 77).cname("b.example", "c.example").a("c.example", "203.0.113.9");
  const Answer answer = w.ask("a.example");
  EXPECT_EQ(ip_of(answer), "203.0.113.9");
  EXPECT_EQ(answer.name, "c.example");
  EXPECT_EQ(answer.ttl_s, 77u);
  w.zone.cname("x.example", "y.example").cname("y.example", "x.example");
  EXPECT_EQ(w.ask("x.example").failure, Failure::malformed);
}

TEST(Resolver, a_no_is_kept_as_long_as_the_zone_says) {
  DnsWorld w;
  w.zone.negative_ttl = 40;
  EXPECT_EQ(w.ask("missing.example").outcome, Outcome::no_such_name);
  w.world.run_for(seconds{30});
  EXPECT_EQ(w.ask("missing.example").outcome, Outcome::no_such_name);
  EXPECT_EQ(w.asked(w.zone, "missing.example"), 1u);
  w.world.run_for(seconds{11});
  w.zone.a("missing.example", "203.0.113.9");
  EXPECT_EQ(w.ask("missing.example").outcome, Outcome::found);
}

// ---- forgeries

Octets forged(Bytes query, std::string_view ip) {
  Octets packet(query.begin(), query.end());
  packet[2] = std::byte{0x81};
  packet[3] = std::byte{0x80};
  packet[11] = std::byte{0};
  packet.resize(packet.size() - 11);  // the OPT record
  W evil(0);
  evil.pointer(kHeaderBytes).u16(1).u16(1).u32(86'400).u16(4).raw(a_data(ip));
  const Octets record = data_of(evil);
  packet.insert(packet.end(), record.begin(), record.end());
  packet[7] = std::byte{1};
  return packet;
}

TEST(Resolver, D3_only_the_right_id_port_address_question_and_letters_count) {
  DnsWorld w;
  w.zone.a("www.bank.example", "203.0.113.9");
  w.first.delay = milliseconds{500};  // all forgeries come before
  std::size_t forgeries = 0;
  w.first.spy = [&](const SocketAddress& from, Bytes query) {
    const Octets right = forged(query, "192.0.2.66");
    Octets packet = right;
    for (unsigned bit = 0; bit < 16; ++bit) {  // ids one bit off
      packet = right;
      packet[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      w.first.send(from, packet);
    }
    packet = right;  // another name
    packet[kHeaderBytes + 1] ^= std::byte{1};
    w.first.send(from, packet);
    packet = right;  // other letters
    packet[kHeaderBytes + 1] ^= std::byte{0x20};
    w.first.send(from, packet, milliseconds{400});
    // The right packet from other addresses and ports, and to other ports.
    auto& network = w.world.network();
    network.send_datagram(kSecond, from, right);
    network.send_datagram(kFirst.with_port(54), from, right);
    for (std::uint16_t off = 1; off < 50; ++off) network.send_datagram(kFirst, from.with_port(from.port() + off), right);
    forgeries += 18;
  };
  const Answer answer = w.ask("www.bank.example");
  EXPECT_EQ(ip_of(answer), "203.0.113.9");
  EXPECT_EQ(w.resolver.counters().ignored, forgeries);
  EXPECT_EQ(w.resolver.counters().sent_tcp, 0u);
}

TEST(Resolver, D3_under_a_flood_of_forgeries_the_question_goes_over_tcp) {
  DnsWorld w;
  w.zone.a("www.bank.example", "203.0.113.9");
  w.first.delay = seconds{1};
  w.first.spy = [&](const SocketAddress& from, Bytes query) {
    for (unsigned i = 1; i <= 200; ++i) {
      Octets packet = forged(query, "192.0.2.66");
      packet[0] ^= static_cast<std::byte>(i);
      w.first.send(from, packet);
    }
  };
  EXPECT_EQ(ip_of(w.ask("www.bank.example")), "203.0.113.9");
  EXPECT_EQ(w.resolver.counters().sent_tcp, 1u);
}

TEST(Resolver, D3_an_answer_in_other_letters_is_not_believed_but_asked_for_over_tcp) {
  DnsWorld w;
  w.zone.a("www.bank.example", "203.0.113.9").habit("www.bank.example", Habit::lower_case);
  w.zone.a("other.example", "203.0.113.8").habit("other.example", Habit::lower_case);
  EXPECT_EQ(ip_of(w.ask("www.bank.example")), "203.0.113.9");
  EXPECT_EQ(w.resolver.counters().sent_tcp, 1u);
  EXPECT_EQ(ip_of(w.ask("other.example")), "203.0.113.8") << "known to fold case, it is asked in lower case";
  EXPECT_EQ(w.resolver.counters().sent_tcp, 1u);
}

TEST(Resolver, D3_extra_records_are_not_kept) {
  DnsWorld w;
  w.zone.a("a.example", "203.0.113.9").a("victim.example", "203.0.113.1");
  w.first.spy = [&](const SocketAddress& from, Bytes query) {
    if (w.asked(w.zone, "victim.example") + w.asked(w.zone, "a.example") > 0) return;
    Octets packet = forged(query, "203.0.113.9");
    const Octets extra = data_of(W{}.name("victim.example").u16(1).u16(1).u32(86'400).u16(4).raw(a_data("192.0.2.66")));
    for (std::size_t section : {7u, 9u, 11u}) {
      packet.insert(packet.end(), extra.begin(), extra.end());
      packet[section] = static_cast<std::byte>(static_cast<unsigned>(packet[section]) + 1);
    }
    w.first.send(from, packet);
  };
  EXPECT_EQ(ip_of(w.ask("a.example")), "203.0.113.9");
  EXPECT_EQ(w.resolver.cache_entries(), 1u);
  EXPECT_EQ(ip_of(w.ask("victim.example")), "203.0.113.1");
}

TEST(Resolver, D3_ids_ports_and_letters_cannot_be_guessed) {
  DnsWorld w;
  std::set<unsigned> ids, ports;
  std::set<std::string> letters;
  w.first.spy = [&](const SocketAddress& from, Bytes query) {
    ids.insert(static_cast<unsigned>(query[0]) << 8 | static_cast<unsigned>(query[1]));
    ports.insert(from.port());
    letters.insert(std::string{as_text(query.subspan(kHeaderBytes + 1, 20))});
  };
  w.zone.a("abcdefghijklmnopqrst.example", "203.0.113.9", 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(w.ask("abcdefghijklmnopqrst.example").outcome, Outcome::found);
  EXPECT_GT(ids.size(), 97u);
  EXPECT_GT(ports.size(), 97u);
  EXPECT_GT(letters.size(), 97u);
}

TEST(Resolver, D3_the_ad_bit_counts_from_a_local_resolver_only) {
  const SocketAddress local = *SocketAddress::parse("127.0.0.1:53");
  for (TrustAd trust : {TrustAd::local, TrustAd::yes, TrustAd::no}) {
    for (const SocketAddress& server : {local, kFirst}) {
      DnsWorld w(1, {.servers = {server}, .trust_ad = trust});
      Zone zone;
      zone.authentic = true;
      zone.a("signed.example", "203.0.113.9");
      w.zone = zone;
      SimZoneServer here(w.far, local, zone);
      here.start();
      const Answer answer = w.ask("signed.example");
      EXPECT_EQ(answer.outcome, Outcome::found);
      EXPECT_EQ(answer.authenticated, trust == TrustAd::yes || (trust == TrustAd::local && server == local));
      w.finish();
      sim::drive(w.far, here.stop());
    }
  }
}

runtime::Task<void> examine_into(DnsWorld& w, Validation& into) {
  co_await w.ring.sleep_for({});
  into = co_await w.resolver.examine();
}

TEST(Resolver, T7_is_found_out_when_it_does_not_validate) {
  using State = Validation::State;
  struct Case {
    std::string name;
    std::function<void(DnsWorld&)> change;
    TrustAd trust;
    State state;
    SocketAddress server;
  };
  const Case cases[] = {
      {"both validate", [](DnsWorld&) {}, TrustAd::yes, State::yes, kFirst},
      {"not to be believed", [](DnsWorld&) {}, TrustAd::local, State::untrusted, kFirst},
      {"no AD", [](DnsWorld& w) { w.zone.authentic = false; }, TrustAd::yes, State::no, kFirst},
      {"the second has no AD", [](DnsWorld& w) { w.backup.authentic = false; }, TrustAd::yes, State::no, kSecond},
      {"AD without signatures", [](DnsWorld& w) { w.zone.strips = true; }, TrustAd::yes, State::no, kFirst},
      {"no EDNS", [](DnsWorld& w) { w.zone.everywhere = Habit::no_edns; }, TrustAd::yes, State::no, kFirst},
      {"one is silent", [](DnsWorld& w) { w.zone.everywhere = Habit::silent; }, TrustAd::yes, State::yes, kSecond},
      {"one fails", [](DnsWorld& w) { w.zone.everywhere = Habit::servfail; }, TrustAd::yes, State::yes, kSecond},
      {"both are silent", [](DnsWorld& w) { w.zone.everywhere = w.backup.everywhere = Habit::silent; }, TrustAd::yes, State::unknown, {}}};
  for (const Case& each : cases) {
    DnsWorld w(1, {.servers = {kFirst, kSecond}, .trust_ad = each.trust});
    for (Zone* zone : {&w.zone, &w.backup}) {
      zone->authentic = true;
      zone->add("", Type::soa, soa_data(60));
    }
    each.change(w);
    Validation seen;
    sim::drive(w.ring, examine_into(w, seen));
    EXPECT_EQ(seen.state, each.state) << each.name;
    EXPECT_EQ(seen.server, each.server) << each.name;
    EXPECT_EQ(w.resolver.cache_entries(), 0u);
  }
}

// ---- trouble

runtime::Task<void> ask_until_answered(DnsWorld& w, std::string name, Instant& answered, std::size_t& failures) {
  for (;;) {
    const Answer answer = co_await w.resolver.ask(name, Type::a);
    if (answer.outcome == Outcome::found) break;
    EXPECT_EQ(answer.outcome, Outcome::failed) << "never a verdict about the name";
    ++failures;
    co_await w.ring.sleep_for(seconds{30} + milliseconds{w.world.prng().below(30'000)});
  }
  answered = w.ring.now();
}

TEST(Resolver, D5_dead_for_ten_minutes_and_back_without_a_stampede) {
  DnsWorld w(5, {.servers = {kFirst}, .in_flight_max = 16});
  constexpr int kNames = 300;
  w.zone.everywhere = Habit::silent;
  w.first.delay = milliseconds{50};
  std::size_t seen = 0, in_one_moment = 0, burst_max = 0;
  Instant moment{};
  w.first.spy = [&](const SocketAddress&, Bytes) {
    ++seen;
    if (w.world.now() > moment + milliseconds{50}) {
      moment = w.world.now();
      in_one_moment = 0;
    }
    burst_max = std::max(burst_max, ++in_one_moment);
  };
  std::vector<Instant> answered(kNames);
  std::size_t failures = 0;
  runtime::Scope scope(w.ring);
  for (int i = 0; i < kNames; ++i) {
    w.zone.a("host" + std::to_string(i) + ".example", "203.0.113.9");
    scope.spawn(ask_until_answered(w, "host" + std::to_string(i) + ".example", answered[i], failures));
  }
  w.world.run_for(minutes{10});
  EXPECT_GT(failures, 1000u);
  EXPECT_LT(seen, 200u) << "a dead server is asked by a few, not by all";
  const Instant back = w.world.now();
  w.zone.everywhere = Habit::normal;
  ASSERT_EQ(w.world.run_until([&] { return scope.running() == 0; }, minutes{5}), sim::Stop::reached);
  for (const Instant& each : answered) {
    EXPECT_GE(each, back);
    EXPECT_LE(each, back + minutes{3});
  }
  EXPECT_LE(burst_max, 32u) << "no more at a time than in_flight_max allows";
}

TEST(Resolver, H17_what_waits_is_bounded_and_everyone_gets_a_turn) {
  DnsWorld w(1, {.servers = {kFirst}, .in_flight_max = 4, .waiting_max = 100});
  w.first.delay = milliseconds{100};
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back("bulk" + std::to_string(i) + ".example");
  std::vector<Answer> bulk;
  Answer one;
  Instant one_at{};
  w.zone.a("one.example", "203.0.113.9");
  runtime::Scope scope(w.ring);
  const Instant start = w.world.now();
  scope.spawn(ask_many(w, names, bulk, 7));
  const auto ask_one = [](DnsWorld& world, Answer& answer, Instant& at) -> runtime::Task<void> {
    answer = co_await world.resolver.ask("one.example", Type::a, 8);
    at = world.ring.now();
  };
  scope.spawn(ask_one(w, one, one_at));
  ASSERT_EQ(w.world.run_until([&] { return scope.running() == 0; }, minutes{5}), sim::Stop::reached);
  EXPECT_EQ(ip_of(one), "203.0.113.9");
  EXPECT_LT(one_at - start, milliseconds{400}) << "behind four questions, not behind a hundred";
  std::size_t turned_away = 0, answered = 0;
  for (const Answer& answer : bulk) (answer.failure == Failure::overloaded ? turned_away : answered) += 1;
  EXPECT_EQ(answered + turned_away, 500u);
  EXPECT_GE(answered, 100u);
  EXPECT_EQ(w.resolver.counters().turned_away, turned_away);
}

TEST(Resolver, stop_ends_what_is_under_way) {
  DnsWorld w;
  w.zone.everywhere = Habit::silent;
  std::vector<Answer> answers;
  runtime::Scope scope(w.ring);
  scope.spawn(ask_many(w, {"a.example", "b.example", "c.example"}, answers));
  w.world.run_for(milliseconds{500});
  const Instant start = w.world.now();
  w.finish();
  ASSERT_EQ(w.world.run_until([&] { return scope.running() == 0; }, seconds{1}), sim::Stop::reached);
  EXPECT_LT(w.world.now() - start, seconds{1});
  for (const Answer& answer : answers) EXPECT_EQ(answer.outcome, Outcome::failed);
}

TEST(Resolver, new_servers_are_asked_from_now_on) {
  DnsWorld w;
  w.zone.everywhere = Habit::silent;
  w.backup.a("mx.example", "203.0.113.9");
  Answer answer;
  runtime::Scope scope(w.ring);
  scope.spawn(w.ask_into("mx.example", Type::a, 0, answer));
  w.world.run_for(seconds{1});
  w.resolver.apply({.servers = {kSecond}});
  ASSERT_EQ(w.world.run_until([&] { return scope.running() == 0; }, seconds{10}), sim::Stop::reached);
  EXPECT_EQ(ip_of(answer), "203.0.113.9");
  w.resolver.apply({.servers = {}});
  EXPECT_EQ(w.ask("other.example").failure, Failure::timed_out) << "without servers there is no waiting";
}

TEST(Resolver, a_lossy_network_full_of_forgeries_yields_the_truth_or_nothing) {
  std::size_t found = 0, asked = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    DnsWorld w(seed, {.servers = {kFirst, kSecond}});
    auto& faults = w.world.faults();
    faults.set(sim::Fault::net_datagram_lost, 4);
    faults.set(sim::Fault::net_datagram_twice, 4);
    faults.set(sim::Fault::net_datagram_late, 6);
    faults.set(sim::Fault::net_reset, 20);
    faults.set(sim::Fault::ring_stall, 50);
    const auto forge = [&](SimZoneServer& server) {
      return [&](const SocketAddress& from, Bytes query) {
        Octets packet = forged(query, "192.0.2.66");
        packet[0] ^= static_cast<std::byte>(1 + w.world.prng().below(255));
        server.send(from, packet);
      };
    };
    w.first.spy = forge(w.first);
    w.second.spy = forge(w.second);
    std::vector<std::string> names;
    for (int i = 0; i < 30; ++i) {
      names.push_back("host" + std::to_string(i) + ".example");
      w.zone.a(names.back(), "203.0.113." + std::to_string(i));
      w.backup.a(names.back(), "203.0.113." + std::to_string(i));
    }
    std::vector<Answer> answers;
    sim::drive(w.ring, ask_many(w, names, answers));
    for (std::size_t i = 0; i < names.size(); ++i) {
      ++asked;
      if (answers[i].outcome == Outcome::found) {
        EXPECT_EQ(ip_of(answers[i]), "203.0.113." + std::to_string(i));
        ++found;
      } else {
        EXPECT_EQ(answers[i].outcome, Outcome::failed);
      }
    }
    EXPECT_GT(faults.hits(sim::Fault::net_datagram_lost), 0u);
    EXPECT_GT(faults.hits(sim::Fault::net_datagram_twice), 0u);
  }
  EXPECT_GT(found * 100, asked * 95);
}

}  // namespace
}  // namespace ringpost::dns
