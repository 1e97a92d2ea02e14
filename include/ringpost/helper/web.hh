// What ringpostd asks of web servers, wherever the answer comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::helper {

/// Bytes of an answer's body that are taken, and of a report that is sent, at most.
inline constexpr std::size_t kWebBodyBytesMax = 64 * 1024, kWebReportBytesMax = 80 * 1024;
/// Addresses of one host that are tried.
inline constexpr std::size_t kWebAddressesMax = 8;

/// Why there is no answer to use. Numbers are part of helperd's protocol.
enum class WebFault : std::uint8_t {
  none = 0,
  no_address = 1,   ///< nobody knows where the host is
  connect = 2,      ///< none of its addresses took a connection
  tls = 3,          ///< the handshake came to nothing
  certificate = 4,  ///< the server's certificate is not good, or not for this host
  redirect = 5,     ///< 3xx: it is not followed
  status = 6,       ///< anything else but 2xx
  too_large = 7,    ///< a body of more than kWebBodyBytesMax
  timed_out = 8,
  protocol = 9,     ///< no HTTP, or it broke off
};
inline constexpr std::size_t kWebFaults = 10;
/// "too_large", for logs and operators.
std::string_view name_of(WebFault fault);

struct WebAnswer {
  WebFault fault = WebFault::none;
  std::uint16_t status = 0;  ///< of HTTP; 0: there was none
  std::string content_type;  ///< the field's value
  std::string body;          ///< empty if there is a fault
  friend bool operator==(const WebAnswer&, const WebAnswer&) = default;
};

/// HTTPS only; the server's certificate must be good for the host that is asked for, whatever its address. Of `addresses` the first
/// kWebAddressesMax are tried, in their order.
/// Errors of all: unavailable: nobody can ask now. Lifetime: the views last until completion.
class Web {
 public:
  virtual ~Web() = default;
  /// GET of the MTA-STS policy of `domain` (RFC 8461 section 3.3), whose policy host is at `addresses`.
  virtual runtime::Task<Result<WebAnswer>> fetch_policy(std::string_view domain, std::vector<IpAddress> addresses) = 0;
  /// POST of a TLS report, gzipped JSON of at most kWebReportBytesMax (RFC 8460 section 5.4), to an https URI.
  virtual runtime::Task<Result<WebAnswer>> post_report(std::string_view uri, std::vector<IpAddress> addresses, Bytes report) = 0;
};

}  // namespace ringpost::helper
