#include "ringpost/policy/budgets.hh"

#include <algorithm>

namespace ringpost::policy {

/// What one more would be.
BudgetVerdict RecipientBudgets::Window::look(std::uint64_t limit, Duration length, Instant now) {
  if (used > 0 && now - since >= length) used = 0;
  if (used == 0) since = now;
  if (limit == 0 || used < limit) return BudgetVerdict::within;
  return used < 2 * limit ? BudgetVerdict::over : BudgetVerdict::far_over;
}

BudgetVerdict RecipientBudgets::take(std::string_view login, const RecipientBudget& budget, Instant now) {
  std::lock_guard lock{mutex_};
  Entry& entry = logins_.touch(login);
  const BudgetVerdict verdict = std::max(entry.hour.look(budget.per_hour, std::chrono::hours{1}, now),
                                         entry.day.look(budget.per_day, std::chrono::hours{24}, now));
  if (verdict == BudgetVerdict::far_over) return verdict;
  ++entry.hour.used;
  ++entry.day.used;
  return verdict;
}

}  // namespace ringpost::policy
