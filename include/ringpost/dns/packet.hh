// DNS packets: queries as bytes, and what an answer's bytes mean (RFC 1035, 6891). No I/O, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/prng.hh"
#include "ringpost/base/socket_address.hh"

namespace ringpost::dns {

enum class Type : std::uint16_t {
  a = 1,
  ns = 2,
  cname = 5,
  soa = 6,
  ptr = 12,
  mx = 15,
  txt = 16,
  aaaa = 28,
  srv = 33,
  opt = 41,
  rrsig = 46,
  tlsa = 52,
};

/// How the server closed the case; the numbers of RFC 1035 section 4.1.1.
enum class Rcode : std::uint16_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  no_such_name = 3,
  not_implemented = 4,
  refused = 5,
  bad_version = 16,
};

/// What we tell servers we take over UDP: no fragments on any path (RFC 9715).
inline constexpr std::uint16_t kUdpBytes = 1232;
/// An answer over TCP has two octets for its length.
inline constexpr std::size_t kTcpBytesMax = 65'535;
/// More records than this in one answer are no answer.
inline constexpr std::size_t kRecordsMax = 2048;
inline constexpr std::size_t kHeaderBytes = 12;

// Names are text in lower case without the final dot: the root is empty. Octets that are no host name's come escaped, as in
// zone files (\. and \DDD), so a name is always printable ASCII.

/// True for a name that may be asked for: labels of 1 to 63 letters, digits, - or _, at most 253 octets in all.
bool is_askable(std::string_view name);
/// `name` in lower case, without a final dot.
std::string canonical(std::string_view name);

struct Exchange {
  std::uint16_t preference;
  std::string host;
  friend bool operator==(const Exchange&, const Exchange&) = default;
};
struct Service {
  std::uint16_t priority, weight, port;
  std::string target;
  friend bool operator==(const Service&, const Service&) = default;
};
struct Association {  ///< TLSA, RFC 6698
  std::uint8_t usage, selector, matching;
  std::vector<std::byte> data;
  friend bool operator==(const Association&, const Association&) = default;
};
struct Text {  ///< the strings of one TXT record, joined: any octets
  std::string octets;
  friend bool operator==(const Text&, const Text&) = default;
};
struct Authority {  ///< SOA
  std::uint32_t minimum_s;
  friend bool operator==(const Authority&, const Authority&) = default;
};

struct Record {
  std::string owner;
  Type type{};
  std::uint32_t ttl_s = 0;
  /// IpAddress: A, AAAA. std::string: the name of CNAME, NS and PTR. The rest as they are called.
  std::variant<IpAddress, std::string, Exchange, Service, Association, Text, Authority> data;
};

/// An answer that parsed as a whole.
struct Response {
  Rcode rcode = Rcode::no_error;  ///< with the upper bits that EDNS adds
  bool authoritative = false;
  bool recursive = false;           ///< the server would look further for us (RA)
  bool authenticated = false;       ///< the AD bit as it came; whether to believe it is the caller's decision
  bool referral = false;            ///< the authority section names other servers to ask
  bool signatures = false;          ///< there are RRSIG records in the answer section: the server does not strip them
  bool bogus = false;               ///< it says that DNSSEC does not hold for what it found (RFC 8914 section 4, codes 6 to 12)
  std::vector<Record> answers;      ///< of the types above and class IN; others are checked and left out
  std::vector<Record> authorities;  ///< SOA records of the authority section
};

struct QueryOptions {
  bool edns = true;         ///< announce kUdpBytes and ask for DNSSEC data (DO), or be plain RFC 1035
  Prng* letters = nullptr;  ///< mixes upper and lower case, so that a forger has more to guess
};

/// One question with recursion desired; of an empty `name`: about the root.
/// Errors: invalid: no name one can ask for. not_found: a name that never is in DNS (.onion, RFC 7686).
Result<std::vector<std::byte>> make_query(std::string_view name, Type type, std::uint16_t id, const QueryOptions& options);

/// How a packet stands to the query it came for.
enum class Match : std::uint8_t {
  no,            ///< another id, another question, a query itself: somebody else's, or a forgery
  yes,           ///< id and question are ours, octet for octet
  case_differs,  ///< the same, but the question's letters changed their case
  bare_error,    ///< our id and no question at all, with an error code: how some servers refuse EDNS
};
Match match(Bytes query, Bytes response);
/// The TC bit. `response` has at least a header.
bool is_truncated(Bytes response);
/// The code in the header alone. `response` has at least a header.
Rcode header_rcode(Bytes response);

/// Reads all sections. Every length, pointer and count is checked; the first thing wrong spoils the whole.
/// Errors: protocol: it breaks the format. limit: too many records.
Result<Response> parse_response(Bytes response);

}  // namespace ringpost::dns
