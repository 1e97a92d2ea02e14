#include "transport/fields.hh"

#include <algorithm>

namespace ringpost::transport {

namespace {

constexpr std::string_view kBlanks = " \t";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// Printable ASCII without blanks; commas separate URIs, which may stand apart.
bool is_value(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return (c >= 0x21 && c <= 0x7e) || c == ' ' || c == '\t'; });
}

}  // namespace

bool is_key(std::string_view text) {
  if (text.empty() || text.size() > 32 || !is_alphanumeric(text[0])) return false;
  return std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view field = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + 1);
  return field;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::expected<std::vector<Field>, RecordFault> only_record(std::span<const std::string> records, std::string_view version) {
  std::string_view found;
  std::size_t count = 0;
  for (const std::string& record : records) {
    if (!record.starts_with(version)) continue;
    const std::string_view rest = std::string_view{record}.substr(version.size());
    const std::size_t semicolon = rest.find_first_not_of(kBlanks);
    if (semicolon == rest.npos || rest[semicolon] != ';') continue;
    found = rest.substr(semicolon + 1);
    ++count;
  }
  if (count != 1) return std::unexpected(count == 0 ? RecordFault::none_there : RecordFault::several);
  std::vector<Field> fields;
  while (!found.empty()) {
    if (!fields.empty() && trimmed(found).empty()) break;  // behind a semicolon at the end
    const std::string_view text = trimmed(cut(found, ';'));
    const std::size_t equals = text.find('=');
    if (equals == text.npos) return std::unexpected(RecordFault::syntax);
    const Field field{text.substr(0, equals), text.substr(equals + 1)};
    if (!is_key(field.key) || !is_value(field.value)) return std::unexpected(RecordFault::syntax);
    fields.push_back(field);
  }
  if (fields.empty()) return std::unexpected(RecordFault::syntax);
  return fields;
}

}  // namespace ringpost::transport
