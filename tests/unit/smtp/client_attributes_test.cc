#include "ringpost/smtp/client_attributes.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

/// "192.0.2.1:25", "unavailable", "-" (no ADDR), or the code of the refusal.
std::string read(Verb verb, std::string_view argument) {
  const auto attributes = parse_client_attributes(verb, argument);
  if (!attributes) return std::to_string(attributes.error().code);
  std::string text = !attributes->addressed ? "-" : attributes->address ? attributes->address->text() : "unavailable";
  return attributes->port ? text + ":" + std::to_string(*attributes->port) : text;
}

TEST(ClientAttributes, xclient) {
  auto of = [](std::string_view argument) { return read(Verb::xclient, argument); };
  EXPECT_EQ(of("ADDR=192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(of("name=spike.test addr=192.0.2.1 port=4711 proto=esmtp helo=spike.test"), "192.0.2.1:4711");
  EXPECT_EQ(of("ADDR=IPv6:2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(of("ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL] PORT=[unavailable]"), "unavailable");
  EXPECT_EQ(of("LOGIN=joe+40client.test DESTADDR=192.0.2.9 DESTPORT=25"), "-");
  EXPECT_EQ(of("LOGIN=joe+20doe"), "-");
}

TEST(ClientAttributes, xforward) {
  auto of = [](std::string_view argument) { return read(Verb::xforward, argument); };
  EXPECT_EQ(of("NAME=spike.test ADDR=192.0.2.1 PROTO=ESMTP HELO=spike IDENT=4F2A SOURCE=REMOTE PORT=99"), "192.0.2.1:99");
  EXPECT_EQ(of("ADDR=local PROTO=uucp"), "unavailable");
  EXPECT_EQ(of("SOURCE=LOCAL"), "-");
  ClientAttributes first = *parse_client_attributes(Verb::xforward, "ADDR=192.0.2.1 PORT=1");
  first.add(*parse_client_attributes(Verb::xforward, "PORT=2"));
  EXPECT_EQ(first, *parse_client_attributes(Verb::xforward, "ADDR=192.0.2.1 PORT=2"));
  first.add(*parse_client_attributes(Verb::xforward, "ADDR=[UNAVAILABLE]"));
  EXPECT_FALSE(first.address);
}

TEST(Attacks, C19_malformed_attributes_are_refused) {
  for (Verb verb : {Verb::xclient, Verb::xforward}) {
    for (std::string_view bad : {"", "ADDR", "=x", "ADDR=", "WHAT=1", "PORT=0", "PORT=65536", "PORT=x", "NAME=a NAME=b", "NAME=a  HELO=b",
                                 "NAME=+0D+0A", "NAME=+00", "NAME=a+2", "NAME=caf+C3+A9", "NAME=a+20b", "NAME=a=b", "ADDR=192.0.2.1 ADDR=192.0.2.1"})
      EXPECT_EQ(read(verb, bad), "501") << bad;
    EXPECT_EQ(read(verb, "HELO=" + std::string(255, 'x')), "-");
    EXPECT_EQ(read(verb, "HELO=" + std::string(256, 'x')), "501");
  }
  for (std::string_view bad : {"ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.1", "ADDR=[192.0.2.1]", "ADDR=192.0.2.256", "ADDR=local", "PROTO=LMTP", "IDENT=x",
                               "SOURCE=LOCAL", "DESTADDR=x", "DESTPORT=x"})
    EXPECT_EQ(read(Verb::xclient, bad), "501") << bad;
  for (std::string_view bad : {"LOGIN=joe", "DESTADDR=192.0.2.1", "SOURCE=ELSEWHERE"}) EXPECT_EQ(read(Verb::xforward, bad), "501") << bad;
  EXPECT_EQ(read(Verb::xforward, "PROTO=" + std::string(65, 'x')), "501");
}

}  // namespace
}  // namespace ringpost::smtp
