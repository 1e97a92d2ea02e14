// Whose mail: who is welcome at RCPT, and where it goes.
#include "ringpost/policy/recipients.hh"

#include <gtest/gtest.h>

#include "ringpost/config/configuration.hh"

namespace ringpost::policy {
namespace {

using config::ListenerRole;

const IpAddress kOwn = *IpAddress::parse("10.0.0.1"), kStranger = *IpAddress::parse("198.51.100.1");

config::Settings settings(const std::string& more = {}) {
  const config::Source source{"test", "hostname = mx.us.example\nrelay.clients = 10.0.0.0/8\nrelay.domains = us.example, *.us.example, xn--bcher-kva.example\n" + more};
  auto built = config::Configuration::load({&source, 1}, {.hostname = "mx"});
  EXPECT_TRUE(built) << (built ? "" : built.error().front().text());
  config::Settings made = built ? built->settings() : config::Settings{};
  for (config::RecipientRule& rule : made.recipients)
    if (rule.value.kind == config::RecipientRule::Kind::file)
      rule.list = std::make_shared<const config::RecipientList>(*config::RecipientList::parse("john\nodd%name\n", rule.domain));
  return made;
}

/// "250", or the refusal's code with its enhanced one.
std::string ask(const config::Settings& settings, ListenerRole role, const IpAddress& client, std::string_view path) {
  const smtp::Path parsed = smtp::parse_forward_path(path, smtp::Utf8::allowed);
  if (!parsed.ok() || parsed.size != path.size()) return "501";
  const smtp::Reply reply = answer_recipient(settings, {role, client}, parsed).refusal;
  if (!reply) return "250";
  return std::to_string(reply.code) + " " + std::to_string(reply.enhanced.klass) + "." + std::to_string(reply.enhanced.subject) + "." +
         std::to_string(reply.enhanced.detail);
}

TEST(Recipients, A1_no_stranger_relays_whatever_the_address_looks_like) {
  const std::string_view probes[] = {
      "<u@ext.example>",           "<u%ext.example@us.example>",  "<\"u@ext.example\"@us.example>", "<u@ext.example@us.example>",
      "<@us.example:u@ext.example>", "<@us.example,@x.example:u@ext.example>", "<ext.example!u@us.example>", "<ext.example!u>",
      "<u@[192.0.2.25]>",          "<u@[IPv6:2001:db8::25]>",     "<u@us.example.>",            "<u>",
      "<\"u\"@ext.example>",       "<u@localhost>",               "<u@[127.0.0.1]>",            "<u@us.example@ext.example>",
      "<u%ext.example>",           "<\"u%ext.example\"@us.example>", "<\"ext.example!u\"@us.example>", "<\"u\\@ext.example\"@us.example>",
      "<u%ext.example%us.example@us.example>", "<@ext.example:u@us.example!x>", "<u@us.example%ext.example>", "<u@xus.example>",
      "<u@us.examplex>",           "<u@us.example.ext.example>",  "<u@b\xc3\xbc" "cher.example>", "<u@us.ex\xd0\xb0mple>",
      "<u@us.example\0>",          "<\"u\r\"@us.example>",        "<u@us.example >",            "< u@us.example>",
      "<\"@ext.example:u\"@us.example>", "<u:x@us.example>",       "<>",                         "<@us.example>",
      "<u@>",                      "<us.example!ext.example!u@us.example>", "<u@ext.example,u@us.example>", "<u%ext.example@[192.0.2.25]>",
      "<postmaster@ext.example>",  "<postmaster%ext.example@us.example>"};
  const config::Settings any = settings("recipients.us.example = any\n"), files = settings("recipients.us.example = file:/users\n");
  for (std::string_view probe : probes) {
    for (const config::Settings* each : {&any, &files}) {
      EXPECT_NE(ask(*each, ListenerRole::mx, kStranger, probe), "250") << probe;
      EXPECT_NE(ask(*each, ListenerRole::relay, kStranger, probe), "250") << probe;
    }
    // From the loopback address, too, unless it is one of relay.clients.
    EXPECT_NE(ask(any, ListenerRole::mx, *IpAddress::parse("127.0.0.1"), probe), "250") << probe;
  }
  EXPECT_EQ(ask(any, ListenerRole::mx, kStranger, "<u@ext.example>"), "550 5.7.1");
  EXPECT_EQ(ask(any, ListenerRole::mx, kStranger, "<u%ext.example@us.example>"), "550 5.7.1");
}

TEST(Recipients, mail_for_our_domains_is_taken_from_everybody_on_role_mx_only) {
  const config::Settings own = settings();
  for (std::string_view path : {"<u@us.example>", "<U@US.Example>", "<u@x.y.us.example>", "<u@xn--bcher-kva.example>"}) {
    EXPECT_EQ(ask(own, ListenerRole::mx, kStranger, path), "250") << path;
    EXPECT_EQ(ask(own, ListenerRole::relay, kStranger, path), "550 5.7.1") << path;
    EXPECT_EQ(ask(own, ListenerRole::relay, kOwn, path), "250") << path;
  }
  EXPECT_EQ(ask(own, ListenerRole::mx, kOwn, "<u@ext.example>"), "250");
  EXPECT_EQ(ask(own, ListenerRole::mx, kOwn, "<u%x@us.example>"), "250") << "who may send to anywhere may do so in any way";
}

TEST(Recipients, by_a_certificate_hosts_relay_where_nobody_has_to_log_in) {
  const config::Settings all = settings();
  const smtp::Path recipient = smtp::parse_forward_path("<u@ext.example>", smtp::Utf8::refused);
  for (const auto& [role, welcome] : {std::pair{ListenerRole::relay, true}, std::pair{ListenerRole::mx, true}, std::pair{ListenerRole::submission, false},
                                      std::pair{ListenerRole::submissions, false}})
    EXPECT_EQ(!answer_recipient(all, {.role = role, .client = kStranger, .certified = true}, recipient).refusal, welcome) << static_cast<int>(role);
}

TEST(Recipients, postmaster_is_always_there) {
  const config::Settings listed = settings("recipients.us.example = file:/users\n");
  for (std::string_view path : {"<postmaster>", "<PostMaster>", "<postmaster@us.example>", "<POSTMASTER@x.us.example>", "<\"postmaster\"@us.example>"})
    EXPECT_EQ(ask(listed, ListenerRole::mx, kStranger, path), "250") << path;
  EXPECT_EQ(ask(listed, ListenerRole::relay, kStranger, "<postmaster>"), "550 5.7.1");
  EXPECT_EQ(ask(listed, ListenerRole::mx, kStranger, "<postmasterx@us.example>"), "550 5.1.1");
}

TEST(Recipients, A7_who_does_not_exist_is_refused_in_the_session_so_that_nothing_bounces) {
  const config::Settings listed = settings("recipients.us.example = file:/users\nrecipients.*.us.example = any\n");
  for (const IpAddress& client : {kStranger, kOwn}) {
    EXPECT_EQ(ask(listed, ListenerRole::mx, client, "<john@us.example>"), "250");
    EXPECT_EQ(ask(listed, ListenerRole::mx, client, "<mary@us.example>"), "550 5.1.1");
    EXPECT_EQ(ask(listed, ListenerRole::mx, client, "<mary@x.us.example>"), "250");
  }
  EXPECT_EQ(ask(listed, ListenerRole::mx, kStranger, "<odd%name@us.example>"), "250") << "the operator says that it exists";
}

TEST(Recipients, callout_is_for_those_who_would_be_welcome) {
  const config::Settings asked = settings("recipients.us.example = callout\nroute.old.us.example = reject gone\nrecipients.old.us.example = callout\n");
  auto asks = [&](const IpAddress& client, std::string_view path) {
    const RecipientAnswer answer = answer_recipient(asked, {ListenerRole::mx, client}, smtp::parse_forward_path(path, smtp::Utf8::refused));
    EXPECT_FALSE(answer.refusal && answer.ask_next_hop);
    return answer.ask_next_hop;
  };
  for (const IpAddress& client : {kStranger, kOwn}) {
    EXPECT_TRUE(asks(client, "<john@us.example>"));
    EXPECT_FALSE(asks(client, "<john@x.us.example>"));
    EXPECT_FALSE(asks(client, "<PostMaster@us.example>"));
    EXPECT_FALSE(asks(client, "<john@old.us.example>"));
    EXPECT_FALSE(asks(client, "<john@ext.example>"));
  }
  EXPECT_FALSE(asks(kStranger, "<u%ext.example@us.example>")) << "relaying, whatever the next hop says";
}

TEST(Recipients, a_route_may_refuse) {
  const config::Settings refused = settings("route.old.us.example = reject moved to example.net\nroute.default = smtp://192.0.2.1\n");
  for (const IpAddress& client : {kStranger, kOwn}) {
    EXPECT_EQ(ask(refused, ListenerRole::mx, client, "<u@old.us.example>"), "550 5.7.1");
    EXPECT_EQ(ask(refused, ListenerRole::mx, client, "<u@us.example>"), "250");
  }
  const smtp::Path path = smtp::parse_forward_path("<u@old.us.example>", smtp::Utf8::refused);
  EXPECT_EQ(answer_recipient(refused, {ListenerRole::relay, kOwn}, path).refusal.text, "moved to example.net");
  const config::Settings nothing = settings("route.default = reject no\nroute.us.example = hold\n");
  EXPECT_EQ(ask(nothing, ListenerRole::relay, kOwn, "<u@ext.example>"), "550 5.7.1");
  EXPECT_EQ(ask(nothing, ListenerRole::relay, kOwn, "<u@us.example>"), "250");
}

TEST(Routes, the_longest_match_counts) {
  const config::Settings routed = settings("route.default = smtp://192.0.2.1\nroute.us.example = smtp://192.0.2.2\nroute.*.us.example = hold\n");
  auto host = [&](std::string_view address) {
    const config::Route& route = route_for(routed, address);
    return route.is_hold() ? std::string{"hold"} : route.host;
  };
  EXPECT_EQ(host("u@ext.example"), "192.0.2.1");
  EXPECT_EQ(host("\"u@us.example\"@ext.example"), "192.0.2.1");
  EXPECT_EQ(host("u@US.example"), "192.0.2.2");
  EXPECT_EQ(host("u@x.us.example"), "hold");
  EXPECT_EQ(host("postmaster"), "192.0.2.2") << "that of our own domain";
}

TEST(OpenRelay, is_found_on_whatever_listener_it_is) {
  config::Settings settings = config::Configuration::defaults({.hostname = "mx.test"}).settings();
  settings.relay.domains = {"us.example"};
  settings.listeners = {{.name = "in", .role = ListenerRole::mx}, {.name = "lan", .role = ListenerRole::relay}, {.name = "users", .role = ListenerRole::submission}};
  EXPECT_TRUE(find_open_relays(settings).empty());
  settings.relay.clients.push_back(*Network::parse("10.0.0.0/8"));
  EXPECT_TRUE(find_open_relays(settings).empty());
  settings.relay.clients.push_back(*Network::parse("0.0.0.0/0"));
  const std::vector<OpenRelay> found = find_open_relays(settings);
  ASSERT_EQ(found.size(), 2u) << "not the one that asks who it is";
  EXPECT_EQ(found[0].listener, "in");
  EXPECT_EQ(found[1].listener, "lan");
  settings.relay.clients = {*Network::parse("2000::/3")};
  EXPECT_EQ(find_open_relays(settings).size(), 2u);
}

}  // namespace
}  // namespace ringpost::policy
