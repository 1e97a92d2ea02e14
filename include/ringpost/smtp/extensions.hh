// The EHLO answer: ours, and what a next hop offers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp {

/// What this server says to EHLO. A zero limit is not announced.
struct EhloOffer {
  std::string_view host;
  std::uint64_t message_bytes_max = 0;  ///< SIZE (RFC 1870)
  bool smtputf8 = true;
  bool chunking = true;
  bool starttls = false;                ///< RFC 3207
  bool require_tls = false;             ///< RFC 8689; under TLS only
  std::string_view auth = {};           ///< RFC 4954: mechanisms, one blank between two; empty: none
  bool xclient = false;                 ///< with the attributes of client_attributes.hh
  bool xforward = false;
  std::uint32_t future_release_max_s = 0;  ///< FUTURERELEASE (RFC 4865)
  std::chrono::sys_seconds now{};          ///< for the time that FUTURERELEASE names
  bool deliver_by = false;                 ///< RFC 2852
  std::uint32_t deliver_by_min_s = 0;      ///< the least that DELIVERBY takes in mode R
  bool priority = false;                   ///< MT-PRIORITY (RFC 6710)
  std::uint32_t mail_max = 0;  ///< LIMITS MAILMAX (RFC 9422): messages in one connection; 1..999999
  std::uint32_t rcpt_max = 0;  ///< LIMITS RCPTMAX: recipients of one message; 1..999999
};

/// Enough room for any of the three below.
inline constexpr std::size_t kEhloBytesMax = 1024;

/// 220 and the host's name. Returns bytes written, 0 when `out` is too small.
std::size_t write_greeting(std::string_view host, MutableBytes out);
/// The whole multi-line answer to EHLO.
std::size_t write_ehlo(const EhloOffer& offer, MutableBytes out);
/// The answer to HELO.
std::size_t write_helo(std::string_view host, MutableBytes out);

/// What a next hop offers. Anything unknown or malformed is ignored, so a liar can only offer less.
struct Capabilities {
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool chunking = false;
  bool binary_mime = false;
  bool enhanced_status_codes = false;
  bool dsn = false;
  bool starttls = false;
  bool require_tls = false;
  bool size = false;
  std::string auth;  ///< mechanisms (RFC 4954), a blank between two
  bool deliver_by = false;
  bool priority = false;
  // 0: no limit is known.
  std::uint64_t size_max = 0;
  std::uint32_t mail_max = 0;
  std::uint32_t rcpt_max = 0;
  std::uint32_t rcpt_domain_max = 0;
  std::uint64_t deliver_by_min_s = 0;

  /// Takes in one line of the EHLO answer, without code and separator. Not for the first, which holds the host's name.
  void add_line(std::string_view line);

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

}  // namespace ringpost::smtp
