// Which key somebody probably meant.
#include <algorithm>
#include <numeric>
#include <vector>

#include "table.hh"

namespace ringpost::config {
namespace {

/// Edits between two words: insert, delete, replace one character, or swap two neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// What `written` has where `key` has its placeholder, so that an instance's own name costs no edits.
std::string instance_in(std::string_view written, const Key& key) {
  // The instance begins behind as many dots as in the key.
  std::size_t first = written.find('.');
  for (auto more = std::ranges::count(key.family(), '.'); --more > 0 && first != written.npos;) first = written.find('.', first + 1);
  // It ends before as many as follow there.
  const std::string_view behind = key.name.substr(key.family().size() + key.placeholder().size());
  std::size_t last = written.size();
  for (auto dots = std::ranges::count(behind, '.'); dots > 0 && last != written.npos && last > 0; --dots) last = written.rfind('.', last - 1);
  if (first == written.npos || first >= last) return std::string{key.placeholder()};
  std::string instance{written.substr(first + 1, last - first - 1)};
  if (key.placeholder() != "DOMAIN") return instance;
  if (instance.find('.') == instance.npos) return std::string{key.placeholder()};  // rather a slip of a plain key
  for (char& c : instance)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return instance;
}

}  // namespace

std::string nearest_key(std::string_view written) {
  constexpr std::size_t kConsidered = 128;  // what is longer resembles no key
  written = written.substr(0, kConsidered);
  std::string best;
  std::size_t best_distance = SIZE_MAX;
  for (const Key& key : table()) {
    std::string candidate = key.is_family() ? key_text(key, instance_in(written, key)) : std::string{key.name};
    std::size_t distance = edit_distance(written, candidate);
    if (distance < best_distance) {
      // A name that is not valid itself is no good advice.
      best = find_key(candidate) ? candidate : std::string{key.name};
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace ringpost::config
