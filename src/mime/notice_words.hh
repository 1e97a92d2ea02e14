// What servers write when they mean one of a few things.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringpost::mime {

/// An enhanced status code found in text (RFC 3463); class 0: there is none.
struct StatusCode {
  std::uint16_t klass = 0, subject = 0, detail = 0;
  bool is_generic() const { return klass == 0 || (subject == 0 && detail == 0); }
};

/// The first one in `text`, which stands by itself.
StatusCode find_status(std::string_view text) noexcept;
/// The first reply code, 400..599, that stands by itself; 0: there is none.
std::uint16_t find_reply_code(std::string_view text) noexcept;

// In any case, of ASCII.
bool contains_word(std::string_view text, std::string_view lower) noexcept;
bool says_blocked(std::string_view text);
bool says_full(std::string_view text);
bool says_unknown(std::string_view text);
bool says_temporary(std::string_view text);
bool says_delayed(std::string_view text);
/// A subject or sender that only reports have.
bool is_report_subject(std::string_view subject);
bool is_report_sender(std::string_view from);

}  // namespace ringpost::mime
