// One HTTPS request at a time, by libcurl. Nothing of it knows what the request is for.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/helper/web.hh"

namespace ringpost::helperd {

/// A time limit for all of a request, and for its connections within that.
inline constexpr Duration kWebPatience = std::chrono::seconds{20}, kWebConnectPatience = std::chrono::seconds{8};

struct HttpRequest {
  std::string url;                   ///< https only
  std::vector<IpAddress> addresses;  ///< of its host: no name is looked up here
  bool post = false;
  std::string_view body;                 ///< post
  std::vector<std::string> header_lines; ///< "Content-Type: application/json"
  const char* credentials = nullptr;     ///< "USER:PASSWORD" for HTTP Basic (RFC 7617); null: none
  Duration patience = kWebPatience, connect_patience = kWebConnectPatience;
};

/// Threads:  request() blocks, and is meant for the workers' threads; many may be in it at a time.
/// Secrets:  what libcurl itself allocates is wiped when it is freed.
/// Lifetime: one for the process, made while it has one thread; libcurl wants it so.
class Web {
 public:
  /// `trust_file`: PEM, the authorities that servers are verified by; read anew for each request.
  explicit Web(std::string trust_file);
  Web(const Web&) = delete;
  ~Web();

  /// Redirects are not followed, no proxy is used, nothing is compressed; the certificate must be good for the URL's host.
  helper::WebAnswer request(const HttpRequest& wanted) const;
  /// Requests under way end soon, as timed out; later ones at once.
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  std::string trust_file_;
  std::atomic<bool> stopping_{false};
};

}  // namespace ringpost::helperd
