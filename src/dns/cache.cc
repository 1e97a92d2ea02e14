#include "cache.hh"

#include <algorithm>

namespace ringpost::dns {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr Duration kPositiveMax = hours{24};   // RFC 8767 section 4 allows seven days; mail is not that patient
constexpr Duration kNegativeMax = hours{1};    // RFC 2308 section 5: one to three hours
constexpr Duration kFailureTime = seconds{5};  // RFC 9520 section 3.2: at least 1 s, at most 5 min
constexpr std::size_t kShareMax = 8;           // one answer takes at most this part of the whole

std::size_t heap_of(const std::string& text) { return text.capacity() > 15 ? text.capacity() + 16 : 0; }

std::size_t heap_of(const Record& record) {
  struct Sizes {
    std::size_t operator()(const std::string& name) const { return heap_of(name); }
    std::size_t operator()(const Exchange& exchange) const { return heap_of(exchange.host); }
    std::size_t operator()(const Service& service) const { return heap_of(service.target); }
    std::size_t operator()(const Association& association) const { return association.data.capacity() + 16; }
    std::size_t operator()(const Text& text) const { return heap_of(text.octets); }
    std::size_t operator()(const IpAddress&) const { return 0; }
    std::size_t operator()(const Authority&) const { return 0; }
  };
  return sizeof record + heap_of(record.owner) + std::visit(Sizes{}, record.data);
}

Duration time_to_keep(const Answer& answer) {
  switch (answer.outcome) {
    case Outcome::found: return std::min<Duration>(seconds{answer.ttl_s}, kPositiveMax);
    case Outcome::no_data:
    case Outcome::no_such_name: return std::min<Duration>(seconds{answer.ttl_s}, kNegativeMax);
    case Outcome::failed: break;
  }
  const bool of_the_name = answer.failure == Failure::server_failure || answer.failure == Failure::malformed || answer.failure == Failure::bogus;
  return of_the_name ? kFailureTime : Duration{};
}

}  // namespace

std::size_t footprint(const Question& question, const Answer& answer) {
  std::size_t bytes = 2 * (sizeof question + heap_of(question.name)) + sizeof answer + heap_of(answer.name) + 160;
  for (const Record& record : answer.records) bytes += heap_of(record);
  return bytes;
}

const Answer* Cache::find(const Question& question, Instant now) {
  auto found = by_question_.find(question);
  if (found == by_question_.end()) return nullptr;
  Entry& entry = *found->second;
  if (entry.until <= now) {
    drop(found->second);
    return nullptr;
  }
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  const auto left = std::chrono::duration_cast<seconds>(entry.until - now).count();
  entry.answer.ttl_s = static_cast<std::uint32_t>(left);
  return &entry.answer;
}

void Cache::put(const Question& question, const Answer& answer, Instant now) {
  if (auto found = by_question_.find(question); found != by_question_.end()) drop(found->second);
  const Duration time = time_to_keep(answer);
  if (time <= Duration::zero()) return;
  const std::size_t bytes = footprint(question, answer);
  if (bytes > bytes_max_ / kShareMax) return;
  by_use_.push_front({question, answer, now + time, bytes});
  by_question_.emplace(question, by_use_.begin());
  bytes_ += bytes;
  shrink();
}

void Cache::clear() {
  by_question_.clear();
  by_use_.clear();
  bytes_ = 0;
}

void Cache::set_limits(std::size_t entries_max, std::size_t bytes_max) {
  entries_max_ = entries_max;
  bytes_max_ = bytes_max;
  shrink();
}

void Cache::drop(Place place) {
  bytes_ -= place->bytes;
  by_question_.erase(place->question);
  by_use_.erase(place);
}

void Cache::shrink() {
  while (!by_use_.empty() && (by_use_.size() > entries_max_ || bytes_ > bytes_max_)) drop(std::prev(by_use_.end()));
}

}  // namespace ringpost::dns
