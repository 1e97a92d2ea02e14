// Frames between ringpostd and a helperd that has gone bad, either way round: any bytes get a verdict, and what is taken can be written and
// is taken again.
#include "ringpost/base/assert.hh"
#include "ringpost/helper/protocol.hh"

using namespace ringpost;
using namespace ringpost::helper;
using namespace ringpost::helper::protocol;

namespace {

constexpr Kind kLoginKinds[] = {Kind::check_password, Kind::admit, Kind::check_token};

void check(Bytes frame) {
  const auto header = decode_header(frame);
  int readers = 0;
  if (const auto request = decode_request(frame)) {
    ++readers;
    RP_ASSERT(request->login.empty() == (header->kind == Kind::check_token));
    const SecretBytes again = encode(header->id, header->kind, *request);
    const auto same = decode_request(again.view());
    RP_ASSERT(same && same->login == request->login && same->secret == request->secret && same->client == request->client && same->addresses == request->addresses);
  }
  for (const Kind kind : kLoginKinds) {
    const auto reply = decode_login_reply(kind, frame);
    if (!reply) continue;
    ++readers;
    RP_ASSERT(reply->right == !reply->account.login.empty() && as_text(encode(header->id, kind, *reply).view()) == as_text(frame));
  }
  if (const auto keys = decode_keys_reply(frame)) {
    ++readers;
    RP_ASSERT(as_text(encode(header->id, *keys).view()) == as_text(frame));
  }
  if (const auto request = decode_web_request(frame)) {
    ++readers;
    RP_ASSERT(decode_web_request(encode(header->id, header->kind, *request).view()));
  }
  if (const auto answer = decode_web_answer(frame)) {
    ++readers;
    RP_ASSERT(as_text(encode(header->id, header->kind, *answer).view()) == as_text(frame));
  }
  RP_ASSERT(readers <= 1 && (readers == 0 || header));
}

/// A good frame of some kind.
SecretBytes sample(std::uint8_t which) {
  const IpAddress client = *IpAddress::parse("192.0.2.1");
  switch (which % 8) {
    case 0: return encode(1, Kind::check_password, LoginRequest{"submission", client, "anna", "secret"});
    case 1: return encode(2, Kind::check_token, LoginRequest{"submission", client, {}, "token", {client}});
    case 2: return encode(3, Kind::check_password, LoginReply{true, {"anna", {"anna@our.test", "@our.test"}}});
    case 3: return encode(4, Kind::admit, LoginReply{});
    case 4: {
      KeysReply reply{.account = {"anna", {}}};
      reply.keys.iterations = sasl::kScramIterationsMin;
      reply.keys.salt.assign(sasl::kScramSaltBytesMin, std::byte{7});
      return encode(5, reply);
    }
    case 5: return encode(6, Kind::post_report, WebRequest{"https://our.test/", {client}, "report"});
    case 6: return encode(7, Kind::fetch_policy, WebAnswer{WebFault::none, 200, "text/plain", "policy"});
    default: return encode_status(8, Kind::scram_keys, Status::busy);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  check(input);
  if (input.empty()) return 0;
  // A good frame, changed as the input says: random bytes alone would rarely get past a header.
  const SecretBytes good = sample(data[0]);
  std::vector<std::byte> frame{good.view().begin(), good.view().end()};
  for (Bytes changes = input.subspan(1); changes.size() >= 3; changes = changes.subspan(3))
    frame[load_le<std::uint16_t>(changes.data()) % frame.size()] ^= changes[2];
  check(frame);
  return 0;
}
