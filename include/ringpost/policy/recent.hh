// What was heard of lately, by name, with a bound.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ringpost::policy {

/// At most `entries_max` entries; whoever was not heard of for the longest time is forgotten first. `Entry` has a std::string `who`.
template <typename Entry>
class Recent {
 public:
  explicit Recent(std::size_t entries_max) : entries_max_(entries_max) {}

  /// Null when nothing is known of `who`. It does not count as having been heard of.
  Entry* find(std::string_view who) {
    const auto found = by_name_.find(who);
    return found == by_name_.end() ? nullptr : &*found->second;
  }
  /// The entry of `who`, which was heard of just now; made when it is new. Lifetime: until the next call.
  Entry& touch(std::string_view who) {
    if (const auto found = by_name_.find(who); found != by_name_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return entries_.front();
    }
    if (entries_.size() >= entries_max_) {
      by_name_.erase(entries_.back().who);
      entries_.pop_back();
    }
    entries_.emplace_front().who = who;
    by_name_.emplace(entries_.front().who, entries_.begin());
    return entries_.front();
  }
  /// The latest first.
  const std::list<Entry>& entries() const { return entries_; }

 private:
  std::size_t entries_max_;
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_name_;  // keys are views of the entries' names
};

}  // namespace ringpost::policy
