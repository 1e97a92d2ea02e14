#include "ringpost/helper/protocol.hh"

#include <algorithm>

#include "ringpost/base/frame_reader.hh"

namespace ringpost::helper::protocol {

namespace {

constexpr std::uint8_t kReplyBit = 0x80;
constexpr Kind kKindLast = Kind::check_token;
constexpr std::size_t kTextBytesMax = 12 * 1024;

class Writer {
 public:
  Writer(std::uint32_t id, Kind kind, bool is_reply, Status status = Status::ok) {
    bytes_.reserve(512);
    number(kVersion);
    number(static_cast<std::uint8_t>(static_cast<std::uint8_t>(kind) | (is_reply ? kReplyBit : 0)));
    number(static_cast<std::uint16_t>(status));
    number(id);
  }
  template <typename Integer>
  void number(Integer value) {
    std::byte encoded[sizeof value];
    store_le(encoded, value);
    add(encoded);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint16_t>(value.size()));
    add(as_bytes(value));
  }
  void long_text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    add(as_bytes(value));
  }
  void raw(Bytes value) { add(value); }
  void address(const IpAddress& address) {
    std::array<char, IpAddress::kTextMax> buffer;
    text(address.text(buffer));
  }
  void addresses(const std::vector<IpAddress>& all) {
    number(static_cast<std::uint8_t>(all.size()));
    for (const IpAddress& each : all) address(each);
  }
  void account(const Account& account) {
    text(account.login);
    number(static_cast<std::uint16_t>(account.senders.size()));
    for (const std::string& sender : account.senders) text(sender);
  }
  SecretBytes finish() { return SecretBytes{std::move(bytes_)}; }

 private:
  void add(Bytes more) {
    if (bytes_.size() + more.size() > bytes_.capacity()) grow(bytes_.size() + more.size());
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }
  // By hand, so that what is left behind is wiped.
  void grow(std::size_t needed) {
    std::vector<std::byte> larger;
    larger.reserve(std::max(needed, 2 * bytes_.capacity()));
    larger.assign(bytes_.begin(), bytes_.end());
    wipe(bytes_);
    bytes_.swap(larger);
  }
  std::vector<std::byte> bytes_;
};

class Reader : public FrameReader {
 public:
  using FrameReader::FrameReader;
  std::string_view text(std::size_t bytes_max = kTextBytesMax) {
    const std::size_t size = number<std::uint16_t>();
    if (size > bytes_max) return fail(), std::string_view{};
    return as_text(view(size));
  }
  std::string_view long_text(std::size_t bytes_max) {
    const std::size_t size = number<std::uint32_t>();
    if (size > bytes_max) return fail(), std::string_view{};
    return as_text(view(size));
  }
  IpAddress address() {
    const auto parsed = IpAddress::parse(text(IpAddress::kTextMax));
    if (!parsed) fail();
    return parsed.value_or(IpAddress{});
  }
  std::vector<IpAddress> addresses() {
    std::vector<IpAddress> all;
    const std::size_t count = number<std::uint8_t>();
    if (count > kWebAddressesMax) fail();
    for (std::size_t i = 0; i < count && !failed(); ++i) all.push_back(address());
    return all;
  }
  Account account() {
    Account account{std::string{text(255)}, {}};
    const std::size_t senders = number<std::uint16_t>();
    if (senders > kSendersMax) fail();
    for (std::size_t i = 0; i < senders && !failed(); ++i) account.senders.emplace_back(text(512));
    return account;
  }
};

/// The frame behind its header, when that is a request (or a successful reply) of one of these kinds.
std::optional<Reader> body(Bytes frame, std::initializer_list<Kind> kinds, bool is_reply) {
  const std::optional<Header> header = decode_header(frame);
  if (!header || header->is_reply != is_reply || header->status != Status::ok) return std::nullopt;
  if (std::ranges::find(kinds, header->kind) == kinds.end()) return std::nullopt;
  return Reader{frame.subspan(kHeaderBytes)};
}

constexpr std::size_t kTypeBytesMax = 256;

}  // namespace

std::optional<Header> decode_header(Bytes frame) {
  if (frame.size() < kHeaderBytes) return std::nullopt;
  Reader in{frame.first(kHeaderBytes)};
  const auto version = in.number<std::uint8_t>(), kind = in.number<std::uint8_t>();
  const auto status = in.number<std::uint16_t>();
  const auto id = in.number<std::uint32_t>();
  const auto plain = static_cast<std::uint8_t>(kind & ~kReplyBit);
  if (version != kVersion || plain < 1 || plain > static_cast<std::uint8_t>(kKindLast)) return std::nullopt;
  if (status > static_cast<std::uint16_t>(Status::unavailable)) return std::nullopt;
  return Header{static_cast<Kind>(plain), (kind & kReplyBit) != 0, static_cast<Status>(status), id};
}

SecretBytes encode_status(std::uint32_t id, Kind kind, Status status) { return Writer{id, kind, true, status}.finish(); }

