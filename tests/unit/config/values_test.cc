#include "values.hh"

#include <gtest/gtest.h>

namespace ringpost::config {
namespace {

using namespace std::string_view_literals;

template <typename Value>
std::optional<Value> read(const Key& key, std::string_view text) {
  Value value{};
  std::string reason;
  if (parse_value(key, text, value, reason)) return value;
  EXPECT_FALSE(reason.empty()) << text;
  return std::nullopt;
}

TEST(Values, sizes) {
  Key key{.type = Type::bytes, .min = 10, .max = 2_GiB};
  auto bytes = [&](std::string_view text) { return read<std::uint64_t>(key, text); };
  EXPECT_EQ(bytes("10"), 10u);
  EXPECT_EQ(bytes("4KiB"), 4096u);
  EXPECT_EQ(bytes("4 KiB"), 4096u);
  EXPECT_EQ(bytes("2 GiB"), 2_GiB);
  for (auto text : {"9"sv, "3 GiB"sv, "-1"sv, "+10"sv, "0x10"sv, "1.5 MiB"sv, "10 MB"sv, "10 M"sv, "10 kib"sv, "KiB"sv,
                    "1 KiB x"sv, "0"sv, "99999999999999999999"sv, "18446744073709551615 GiB"sv, "17179869184 GiB"sv, "10\0"sv})
    EXPECT_FALSE(bytes(text)) << text;
}

TEST(Values, a_limit_of_zero_only_where_it_means_none) {
  Key key{.type = Type::bytes, .min = 10, .max = 20, .zero = true};
  EXPECT_EQ(read<std::uint64_t>(key, "0"), 0u);
  EXPECT_FALSE(read<std::uint64_t>(key, "9"));
  EXPECT_EQ(range_text(key), "0, or 10 .. 20");
}

TEST(Values, multiples) {
  Key key{.type = Type::bytes, .min = 1, .max = 1_MiB, .multiple = 4_KiB};
  EXPECT_EQ(read<std::uint64_t>(key, "8192"), 8192u);
  EXPECT_FALSE(read<std::uint64_t>(key, "8193"));
}

TEST(Values, durations) {
  Key key{.type = Type::duration, .min = 1'000'000, .max = 100ull * 86'400'000'000'000};
  auto duration = [&](std::string_view text) { return read<Duration>(key, text); };
  EXPECT_EQ(duration("5m"), std::chrono::minutes{5});
  EXPECT_EQ(duration("300 s"), std::chrono::minutes{5});
  EXPECT_EQ(duration("1 d"), std::chrono::hours{24});
  EXPECT_EQ(duration("1ms"), std::chrono::milliseconds{1});
  for (auto text : {"5"sv, "0"sv, "5 min"sv, "5M"sv, "-5 m"sv, "1h30m"sv, "101 d"sv, "999999999999 d"sv, ""sv, "m"sv})
    EXPECT_FALSE(duration(text)) << text;
  key.zero = true;
  EXPECT_EQ(duration("0"), Duration::zero());
}

TEST(Values, text_reads_back_as_the_same_value) {
  for (std::uint64_t value : {0ull, 1ull, 1023ull, 1024ull, 1025ull, 1ull << 20, 3ull << 30, (1ull << 30) + 1024}) {
    Key key{.type = Type::bytes, .min = 0, .max = UINT64_MAX};
    EXPECT_EQ(read<std::uint64_t>(key, format_value(key, value)), value);
  }
  for (std::uint64_t ms : {0ull, 1ull, 999ull, 1000ull, 1500ull, 60'000ull, 3'600'000ull, 90'000'000ull, 86'400'000ull}) {
    Key key{.type = Type::duration, .min = 0, .max = INT64_MAX};
    Duration value = std::chrono::milliseconds{ms};
    EXPECT_EQ(read<Duration>(key, format_value(key, value)), value);
  }
}

TEST(Values, paths) {
  Key key{.type = Type::path};
  EXPECT_EQ(read<std::string>(key, "/var/lib/a b"), "/var/lib/a b");
  for (auto text :
       {"var/lib"sv, "/"sv, "/var/"sv, "/var//lib"sv, "/var/./lib"sv, "/var/../etc"sv, "/.."sv, "/a\0b"sv, "/a\x1b"sv, "~/x"sv})
    EXPECT_FALSE(read<std::string>(key, text)) << text;
}

TEST(Values, host_names) {
  for (auto name : {"a"sv, "mx.example.org"sv, "1a.2b"sv, "xn--bcher-kva.example"sv}) EXPECT_TRUE(is_host_name(name)) << name;
  std::string label(63, 'a'), longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  EXPECT_TRUE(is_host_name(longest));
  EXPECT_FALSE(is_host_name(longest + "a"));
  EXPECT_FALSE(is_host_name(label + "a"));
  for (auto name : {""sv, "."sv, "a."sv, ".a"sv, "a..b"sv, "-a"sv, "a-"sv, "a_b"sv, "a b"sv, "b\xc3\xbc"sv, "a\0b"sv})
    EXPECT_FALSE(is_host_name(name)) << name;
}

TEST(Values, https_urls) {
  Key key{.type = Type::https_url, .auto_word = "none"};
  const auto url = [&](std::string_view text) { return read<std::string>(key, text); };
  EXPECT_EQ(url("none"), "");
  for (auto text : {"https://id.example.org"sv, "https://id.example.org/"sv, "https://id/realms/a%20b/introspect?x=1"sv, "https://id.example.org:8443/i"sv, "https://id.example?x:1"sv}) {
    EXPECT_EQ(url(text), text);
    Settings::Auth::Oauth oauth{.introspection_url = std::string{text}};
    EXPECT_TRUE(is_host_name(oauth.introspection_host())) << text;
    EXPECT_TRUE(oauth.introspection_host().starts_with("id")) << text;
  }
  const std::string long_one = "https://id.example/" + std::string(255, 'a');
  for (auto text : {""sv, "https://"sv, "https:///i"sv, "http://id.example/i"sv, "HTTPS://id.example/i"sv, "https://user:pw@id.example/"sv, "https://id.example:0/"sv, "https://id.example:65536/"sv,
                    "https://id.example:/"sv, "https://192.0.2.1/"sv, "https://[2001:db8::1]/"sv, "https://localhost/"sv, "https://id.example/a b"sv, "https://id.example/#a"sv,
                    "https://id.example\\@other/"sv, "https://id.ex\xc3\xa4mple/"sv, "id.example/i"sv, std::string_view{long_one}})
    EXPECT_FALSE(url(text)) << text;
}

TEST(Values, routes) {
  Key key{.type = Type::route};
  auto route = [&](std::string_view text) { return read<Route>(key, text); };
  EXPECT_TRUE(route("hold")->is_hold());
  auto hop = [](std::string host, std::uint16_t port, std::string_view address = {}) {
    return Route{.kind = Route::Kind::smtp, .host = std::move(host), .port = port,
                 .address = address.empty() ? SocketAddress{} : *SocketAddress::parse(address)};
  };
  EXPECT_EQ(route("smtp://192.0.2.1:25"), hop("192.0.2.1", 25, "192.0.2.1:25"));
  EXPECT_EQ(route("smtp://192.0.2.1"), hop("192.0.2.1", 25, "192.0.2.1:25"));
  EXPECT_EQ(route("smtp://[::1]:25"), hop("[::1]", 25, "[::1]:25"));
  EXPECT_EQ(route("smtp://[::1]"), hop("[::1]", 25, "[::1]:25"));
  EXPECT_EQ(route("smtp://mail.example.com:587"), hop("mail.example.com", 587));
  EXPECT_EQ(route("smtp://mail.example.com"), hop("mail.example.com", 25));
  EXPECT_EQ(route("reject moved to example.net"), (Route{.kind = Route::Kind::reject, .text = "moved to example.net"}));
  EXPECT_EQ(route("lmtp://127.0.0.1:24")->kind, Route::Kind::lmtp);
  EXPECT_EQ(route("lmtp:/run/dovecot/lmtp")->address, *SocketAddress::from_path("/run/dovecot/lmtp"));
  EXPECT_EQ(format_value(key, *route("lmtp:/run/dovecot/lmtp")), "lmtp:/run/dovecot/lmtp");
  EXPECT_EQ(route("mx")->kind, Route::Kind::mx);
  for (auto text : {"lmtp://127.0.0.1"sv, "lmtp://a"sv, "lmtp:run"sv, "lmtp:"sv, "MX"sv, "reject"sv, "reject "sv, "reject caf\xc3\xa9"sv, "smtp://"sv, "smtp://mail.example.com:0"sv, "smtp://mail.example.com:65536"sv,
                    "smtp://192.0.2.1:0"sv, "smtp://192.0.2.256:25"sv, "smtp://::1:25"sv, "smtp://a:25/"sv, "smtps://a:25"sv,
                    "a:25"sv, "SMTP://a:25"sv, "smtp://user@a:25"sv, "Hold"sv, "smtp://a b:25"sv})
    EXPECT_FALSE(route(text)) << text;
}

TEST(Values, rates) {
  Key key{.type = Type::rate, .min = 1, .max = 1'000'000, .auto_word = "none"};
  auto rate = [&](std::string_view text) { return read<Rate>(key, text); };
  EXPECT_EQ(rate("10/s"), (Rate{10, std::chrono::seconds{1}}));
  EXPECT_EQ(rate("600 /m"), (Rate{600, std::chrono::minutes{1}}));
  EXPECT_EQ(format_value(key, *rate("5000/h")), "5000/h");
  EXPECT_EQ(rate("none"), Rate{});
  for (auto text : {"0/s"sv, "10"sv, "10/d"sv, "10/ s"sv, "-1/s"sv, "/s"sv, "1000001/s"sv}) EXPECT_FALSE(rate(text)) << text;
}

TEST(Values, domains) {
  Key key{.type = Type::domains};
  auto domains = [&](std::string_view text) { return read<std::vector<std::string>>(key, text); };
  EXPECT_EQ(domains("Example.org, *.example.net\tcorp"), (std::vector<std::string>{"*.example.net", "corp", "example.org"}));
  EXPECT_TRUE(domains("none")->empty());
  for (auto text : {","sv, "*"sv, "*.*.a.b"sv, "a.*.b"sv, "example.org, EXAMPLE.org"sv, "b\xc3\xbc.example"sv, "[192.0.2.1]"sv, ".a"sv})
    EXPECT_FALSE(domains(text)) << text;
}

TEST(Values, recipients) {
  Key key{.type = Type::recipients};
  auto rule = [&](std::string_view text) { return read<RecipientRule::Value>(key, text); };
  EXPECT_EQ(rule("any")->kind, RecipientRule::Kind::any);
  EXPECT_EQ(rule("file:/etc/ringpost/users")->path, "/etc/ringpost/users");
  for (auto text : {"file:"sv, "file:users"sv, "file"sv, "all"sv, "/etc/users"sv, "file:/a/../b"sv}) EXPECT_FALSE(rule(text)) << text;
}

TEST(Values, networks) {
  Key key{.type = Type::networks};
  auto networks = [&](std::string_view text) { return read<std::vector<Network>>(key, text); };
  EXPECT_EQ(networks("10.0.0.0/8,::1, 192.0.2.1\t198.51.100.0/24")->size(), 4u);
  EXPECT_TRUE(networks("none")->empty());
  for (auto text : {","sv, "10.0.0.1/8"sv, "10.0.0.0/8, 10.0.0.0/8"sv, "10.0.0.0/8; ::1"sv, "none, ::1"sv, "all"sv})
    EXPECT_FALSE(networks(text)) << text;
}

TEST(Values, addresses_to_listen_on_need_a_port) {
  Key key{.type = Type::address};
  EXPECT_TRUE(read<SocketAddress>(key, "[::]:25"));
  for (auto text : {"127.0.0.1"sv, "127.0.0.1:0"sv, "localhost:25"sv, ":25"sv, "*:25"sv})
    EXPECT_FALSE(read<SocketAddress>(key, text)) << text;
}

}  // namespace
}  // namespace ringpost::config
