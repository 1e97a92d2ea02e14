// How many recipients each login may send to. Shared by all shards; a lock, because submission is no hot path.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "ringpost/base/units.hh"
#include "ringpost/policy/recent.hh"

namespace ringpost::policy {

struct RecipientBudget {
  std::uint64_t per_hour = 0;  ///< 0: no limit
  std::uint64_t per_day = 0;
};

enum class BudgetVerdict : std::uint8_t {
  within,
  over,      ///< keep it for an operator to look at
  far_over,  ///< twice as many: no more of it
};

/// Counts recipients by login, within an hour and a day of the first one. Counts live in memory: a start begins anew.
///
/// Bound:   kLoginsMax logins; who was not heard of for the longest time is forgotten first.
/// Threads: any.
class RecipientBudgets {
 public:
  static constexpr std::size_t kLoginsMax = 65536;

  /// `login` gives one more recipient, if that is not far over its budget.
  BudgetVerdict take(std::string_view login, const RecipientBudget& budget, Instant now);

 private:
  struct Window {
    Instant since{};
    std::uint64_t used = 0;
    BudgetVerdict look(std::uint64_t limit, Duration length, Instant now);
  };
  struct Entry {
    std::string who;
    Window hour, day;
  };
  std::mutex mutex_;
  Recent<Entry> logins_{kLoginsMax};
};

}  // namespace ringpost::policy
