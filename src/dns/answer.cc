#include "ringpost/dns/answer.hh"

#include <algorithm>
#include <optional>

namespace ringpost::dns {
namespace {

constexpr std::uint32_t kNoTtl = UINT32_MAX;

const Record* find_alias(const Response& response, std::string_view owner) {
  for (const Record& record : response.answers)
    if (record.type == Type::cname && record.owner == owner) return &record;
  return nullptr;
}

/// RFC 2308 section 5: how long "there is none" holds.
std::optional<std::uint32_t> negative_ttl(const Response& response) {
  if (response.authorities.empty()) return std::nullopt;
  const Record& soa = response.authorities.front();
  return std::min(soa.ttl_s, std::get<Authority>(soa.data).minimum_s);
}

Failure failure_of(const Response& response) {
  if (response.bogus) return Failure::bogus;
  return response.rcode == Rcode::refused ? Failure::refused : Failure::server_failure;
}

}  // namespace

std::string_view failure_name(Failure failure) {
  switch (failure) {
    case Failure::none: return "none";
    case Failure::server_failure: return "server failure";
    case Failure::refused: return "refused";
    case Failure::timed_out: return "no answer in time";
    case Failure::malformed: return "malformed answer";
    case Failure::overloaded: return "too many questions";
    case Failure::bogus: return "DNSSEC does not hold";
  }
  return {};
}

Security security_of(const Answer& answer) {
  if (answer.outcome == Outcome::failed) return Security::failed;
  return answer.authenticated ? Security::secure : Security::insecure;
}

Security together(Security a, Security b) {
  if (a == Security::insecure || b == Security::insecure) return Security::insecure;
  return a == Security::failed ? a : b;
}

Interpretation interpret(const Response& response, std::string_view name, Type type) {
  Interpretation read;
  Answer& answer = read.answer;
  answer.name = name;
  if (response.rcode != Rcode::no_error && response.rcode != Rcode::no_such_name) {
    answer.failure = failure_of(response);
    return read;
  }
  std::uint32_t ttl = kNoTtl;
  while (type != Type::cname) {
    const Record* alias = find_alias(response, answer.name);
    if (!alias) break;
    if (++read.aliases > kAliasesMax) return {.answer = Answer::failed_by(Failure::malformed), .aliases = read.aliases};
    ttl = std::min(ttl, alias->ttl_s);
    answer.name = std::get<std::string>(alias->data);
  }
  for (const Record& record : response.answers) {
    if (record.type != type || record.owner != answer.name) continue;
    ttl = std::min(ttl, record.ttl_s);
    answer.records.push_back(record);
  }
  answer.authenticated = response.authenticated;
  if (!answer.records.empty() && response.rcode == Rcode::no_error) {
    answer.outcome = Outcome::found;
    answer.ttl_s = ttl;
    return read;
  }
  answer.records.clear();
  const std::optional<std::uint32_t> negative = negative_ttl(response);
  answer.ttl_s = negative ? std::min(ttl, *negative) : 0;
  if (response.rcode == Rcode::no_such_name) {
    answer.outcome = Outcome::no_such_name;
  } else if (negative) {
    answer.outcome = Outcome::no_data;
  } else if (read.aliases > 0) {
    answer.outcome = Outcome::no_data;
    answer.ttl_s = ttl;
    read.incomplete = true;
  } else if (response.referral || (!response.recursive && !response.authoritative)) {
    answer.failure = Failure::server_failure;  // lame: it neither knows nor asks for us
  } else {
    answer.outcome = Outcome::no_data;
  }
  return read;
}

}  // namespace ringpost::dns
