// The recipients that exist in a domain, as an operator lists them in a file.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace ringpost::config {

/// One line of a recipient file that is refused.
struct RecipientFault {
  std::uint32_t line = 0;  ///< from 1
  std::string reason;
};

/// An immutable set of addresses. Letters of ASCII count the same in both cases, in the local part as in the domain: no site tells
/// john from John, whatever RFC 5321 section 2.4 allows. Other letters are compared byte for byte.
class RecipientList {
 public:
  /// One address or local part a line; a `#` at the start of a line or behind a blank begins a comment. A local part stands for
  /// that of every domain the list is used for; an address must be of `domain` (below it, when that is "*.example.org").
  ///
  /// Errors: the first line that is refused.
  static std::expected<RecipientList, RecipientFault> parse(std::string_view text, std::string_view domain);

  /// `local` as in an envelope, quotes included.
  bool contains(std::string_view local, std::string_view domain) const;
  std::size_t size() const { return ends_.size(); }

 private:
  std::string_view entry(std::size_t index) const;
  bool has(std::string_view name) const;

  std::string names_;                // one behind the other, sorted
  std::vector<std::uint32_t> ends_;  // where each ends
};

}  // namespace ringpost::config
