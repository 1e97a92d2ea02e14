#include "ringpost/config/recipient_list.hh"

#include <algorithm>

#include "values.hh"

namespace ringpost::config {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::size_t kLocalBytesMax = 64;  // RFC 5321 section 4.5.3.1.1

std::string lower_case(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

/// "john doe" and john: what the quotes of a local part say is without them (RFC 5321 section 4.1.2).
std::string without_quotes(std::string_view local) {
  if (local.size() < 2 || local.front() != '"' || local.back() != '"') return std::string{local};
  std::string out;
  for (std::size_t i = 1; i + 1 < local.size(); ++i) {
    if (local[i] == '\\' && i + 2 < local.size()) ++i;
    out += local[i];
  }
  return out;
}

std::string_view trimmed(std::string_view line) {
  for (std::size_t at = line.find('#'); at != line.npos; at = line.find('#', at + 1)) {
    if (at != 0 && kBlanks.find(line[at - 1]) == kBlanks.npos) continue;
    line = line.substr(0, at);
    break;
  }
  const std::size_t first = line.find_first_not_of(kBlanks);
  return first == line.npos ? std::string_view{} : line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

/// Where the local part ends: at the last @, which stands outside of any quotes.
std::size_t local_part_end(std::string_view name) {
  const std::size_t at = name.rfind('@');
  return at == name.npos || name.ends_with('"') ? name.size() : at;
}

bool belongs(std::string_view domain, std::string_view pattern) {
  if (pattern.ends_with('.')) pattern.remove_suffix(1);
  return pattern.starts_with("*.") ? domain.size() + 1 > pattern.size() && domain.ends_with(pattern.substr(1)) : domain == pattern;
}

/// The name as the set keeps it, or why it is none.
std::expected<std::string, std::string> entry_of(std::string_view name, std::string_view pattern) {
  const std::size_t end = local_part_end(name);
  const std::string_view local = name.substr(0, end);
  auto odd = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(name, odd)) return std::unexpected("there is a control character in it");
  if (local.empty() || local.size() > kLocalBytesMax) return std::unexpected("a local part has 1 to 64 octets");
  if (!local.starts_with('"') && local.find_first_of(" \t,;<>()") != local.npos)
    return std::unexpected("one address or local part a line; \"" + printable(name) + "\" is neither");
  std::string entry = lower_case(without_quotes(local));
  if (end == name.size()) return entry;
  const std::string domain = lower_case(name.substr(end + 1));
  if (!belongs(domain, pattern))
    return std::unexpected("\"" + printable(name) + "\" is not of " + std::string{pattern});
  return entry + "@" + domain;
}

}  // namespace

std::expected<RecipientList, RecipientFault> RecipientList::parse(std::string_view text, std::string_view domain) {
  std::vector<std::string> entries;
  for (std::uint32_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view name = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (name.empty()) continue;
    auto entry = entry_of(name, domain);
    if (!entry) return std::unexpected(RecipientFault{line, entry.error()});
    entries.push_back(std::move(*entry));
  }
  std::ranges::sort(entries);
  const auto again = std::ranges::unique(entries);
  entries.erase(again.begin(), again.end());
  RecipientList list;
  list.ends_.reserve(entries.size());
  for (const std::string& entry : entries) {
    list.names_ += entry;
    list.ends_.push_back(static_cast<std::uint32_t>(list.names_.size()));
  }
  list.names_.shrink_to_fit();
  return list;
}

std::string_view RecipientList::entry(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view{names_}.substr(begin, ends_[index] - begin);
}

bool RecipientList::has(std::string_view name) const {
  std::size_t low = 0, high = ends_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (entry(middle) < name) low = middle + 1;
    else high = middle;
  }
  return low < ends_.size() && entry(low) == name;
}

bool RecipientList::contains(std::string_view local, std::string_view domain) const {
  std::string name = lower_case(without_quotes(local));
  if (name.find('@') == name.npos && has(name)) return true;  // "u@x" in quotes is no address
  name.append("@").append(lower_case(domain));
  return has(name);
}

}  // namespace ringpost::config
