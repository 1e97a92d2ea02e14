// Packets between ringpostd and ringpost-helperd, one SOCK_SEQPACKET packet each: docs/formats/helperd-protocol.md. What a sibling
// sends is as hostile as what the Internet sends: every byte string has a verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/helper/web.hh"
#include "ringpost/sasl/scram.hh"

namespace ringpost::helper::protocol {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 8;
/// A report and where it goes; 256 senders of an account, or a body.
inline constexpr std::size_t kRequestBytesMax = 96 * 1024, kReplyBytesMax = 96 * 1024;
inline constexpr std::size_t kSendersMax = 256;

enum class Kind : std::uint8_t {
  check_password = 1,
  scram_keys = 2,
  fetch_policy = 3,
  post_report = 4,
  admit = 5,        ///< the login has been proven by other means
  check_token = 6,  ///< whose it is, and whether that is to be let in
};

enum class Status : std::uint16_t {
  ok = 0,
  malformed = 1,    ///< the request cannot be read
  busy = 2,         ///< too many are being worked on
  unavailable = 3,  ///< the file of accounts cannot be read
};

struct Header {
  Kind kind;
  bool is_reply = false;
  Status status = Status::ok;
  std::uint32_t id = 0;  ///< a reply has its request's
};

/// About logins. The login is empty with check_token alone, whose secret is the token; a password with check_password, else nothing.
struct LoginRequest {
  std::string_view scope;
  IpAddress client;
  std::string_view login;
  std::string_view secret;
  std::vector<IpAddress> addresses;  ///< check_token: of the host of auth.oauth.introspection_url, at most kWebAddressesMax; else none
};
/// Whose login it was, or would be.
struct Account {
  std::string login;
  std::vector<std::string> senders;
};
/// To check_password, admit and check_token.
struct LoginReply {
  bool right = false;
  Account account;  ///< empty unless right
};
struct KeysReply {
  sasl::ScramKeys keys;
  Account account;
};

/// fetch_policy and post_report.
struct WebRequest {
  std::string_view target;           ///< fetch_policy: the domain; post_report: the URI
  std::vector<IpAddress> addresses;  ///< of its host, at most kWebAddressesMax
  std::string_view body;             ///< post_report: the report; else empty
};

std::optional<Header> decode_header(Bytes frame);
/// A reply that says nothing but its status.
SecretBytes encode_status(std::uint32_t id, Kind kind, Status status);

SecretBytes encode(std::uint32_t id, Kind kind, const LoginRequest& request);
SecretBytes encode(std::uint32_t id, Kind kind, const LoginReply& reply);
SecretBytes encode(std::uint32_t id, const KeysReply& reply);
SecretBytes encode(std::uint32_t id, Kind kind, const WebRequest& request);
SecretBytes encode(std::uint32_t id, Kind kind, const WebAnswer& answer);

/// Nothing: malformed. Lifetime of views: of `frame`.
std::optional<LoginRequest> decode_request(Bytes frame);
std::optional<LoginReply> decode_login_reply(Kind kind, Bytes frame);
std::optional<KeysReply> decode_keys_reply(Bytes frame);
std::optional<WebRequest> decode_web_request(Bytes frame);
std::optional<WebAnswer> decode_web_answer(Bytes frame);

}  // namespace ringpost::helper::protocol
