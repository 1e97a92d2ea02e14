// Domains in settings: which entry of a sorted list a domain belongs to.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <string_view>

namespace ringpost::config {

/// A domain in lower case, without a heap. What is longer than a domain may be comes out empty, which matches nothing.
///
/// Compares A-labels: whoever writes a U-label in an address has it looked up as the bytes it is.
class LowerDomain {
 public:
  explicit LowerDomain(std::string_view domain) {
    if (domain.size() > text_.size()) return;
    size_ = domain.size();
    std::ranges::transform(domain, text_.begin(), lower);
  }
  static constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 256> text_;
  std::size_t size_ = 0;
};

/// The entry of `domain` (lower case): its own, else that of the longest "*.PARENT" above it; null when there is none.
/// `entries` are sorted by `name_of(entry)`. A name of one label may stand there with a final dot.
template <typename Entries, typename NameOf = std::identity>
auto most_specific(const Entries& entries, std::string_view domain, NameOf name_of = {}) -> decltype(&*entries.begin()) {
  if (entries.empty() || domain.empty() || domain.size() > 255) return nullptr;
  auto find = [&](std::string_view name) {
    auto found = std::ranges::lower_bound(entries, name, {}, name_of);
    return found != entries.end() && std::invoke(name_of, *found) == name ? &*found : nullptr;
  };
  if (auto own = find(domain)) return own;
  std::array<char, 258> name;
  auto with = [&](std::string_view before, std::string_view middle, std::string_view after) {
    auto end = std::ranges::copy(before, name.begin()).out;
    end = std::ranges::copy(middle, end).out;
    end = std::ranges::copy(after, end).out;
    return std::string_view{name.data(), static_cast<std::size_t>(end - name.begin())};
  };
  if (domain.find('.') == domain.npos) return find(with("", domain, "."));
  for (std::size_t dot = domain.find('.'); dot != domain.npos; dot = domain.find('.', dot + 1))
    if (auto above = find(with("*.", domain.substr(dot + 1), ""))) return above;
  return nullptr;
}

}  // namespace ringpost::config
