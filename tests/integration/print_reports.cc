// Prints reports made of many combinations of what can happen, one JSON object a line: what was reported and the message that came of it.
// Readers of other people (test_reports.py) must find in each what was meant.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/deliver/report.hh"

using namespace ringpost;
using namespace ringpost::deliver;

namespace {

const char* const kAddresses[] = {"bert@example.net", "\"quoted local\"@example.net", "a+tag=x@sub.example.com", "postmaster",
                                  "\"semi;colon\"@example.net", "very.long.local.part.that.goes.on.and.on.for.sixty.four.octets.x@example.org",
                                  "user@[192.0.2.7]", "o'neil%x@example.net"};
const char* const kWideAddresses[] = {"j\xc3\xb6rg@example.net", "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.example"};
const std::string kTexts[] = {"", "No such user", "<bert@example.net>: Recipient address rejected",
                              "bad\r\nFinal-Recipient: rfc822; evil@example.org\r\nAction: delivered\r\n\r\n--boundary",
                              std::string{"esc \x1b[31m and \0 nul", 20}, "\xff\xfe not UTF-8 \xc3\xa4 but this is", std::string(2000, 'x'),
                              "5.1.1 one\n5.1.1 two\n\n.\n5.1.1 three"};
const char* const kParameters[] = {"", "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Orig+2Btag@example.org", "ORCPT=rfc822;a+3Bb@example.org",
                                   "ORCPT=utf-8;\xc3\xbc@example.org", "ORCPT=x400;/g=x/"};
const event::ReplyCode kRefusals[] = {{550, 5, 1, 1}, {554, 0, 0, 0}, {552, 5, 2, 2}, {550, 5, 7, 1}, {0, 0, 0, 0}, {553, 5, 6, 7}};
const event::ReplyCode kDeferrals[] = {{450, 4, 2, 0}, {451, 4, 7, 1}, {421, 0, 0, 0}, {0, 0, 0, 0}, {452, 4, 2, 2}};
const event::ReplyCode kAcceptances[] = {{250, 2, 0, 0}, {250, 2, 1, 5}, {250, 0, 0, 0}};
const std::string kContents[] = {
    "Subject: hi\r\nFrom: anna@example.org\r\n\r\nbody\r\n", "Subject: only a header\r\n", "\r\nonly a body\r\n",
    "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nw\xc3\xb6rter\r\n", "Subject: latin \xe4\r\n\r\nx\r\n",
    "Subject: dots\r\n\r\n.\r\n..\r\n--=_00000000000000000000000000000000\r\n",
    "X-Long: " + std::string(5000, 'y') + "\r\nSubject: x\r\n\r\nbody\r\n", "Subject: long body\r\n\r\n" + std::string(3000, 'z') + "\r\n",
    "Subject: bare\nInjected: x\r\rtoo\r\n\r\nb\r\n", std::string{"Subject: nul \0 here\r\n\r\nb\r\n", 25}};

template <typename T, std::size_t N>
const T& pick(Prng& prng, const T (&from)[N]) {
  return from[prng.below(N)];
}

Reported random_recipient(Prng& prng, Action action, bool wide) {
  Reported reported{.action = action};
  reported.address = wide && prng.one_in(2) ? pick(prng, kWideAddresses) : pick(prng, kAddresses);
  reported.parameters = pick(prng, kParameters);
  if (action == Action::failed && prng.one_in(3)) {
    reported.reason = event::Reason::expired;
    reported.reply = pick(prng, kDeferrals);
  } else if (action == Action::failed) {
    reported.reply = pick(prng, kRefusals);
    reported.reason = reported.reply.code != 0 ? event::Reason::next_hop_refused : event::Reason::dns_no_such_domain;
  } else if (action == Action::delayed) {
    reported.reply = pick(prng, kDeferrals);
    reported.reason = reported.reply.code != 0 ? event::Reason::next_hop_deferred : event::Reason::timed_out;
    reported.will_retry_until = WallTime{std::chrono::seconds{1'800'500'000}};
  } else {
    reported.reply = pick(prng, kAcceptances);
  }
  if (reported.reply.code != 0) reported.text = pick(prng, kTexts);
  if (reported.reply.code != 0 && prng.one_in(2)) reported.host = {*IpAddress::parse(prng.one_in(2) ? "192.0.2.25" : "2001:db8::25"), 25};
  if (prng.one_in(2)) reported.last_attempt = WallTime{std::chrono::seconds{1'800'000'000}};
  return reported;
}

}  // namespace

int main(int count, char** arguments) {
  const int reports = count > 1 ? std::atoi(arguments[1]) : 1000;
  Prng prng(1);
  for (int i = 0; i < reports; ++i) {
    const bool wide = prng.one_in(4), wide_sender = wide && prng.one_in(2);
    std::vector<Reported> recipients;
    const Action action = static_cast<Action>(prng.below(4));
    for (std::uint64_t n = 1 + (prng.one_in(3) ? prng.below(20) : prng.below(2)); n > 0; --n)
      recipients.push_back(random_recipient(prng, prng.one_in(4) ? static_cast<Action>(prng.below(4)) : action, wide));
    const std::string& content = pick(prng, kContents);
    Returned returned(prng.one_in(2), content.size(), prng.one_in(4) ? 64 : 4096);
    for (std::size_t at = 0; at < content.size(); at += 7)
      if (!returned.feed(as_bytes(std::string_view{content}.substr(at, 7)))) break;
    ReportDraft draft{.hostname = "mx.example.org", .sender = wide_sender ? "\xc3\xa4nna@example.org" : "anna@example.org"};
    draft.parameters = prng.one_in(2) ? "RET=HDRS ENVID=QQ+2B314159" : "";
    draft.now = WallTime{std::chrono::seconds{1'800'000'060}};
    draft.arrived = WallTime{std::chrono::seconds{1'799'990'000}};
    for (auto& byte : draft.id.bytes) byte = static_cast<std::byte>(prng.below(256));
    for (auto& byte : draft.boundary) byte = static_cast<std::byte>(prng.below(256));
    draft.recipients = recipients;
    draft.returned = &returned;
    const MadeReport made = make_report(draft);

    nlohmann::json line{{"smtputf8", made.smtputf8}, {"eight_bit", made.eight_bit}, {"whole", returned.whole()},
                        {"envelope_id", !draft.parameters.empty()}, {"sender", draft.sender}};
    std::vector<int> octets;
    for (char c : made.content) octets.push_back(static_cast<unsigned char>(c));
    line["message"] = octets;
    for (const Reported& reported : recipients) {
      const smtp::EnhancedCode status = status_of(reported);
      constexpr const char* kActions[] = {"failed", "delayed", "delivered", "relayed"};
      const std::string_view original = smtp::read_recipient_parameters(reported.parameters).original;
      line["recipients"].push_back({{"address", reported.address},
                                    {"original", original},
                                    {"action", kActions[static_cast<int>(reported.action)]},
                                    {"code", reported.reply.code},
                                    {"status", std::to_string(status.klass) + "." + std::to_string(status.subject) + "." +
                                                   std::to_string(status.detail)}});
    }
    std::puts(line.dump().c_str());
  }
  return 0;
}
