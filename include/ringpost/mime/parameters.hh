// The shape shared by Content-Type and Content-Disposition: a head, then parameters (RFC 2045 section 5.1, RFC 2231).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringpost::mime {

/// One parameter as written. `value` is raw: without its quotes, but with escapes, folds and percent signs.
struct Parameter {
  std::string_view name;  ///< without the RFC 2231 marks
  std::string_view value;
  std::int32_t section = -1;  ///< n of "name*n"; -1 when the parameter is not continued
  bool extended = false;      ///< "name*" or "name*n*": percent-encoded
  bool quoted = false;

  /// An unquoted value is taken up to the semicolon, since names of files are often written with bare spaces. Where
  /// the standard's token is wanted, this is it.
  std::string_view word() const noexcept;
};

/// Walks a field value from left to right, in time linear in its length. Lenient: comments are skipped, whatever is not
/// a parameter is skipped to the next semicolon, an open quote or comment reaches to the end.
///
/// Lifetime: every view points into the value given.
class ParameterScanner {
 public:
  explicit ParameterScanner(std::string_view value) noexcept;
  /// The two words before the first semicolon: "text" and "plain", or "attachment" and nothing.
  std::string_view first() const noexcept { return first_; }
  std::string_view second() const noexcept { return second_; }
  /// False when there is no further parameter.
  bool next(Parameter& parameter) noexcept;

 private:
  void skip_blank() noexcept;
  void skip_to_semicolon() noexcept;
  std::string_view take_token() noexcept;
  void take_value(Parameter& parameter) noexcept;

  std::string_view value_;
  std::size_t at_ = 0;
  std::string_view first_, second_;
};

}  // namespace ringpost::mime
