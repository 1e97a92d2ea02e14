#include "ringpost/event/codec.hh"

#include <gtest/gtest.h>

#include <set>

#include "fields.hh"
#include "ringpost/base/prng.hh"
#include "samples.hh"

namespace ringpost::event {
namespace {

std::vector<std::byte> encoded(const Event& event) {
  std::vector<std::byte> bytes(kEventBytesMax);
  bytes.resize(encode(event, bytes));
  return bytes;
}

Malformed why(const Result<Event>& result) {
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Errc::corrupt);
  return static_cast<Malformed>(result.error().detail);
}

TEST(Codec, every_kind_survives_the_round) {
  std::vector<Event> events = one_of_each();
  ASSERT_EQ(events.size(), kKindCount);
  for (const Event& event : events) {
    ASSERT_TRUE(is_valid(event)) << name_of(event.kind);
    Result<Event> back = decode(encoded(event));
    ASSERT_TRUE(back) << name_of(event.kind);
    EXPECT_EQ(*back, event) << name_of(event.kind);
  }
}

TEST(Codec, every_shorter_and_longer_string_is_refused) {
  for (const Event& event : one_of_each()) {
    std::vector<std::byte> bytes = encoded(event);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_EQ(why(decode(Bytes{bytes}.first(size))), Malformed::truncated) << name_of(event.kind) << size;
    bytes.push_back(std::byte{0});
    EXPECT_EQ(why(decode(bytes)), Malformed::trailing);
  }
}

TEST(Codec, what_decodes_encodes_to_the_same_bytes) {
  Prng prng{11};
  std::vector<Event> events = one_of_each();
  int accepted = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::vector<std::byte> bytes = encoded(events[prng.below(events.size())]);
    bytes[prng.below(bytes.size())] ^= static_cast<std::byte>(1 << prng.below(8));
    Result<Event> event = decode(bytes);
    if (!event) continue;
    ++accepted;
    ASSERT_EQ(encoded(*event), bytes);
  }
  EXPECT_GT(accepted, 1000);
}

TEST(Codec, each_unknown_number_has_its_verdict) {
  const std::vector<std::byte> good = encoded(deferred());
  auto with = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> bytes = good;
    bytes[at] = std::byte{value};
    return why(decode(bytes));
  };
  EXPECT_EQ(with(0, 2), Malformed::version);
  EXPECT_EQ(with(1, 0), Malformed::kind);
  EXPECT_EQ(with(1, kKindCount + 1), Malformed::kind);
  EXPECT_EQ(with(1, 255), Malformed::kind);
  EXPECT_EQ(with(1, 1), Malformed::fields);
  EXPECT_EQ(with(2, 0), Malformed::value);
  EXPECT_EQ(with(2, 5), Malformed::value);
  EXPECT_EQ(with(3, 1), Malformed::value);
  EXPECT_EQ(with(37, 0x80), Malformed::value);   // a time before 1970
  EXPECT_EQ(with(41, 0x02), Malformed::fields);  // bit 25 is no field
  EXPECT_EQ(with(100, kReasonCount), Malformed::value);  // no such reason
  EXPECT_EQ(with(100, 0), Malformed::value);     // "none" is no reason
}

TEST(Codec, each_range_is_kept) {
  auto refused = [](auto change) {
    Event event = deferred();
    change(event);
    return !is_valid(event);
  };
  EXPECT_FALSE(refused([](Event&) {}));
  EXPECT_TRUE(refused([](Event& e) { e.stamp.incarnation = {}; }));
  EXPECT_TRUE(refused([](Event& e) { e.stamp.sequence = 0; }));
  EXPECT_TRUE(refused([](Event& e) { e.message = MessageId{}; }));
  EXPECT_TRUE(refused([](Event& e) { e.next_hop->port = 0; }));
  EXPECT_TRUE(refused([](Event& e) { e.attempt = 0; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{199}; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{600}; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{451, 5, 7, 1}; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{451, 4, 1000, 1}; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{451, 0, 7, 1}; }));
  EXPECT_TRUE(refused([](Event& e) { e.reply = ReplyCode{354, 3, 0, 0}; }));
  auto tls_refused = [&](TlsResult tls) { return refused([&](Event& e) { e.tls = tls; }); };
  using Policy = TlsResult::Policy;
  EXPECT_FALSE(tls_refused({0x0304, 0x1301, Policy::dane, true}));
  EXPECT_FALSE(tls_refused({0, 0, Policy::none, false, TlsResult::Shortfall::not_asked}));
  EXPECT_TRUE(tls_refused({0x0302, 0x1301, Policy::encrypt})) << "no version that we speak";
  EXPECT_TRUE(tls_refused({0x0304, 0, Policy::encrypt})) << "TLS without a suite";
  EXPECT_TRUE(tls_refused({0, 0x1301, Policy::encrypt})) << "a suite without TLS";
  EXPECT_TRUE(tls_refused({0, 0, Policy::encrypt, true})) << "verified in clear";
  EXPECT_TRUE(tls_refused({0x0304, 0x1301, static_cast<Policy>(0)}));
  EXPECT_TRUE(tls_refused({0x0304, 0x1301, static_cast<Policy>(7)}));
  EXPECT_TRUE(tls_refused({0x0304, 0x1301, Policy::dane, true, static_cast<TlsResult::Shortfall>(13)}));
  EXPECT_TRUE(refused([](Event& e) { e.recipient.reset(); }));
  EXPECT_TRUE(refused([](Event& e) { e.key = counting_id<KeyId>(1); }));
  EXPECT_TRUE(refused([](Event& e) { e.kind = static_cast<Kind>(0); }));
  EXPECT_FALSE(refused([](Event& e) { e.reply.reset(); }));
}

