#include "ringpost/smtp/transaction.hh"

#include "ringpost/base/prng.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

/// One command of a session as a client sees it.
struct Event {
  Verb verb;
  bool refused_by_policy;  ///< if the order allows it, is it refused for another reason?
  bool last;               ///< BDAT ... LAST
  int code = 0;            ///< what it was answered
};

/// Runs `event` on the state machine the way a session does, and returns the reply's code.
int run(TransactionState& state, const Event& event) {
  Decision decision = state.decide(event.verb);
  bool bdat = event.verb == Verb::bdat;
  EXPECT_EQ(decision.swallow, bdat && !decision.allowed());
  if (!decision.allowed()) {
    if (bdat) state.chunk_refused(event.last);
    return decision.refusal.code;
  }
  switch (event.verb) {
    case Verb::ehlo:
    case Verb::helo:
      if (event.refused_by_policy) return 550;
      state.greeted(event.verb == Verb::ehlo);
      return 250;
    case Verb::mail:
      if (event.refused_by_policy) return 550;
      state.mail_accepted();
      return 250;
    case Verb::rcpt:
      if (event.refused_by_policy) return 550;
      state.rcpt_accepted();
      return 250;
    case Verb::data:
      state.data_started();
      state.message_ended();
      return event.refused_by_policy ? 554 : 250;
    case Verb::bdat:
      if (event.refused_by_policy)
        state.chunk_refused(event.last);
      else
        state.chunk_accepted(event.last);
      return event.refused_by_policy ? 554 : 250;
    case Verb::rset: state.reset(); return 250;
    case Verb::quit: return 221;
    default: return 250;
  }
}

/// The same rules as a reader of the RFCs would apply them: by looking back over the whole session, with no state kept.
int oracle(const std::vector<Event>& past, const Event& now) {
  switch (now.verb) {
    case Verb::starttls: return 502;
    case Verb::ehlo:
    case Verb::helo: return now.refused_by_policy ? 550 : 250;
    case Verb::noop:
    case Verb::vrfy:
    case Verb::rset: return 250;
    default: break;
  }
  bool greeted = false, ehlo = false, mail = false, rcpt = false, chunk = false, broken = false;
  for (const Event& e : past) {
    bool ok = e.code == 250;
    if ((e.verb == Verb::ehlo || e.verb == Verb::helo) && ok) {
      greeted = true;
      ehlo = e.verb == Verb::ehlo;
    }
    bool new_start = ((e.verb == Verb::ehlo || e.verb == Verb::helo) && ok) || e.verb == Verb::rset ||
                     // DATA that got as far as its text, and every LAST chunk, finish what was begun
                     (e.verb == Verb::data && mail && rcpt && !chunk && !broken) || (e.verb == Verb::bdat && e.last);
    if (new_start) {
      mail = rcpt = chunk = broken = false;
      continue;
    }
    if (e.verb == Verb::mail && ok) mail = true;
    if (e.verb == Verb::rcpt && ok) rcpt = true;
    if (e.verb == Verb::bdat && ok) chunk = true;
    if (e.verb == Verb::bdat && !ok && mail) broken = true;
  }
  if (!greeted) return 503;
  if (now.verb == Verb::mail) return mail ? 503 : now.refused_by_policy ? 550 : 250;
  if (!mail || broken) return 503;
  if (now.verb == Verb::rcpt) return chunk ? 503 : now.refused_by_policy ? 550 : 250;
  if (now.verb == Verb::data && chunk) return 503;
  if (now.verb == Verb::bdat && !ehlo) return 503;
  if (!rcpt) return 554;
  return now.refused_by_policy ? 554 : 250;
}

