// What a question came to, once CNAMEs are followed and codes are understood. No I/O, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/dns/packet.hh"

namespace ringpost::dns {

enum class Outcome : std::uint8_t {
  found,         ///< there are records
  no_data,       ///< the name exists, but has no records of this type
  no_such_name,  ///< NXDOMAIN
  failed,        ///< nobody knows: ask again later
};

/// Why a question failed. None of these says anything about the name.
enum class Failure : std::uint8_t {
  none,
  server_failure,  ///< SERVFAIL, a referral where an answer was due, or a code that means no more
  refused,
  timed_out,   ///< no server answered in time, or none is worth asking just now
  malformed,   ///< an answer that breaks the format, or CNAMEs that lead nowhere
  overloaded,  ///< too many questions wait here
  bogus,       ///< the resolver found that DNSSEC does not hold, and says so
};
std::string_view failure_name(Failure failure);

struct Answer {
  Outcome outcome = Outcome::failed;
  Failure failure = Failure::none;
  std::string name;             ///< where the CNAMEs led; the name that was asked for when there were none
  std::vector<Record> records;  ///< owned by `name` and of the type that was asked for; in no meaningful order
  std::uint32_t ttl_s = 0;      ///< how long it holds from now; 0: for this moment
  bool authenticated = false;   ///< a resolver whose word counts says that DNSSEC proves it

  static Answer failed_by(Failure failure) { return {.outcome = Outcome::failed, .failure = failure}; }
};

/// How far an answer may be relied on (RFC 4035 section 4.3). "Bogus" and "indeterminate" are both `failed`: neither may be used.
enum class Security : std::uint8_t {
  secure,    ///< DNSSEC proves it, also that there is nothing
  insecure,  ///< it is in no signed zone, or no resolver whose word counts says that it is
  failed,
};
Security security_of(const Answer& answer);
/// Of two answers that are used together: what is insecure stays so whatever the other one is.
Security together(Security a, Security b);

/// CNAMEs one after the other, however they come.
inline constexpr int kAliasesMax = 8;

/// What `response` says about `name` and `type`. Records of other names are not looked at: nobody asked.
/// `aliases` counts the CNAMEs followed. When they lead out of the packet without an answer, it is `incomplete`: ask for
/// `answer.name`.
struct Interpretation {
  Answer answer;
  bool incomplete = false;
  int aliases = 0;
};
Interpretation interpret(const Response& response, std::string_view name, Type type);

}  // namespace ringpost::dns