TEST(Json, tells_how_a_connection_was_secured) {
  auto written = [](TlsResult tls) {
    Event event = deferred();
    event.tls = tls;
    std::string json;
    append_json(event, json);
    return json.substr(json.find("\"tls\""));
  };
  using Policy = TlsResult::Policy;
  EXPECT_EQ(written({0x0304, 0x1302, Policy::dane, true}),
            R"("tls":{"version":"TLSv1.3","suite":"TLS_AES_256_GCM_SHA384","policy":"dane","verified":true,"why_not_better":null}})");
  EXPECT_EQ(written({0x0303, 0xc02f, Policy::opportunistic, false, TlsResult::Shortfall::dns_insecure}),
            R"("tls":{"version":"TLSv1.2","suite":"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256","policy":"opportunistic","verified":false,"why_not_better":"dns_insecure"}})");
  EXPECT_EQ(written({0, 0, Policy::encrypt, false, TlsResult::Shortfall::not_offered}),
            R"("tls":{"version":null,"suite":null,"policy":"encrypt","verified":false,"why_not_better":"not_offered"}})");
  EXPECT_NE(written({0x0304, 0x1399, Policy::encrypt}).find(R"("suite":"5017")"), std::string::npos) << "one that has no name here";
}

TEST(ReplyCode, a_hostile_next_hop_cannot_make_an_invalid_event) {
  EXPECT_EQ(reply_code(451, 4, 7, 1), (ReplyCode{451, 4, 7, 1}));
  EXPECT_EQ(reply_code(451, 5, 7, 1), (ReplyCode{451}));
  EXPECT_EQ(reply_code(550, 5, 1234, 5), (ReplyCode{550}));
  EXPECT_EQ(reply_code(550, 5, 1, 65'536), (ReplyCode{550}));
  EXPECT_EQ(reply_code(451, 65'540, 7, 1), (ReplyCode{451}));
  EXPECT_EQ(reply_code(354), (ReplyCode{354}));
  EXPECT_FALSE(reply_code(199));
  EXPECT_FALSE(reply_code(999));
}

TEST(Rules, only_refusals_may_be_sampled) {
  for (const Event& event : one_of_each())
    EXPECT_EQ(class_of(event.kind), event.kind == Kind::message_refused || event.kind == Kind::login_refused ? Class::observational : Class::mandatory);
}

TEST(Rules, rows_stand_at_the_numbers_of_their_kinds_and_names_are_unique) {
  std::set<std::string_view> names;
  for (std::size_t number = 1; number <= kKindCount; ++number) {
    const Rule* rule = rule_of(static_cast<Kind>(number));
    ASSERT_NE(rule, nullptr);
    EXPECT_EQ(static_cast<std::size_t>(rule->kind), number);
    EXPECT_TRUE(names.insert(rule->name).second) << rule->name;
  }
  EXPECT_EQ(rule_of(static_cast<Kind>(0)), nullptr);
  EXPECT_EQ(rule_of(static_cast<Kind>(kKindCount + 1)), nullptr);
  for (std::size_t reason = 0; reason < kReasonCount; ++reason)
    EXPECT_TRUE(names.insert(name_of(static_cast<Reason>(reason))).second) << reason;
}

TEST(Event, is_plain_and_holds_no_text_but_the_words_of_a_setting) {
  static_assert(std::is_trivially_copyable_v<Event>);
  for_each_field(deferred(), [](Field field, std::string_view, const auto& value) {
    using Value = std::remove_cvref_t<decltype(*value)>;
    if constexpr (std::is_same_v<Value, SettingText>) {
      for (std::size_t number = 1; number <= kKindCount; ++number) {
        const Rule& rule = *rule_of(static_cast<Kind>(number));
        EXPECT_EQ(((rule.required | rule.allowed) & bit(field)) != 0, rule.kind == Kind::config_changed) << rule.name;
      }
    } else {
      static_assert(!std::is_constructible_v<Value, std::string_view> && !std::is_constructible_v<Value, std::string>);
    }
  });
}

}  // namespace
}  // namespace ringpost::event
