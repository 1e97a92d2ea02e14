// Answers that still hold, bounded in number and bytes; the least recently used goes first.
#pragma once

#include <list>
#include <map>
#include <string>
#include <utility>

#include "ringpost/base/units.hh"
#include "ringpost/dns/answer.hh"

namespace ringpost::dns {

struct Question {
  std::string name;
  Type type;
  friend auto operator<=>(const Question&, const Question&) = default;
};

class Cache {
 public:
  Cache(std::size_t entries_max, std::size_t bytes_max) : entries_max_(entries_max), bytes_max_(bytes_max) {}

  /// The answer with what is left of its time; nullptr when there is none. Valid until the next call.
  const Answer* find(const Question& question, Instant now);
  /// Keeps `answer` for its ttl_s, within the limits of RFC 8767 and RFC 2308; failures for a moment (RFC 9520).
  void put(const Question& question, const Answer& answer, Instant now);
  void clear();
  void set_limits(std::size_t entries_max, std::size_t bytes_max);

  std::size_t entries() const { return by_use_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Question question;
    Answer answer;
    Instant until;
    std::size_t bytes;
  };
  using Place = std::list<Entry>::iterator;
  void drop(Place place);
  void shrink();

  std::size_t entries_max_, bytes_max_, bytes_ = 0;
  std::list<Entry> by_use_;  // the latest first
  std::map<Question, Place> by_question_;
};

/// What an answer takes in memory, roughly and rather too much.
std::size_t footprint(const Question& question, const Answer& answer);

}  // namespace ringpost::dns