SecretBytes encode(std::uint32_t id, Kind kind, const LoginRequest& request) {
  Writer out{id, kind, false};
  out.text(request.scope);
  out.address(request.client);
  out.text(request.login);
  out.text(request.secret);
  if (kind == Kind::check_token) out.addresses(request.addresses);
  return out.finish();
}

SecretBytes encode(std::uint32_t id, Kind kind, const LoginReply& reply) {
  Writer out{id, kind, true};
  out.number(static_cast<std::uint8_t>(reply.right));
  out.account(reply.account);
  return out.finish();
}

SecretBytes encode(std::uint32_t id, const KeysReply& reply) {
  Writer out{id, Kind::scram_keys, true};
  out.number(reply.keys.iterations);
  out.text(as_text(reply.keys.salt));
  out.raw(reply.keys.stored_key.view());
  out.raw(reply.keys.server_key.view());
  out.account(reply.account);
  return out.finish();
}

SecretBytes encode(std::uint32_t id, Kind kind, const WebRequest& request) {
  Writer out{id, kind, false};
  out.text(request.target);
  out.addresses(request.addresses);
  out.long_text(request.body);
  return out.finish();
}

SecretBytes encode(std::uint32_t id, Kind kind, const WebAnswer& answer) {
  Writer out{id, kind, true};
  out.number(static_cast<std::uint8_t>(answer.fault));
  out.number(answer.status);
  out.text(std::string_view{answer.content_type}.substr(0, kTypeBytesMax));
  out.long_text(answer.body);
  return out.finish();
}

std::optional<LoginRequest> decode_request(Bytes frame) {
  auto in = body(frame, {Kind::check_password, Kind::scram_keys, Kind::admit, Kind::check_token}, false);
  if (!in) return std::nullopt;
  LoginRequest request;
  request.scope = in->text(32);
  request.client = in->address();
  request.login = in->text();
  request.secret = in->text();
  const bool has_login = decode_header(frame)->kind != Kind::check_token;
  if (!has_login) request.addresses = in->addresses();
  if (!in->done() || request.login.empty() == has_login) return std::nullopt;
  return request;
}

std::optional<LoginReply> decode_login_reply(Kind kind, Bytes frame) {
  auto in = body(frame, {kind}, true);
  if (!in) return std::nullopt;
  LoginReply reply;
  const auto right = in->number<std::uint8_t>();
  reply.right = right == 1;
  reply.account = in->account();
  if (!in->done() || right > 1 || reply.right == reply.account.login.empty()) return std::nullopt;
  return reply;
}

std::optional<KeysReply> decode_keys_reply(Bytes frame) {
  auto in = body(frame, {Kind::scram_keys}, true);
  if (!in) return std::nullopt;
  KeysReply reply;
  reply.keys.iterations = in->number<std::uint32_t>();
  const Bytes salt = as_bytes(in->text(sasl::kScramSaltBytesMax));
  reply.keys.salt.assign(salt.begin(), salt.end());
  in->bytes(reply.keys.stored_key.mutable_view());
  in->bytes(reply.keys.server_key.mutable_view());
  reply.account = in->account();
  const bool sound = reply.keys.iterations >= sasl::kScramIterationsMin && reply.keys.iterations <= sasl::kScramIterationsMax &&
                     salt.size() >= sasl::kScramSaltBytesMin;
  if (!in->done() || !sound) return std::nullopt;
  return reply;
}

std::optional<WebRequest> decode_web_request(Bytes frame) {
  auto in = body(frame, {Kind::fetch_policy, Kind::post_report}, false);
  if (!in) return std::nullopt;
  WebRequest request;
  request.target = in->text();
  request.addresses = in->addresses();
  request.body = in->long_text(kWebReportBytesMax);
  if (!in->done() || request.target.empty()) return std::nullopt;
  return request;
}

std::optional<WebAnswer> decode_web_answer(Bytes frame) {
  auto in = body(frame, {Kind::fetch_policy, Kind::post_report}, true);
  if (!in) return std::nullopt;
  WebAnswer answer;
  const auto fault = in->number<std::uint8_t>();
  answer.fault = static_cast<WebFault>(fault);
  answer.status = in->number<std::uint16_t>();
  answer.content_type = in->text(kTypeBytesMax);
  answer.body = in->long_text(kWebBodyBytesMax);
  if (!in->done() || fault >= kWebFaults || (answer.fault != WebFault::none && !answer.body.empty())) return std::nullopt;
  return answer;
}

}  // namespace ringpost::helper::protocol

namespace ringpost::helper {

std::string_view name_of(WebFault fault) {
  switch (fault) {
    case WebFault::none: return "none";
    case WebFault::no_address: return "no_address";
    case WebFault::connect: return "connect";
    case WebFault::tls: return "tls";
    case WebFault::certificate: return "certificate";
    case WebFault::redirect: return "redirect";
    case WebFault::status: return "status";
    case WebFault::too_large: return "too_large";
    case WebFault::timed_out: return "timed_out";
    case WebFault::protocol: return "protocol";
  }
  return {};
}

}  // namespace ringpost::helper