TEST(Attacks, C13_a_million_random_sessions_agree_with_the_oracle) {
  constexpr Verb kVerbs[] = {Verb::ehlo, Verb::helo, Verb::mail, Verb::mail, Verb::rcpt, Verb::rcpt,    Verb::data,
                             Verb::bdat, Verb::bdat, Verb::rset, Verb::noop, Verb::vrfy, Verb::starttls};
  Prng random(13);
  std::vector<Event> past;
  std::size_t accepted_messages = 0, accepted_chunks = 0;
  for (int session = 0; session < 1'000'000; ++session) {
    TransactionState state;
    past.clear();
    if (!random.one_in(8)) {
      past.push_back({Verb::ehlo, false, false});
      past.back().code = run(state, past.back());
    }
    for (std::uint64_t i = 4 + random.below(8); i-- > 0;) {
      Event event{kVerbs[random.below(std::size(kVerbs))], random.one_in(4), random.one_in(3)};
      int expected = oracle(past, event);
      event.code = run(state, event);
      ASSERT_EQ(event.code, expected) << "session " << session << ", command " << past.size();
      accepted_messages += event.verb == Verb::data && event.code == 250;
      accepted_chunks += event.verb == Verb::bdat && event.code == 250;
      past.push_back(event);
    }
  }
  EXPECT_GT(accepted_messages, 10'000u);
  EXPECT_GT(accepted_chunks, 10'000u);
}

class Session {
 public:
  explicit Session(TlsOffer tls = TlsOffer::none) : state_(tls) {}
  int operator()(Verb verb, bool refused = false, bool last = false) { return run(state_, {verb, refused, last}); }
  TransactionState& state() { return state_; }

 private:
  TransactionState state_;
};

TEST(Attacks, C13_after_every_refusal_nothing_is_left_to_build_on) {
  auto begin = [](Session& session) {
    session(Verb::ehlo);
    session(Verb::mail);
    session(Verb::rcpt);
  };
  auto expect_nothing = [](Session& session) {
    EXPECT_EQ(session(Verb::rcpt), 503);
    EXPECT_EQ(session(Verb::data), 503);
    EXPECT_EQ(session(Verb::bdat), 503);
  };
  Session data, last_chunk, first_chunk, mail;
  begin(data);
  EXPECT_EQ(data(Verb::data, true), 554);
  expect_nothing(data);
  begin(last_chunk);
  EXPECT_EQ(last_chunk(Verb::bdat, true, true), 554);
  expect_nothing(last_chunk);
  begin(first_chunk);
  EXPECT_EQ(first_chunk(Verb::bdat, true), 554);
  expect_nothing(first_chunk);
  EXPECT_EQ(first_chunk(Verb::mail), 503);
  EXPECT_EQ(first_chunk(Verb::rset), 250);
  EXPECT_EQ(first_chunk(Verb::mail), 250);
  mail(Verb::ehlo);
  EXPECT_EQ(mail(Verb::mail, true), 550);
  expect_nothing(mail);
}

TEST(Attacks, C12_bdat_and_data_do_not_mix) {
  Session session;
  session(Verb::ehlo);
  EXPECT_EQ(session(Verb::bdat, false, true), 503);  // before MAIL
  session(Verb::mail);
  EXPECT_EQ(session(Verb::bdat, false, false), 554);  // before RCPT
  session(Verb::rset);
  session(Verb::mail);
  session(Verb::rcpt);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(session(Verb::bdat), 250);
  EXPECT_EQ(session(Verb::data), 503);
  EXPECT_EQ(session(Verb::rcpt), 503);
  EXPECT_EQ(session(Verb::mail), 503);
  EXPECT_EQ(session(Verb::bdat, false, true), 250);
  EXPECT_EQ(session(Verb::bdat, false, true), 503);
  session(Verb::mail);
  session(Verb::rcpt);
  EXPECT_EQ(session(Verb::data), 250);
  EXPECT_EQ(session(Verb::bdat), 503);
}

TEST(Attacks, C11_data_without_a_valid_recipient) {
  Session session;
  session(Verb::ehlo);
  EXPECT_EQ(session(Verb::data), 503);
  session(Verb::mail);
  EXPECT_EQ(session(Verb::rcpt, true), 550);
  EXPECT_EQ(session(Verb::data), 554);
  EXPECT_EQ(session(Verb::rcpt), 250);  // RFC 5321 section 3.3: the transaction is still open
  EXPECT_EQ(session(Verb::data), 250);
}

TEST(Attacks, C3_after_the_handshake_nothing_said_before_counts) {
  Session session{TlsOffer::offered};
  session(Verb::ehlo);
  session(Verb::mail);
  session.state().forget_all();
  EXPECT_EQ(session(Verb::rcpt), 503);
  EXPECT_EQ(session(Verb::mail), 503);
}

TEST(Attacks, C4_starttls_once_where_it_is_offered_and_after_ehlo) {
  auto code = [](const TransactionState& state) { return state.decide(Verb::starttls).refusal.code; };
  TransactionState none, offered{TlsOffer::offered}, implicit{TlsOffer::active};
  EXPECT_EQ(code(none), 502);
  EXPECT_EQ(code(offered), 503);
  offered.greeted(false);
  EXPECT_EQ(code(offered), 503);
  offered.greeted(true);
  EXPECT_TRUE(offered.decide(Verb::starttls).allowed());
  EXPECT_TRUE(offered.offers_tls());
  offered.mail_accepted();
  EXPECT_TRUE(offered.decide(Verb::starttls).allowed());
  offered.forget_all();
  EXPECT_FALSE(offered.in_transaction() || offered.greeted() || offered.offers_tls());
  EXPECT_EQ(code(offered), 503);
  offered.greeted(true);
  EXPECT_EQ(code(offered), 503);
  EXPECT_EQ(code(implicit), 503);
}

TEST(Transaction, where_tls_is_required_nothing_else_leads_on) {
  TransactionState state{TlsOffer::required, AuthOffer::offered};
  state.greeted(true);
  for (const CommandTraits& row : command_table()) {
    if (!row.offered) continue;
    const Decision decision = state.decide(row.verb);
    EXPECT_EQ(decision.refusal.code, row.before_tls ? 0 : 530) << row.name;
    EXPECT_EQ(decision.swallow, row.verb == Verb::bdat) << row.name;
  }
  // RFC 3207 section 4.
  for (Verb verb : {Verb::noop, Verb::ehlo, Verb::starttls, Verb::quit}) EXPECT_TRUE(traits(verb).before_tls);
  state.forget_all();
  state.greeted(true);
  EXPECT_TRUE(state.decide(Verb::mail).allowed());
}

TEST(Transaction, authentication_comes_once_under_tls_and_between_transactions) {
  const auto code = [](const TransactionState& state, Verb verb) { return state.decide(verb).refusal.code; };
  TransactionState none{TlsOffer::active}, clear{TlsOffer::none, AuthOffer::required}, state{TlsOffer::offered, AuthOffer::required};
  for (TransactionState* each : {&none, &clear, &state}) each->greeted(true);
  EXPECT_EQ(code(none, Verb::auth), 502);
  EXPECT_EQ(code(clear, Verb::auth), 538);
  EXPECT_EQ(code(clear, Verb::mail), 530);
  EXPECT_EQ(code(state, Verb::auth), 538);
  EXPECT_FALSE(state.offers_auth());
  state.forget_all();
  EXPECT_EQ(code(state, Verb::auth), 503) << "EHLO first";
  state.greeted(false);
  EXPECT_EQ(code(state, Verb::auth), 503) << "HELO is no EHLO";
  state.greeted(true);
  EXPECT_TRUE(state.offers_auth());
  EXPECT_EQ(code(state, Verb::mail), 530);
  EXPECT_EQ(code(state, Verb::auth), 0);
  state.authenticated();
  EXPECT_FALSE(state.offers_auth());
  EXPECT_EQ(code(state, Verb::auth), 503);
  state.mail_accepted();
  EXPECT_EQ(code(state, Verb::auth), 503);
  state.greeted(true);
  EXPECT_TRUE(state.is_authenticated()) << "EHLO forgets a transaction only";
  TransactionState free{TlsOffer::active, AuthOffer::offered};
  free.greeted(true);
  EXPECT_EQ(code(free, Verb::mail), 0);
  free.mail_accepted();
  EXPECT_EQ(code(free, Verb::auth), 503);
}

TEST(Transaction, every_verb_has_a_decision) {
  TransactionState state;
  for (const CommandTraits& row : command_table()) {
    Decision decision = state.decide(row.verb);
    const bool needs_more = row.verb == Verb::mail || row.verb == Verb::starttls || row.verb == Verb::auth || row.needs_transaction;
    EXPECT_EQ(decision.allowed(), row.offered && !needs_more) << row.name;
  }
  EXPECT_EQ(state.decide(Verb::unknown).refusal.code, 500);
  EXPECT_EQ(state.decide(Verb::turn).refusal.code, 502);
}

TEST(Transaction, who_speaks_for_others_does_so_between_transactions) {
  TransactionState state;
  state.greeted(true);
  state.mail_accepted();
  for (Verb verb : {Verb::xclient, Verb::xforward}) EXPECT_EQ(state.decide(verb).refusal.code, 503);
  state.reset();
  for (Verb verb : {Verb::xclient, Verb::xforward}) EXPECT_TRUE(state.decide(verb).allowed());
  state.start_over();
  EXPECT_EQ(state.decide(Verb::mail).refusal.code, 503);
}

}  // namespace
}  // namespace ringpost::smtp
