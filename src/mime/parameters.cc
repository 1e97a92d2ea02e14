#include "ringpost/mime/parameters.hh"

#include "scan.hh"

namespace ringpost::mime {
namespace {

constexpr bool ends_token(char c) { return is_space(c) || c == ';' || c == '=' || c == '(' || c == '"' || c == '/'; }

/// Splits "name*3*" into its name, section and mark (RFC 2231 sections 3 and 4). What does not fit stays a plain name.
void split_marks(Parameter& parameter) {
  std::string_view name = parameter.name;
  if (name.find('*') == kNowhere || name.front() == '*') return;
  const bool extended = name.back() == '*';
  if (extended) name.remove_suffix(1);
  const std::size_t star = name.find('*');
  if (star == kNowhere) {
    parameter.name = name;
    parameter.extended = extended;
    return;
  }
  const std::string_view digits = name.substr(star + 1);
  if (digits.empty() || digits.size() > 7) return;
  std::int32_t section = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return;
    section = section * 10 + (c - '0');
  }
  parameter.name = name.substr(0, star);
  parameter.section = section;
  parameter.extended = extended;
}

}  // namespace

std::string_view Parameter::word() const noexcept {
  if (quoted) return value;
  std::size_t length = 0;
  while (length < value.size() && !is_space(value[length])) ++length;
  return value.substr(0, length);
}

ParameterScanner::ParameterScanner(std::string_view value) noexcept : value_(value) {
  skip_blank();
  first_ = take_token();
  skip_blank();
  if (at_ < value_.size() && value_[at_] == '/') {
    ++at_;
    skip_blank();
    second_ = take_token();
  }
  // "Content-Type: text/plain charset=x" lacks its semicolon: the words after the blank are skipped like any junk.
  skip_to_semicolon();
}

void ParameterScanner::skip_blank() noexcept {
  while (at_ < value_.size()) {
    if (is_space(value_[at_])) {
      ++at_;
      continue;
    }
    if (value_[at_] != '(') return;
    std::size_t depth = 0;
    for (; at_ < value_.size(); ++at_) {
      const char c = value_[at_];
      if (c == '\\') {
        ++at_;
      } else if (c == '(') {
        ++depth;
      } else if (c == ')' && --depth == 0) {
        ++at_;
        break;
      }
    }
    if (at_ > value_.size()) at_ = value_.size();  // a backslash was last
  }
}

void ParameterScanner::skip_to_semicolon() noexcept {
  bool quoted = false;
  for (; at_ < value_.size(); ++at_) {
    const char c = value_[at_];
    if (c == '\\' && quoted) {
      ++at_;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ';' && !quoted) {
      return;
    }
  }
  at_ = value_.size();
}

std::string_view ParameterScanner::take_token() noexcept {
  const std::size_t from = at_;
  while (at_ < value_.size() && !ends_token(value_[at_])) ++at_;
  return value_.substr(from, at_ - from);
}

void ParameterScanner::take_value(Parameter& parameter) noexcept {
  const std::size_t from = at_;
  if (at_ < value_.size() && value_[at_] == '"') {
    parameter.quoted = true;
    for (++at_; at_ < value_.size() && value_[at_] != '"'; ++at_) {
      if (value_[at_] == '\\') ++at_;
    }
    if (at_ > value_.size()) at_ = value_.size();
    parameter.value = value_.substr(from + 1, at_ - from - 1);
    if (at_ < value_.size()) ++at_;
    skip_to_semicolon();
    return;
  }
  parameter.quoted = false;
  while (at_ < value_.size() && value_[at_] != ';') ++at_;
  parameter.value = trim_right(value_.substr(from, at_ - from));
}

bool ParameterScanner::next(Parameter& parameter) noexcept {
  while (at_ < value_.size()) {
    ++at_;  // the semicolon
    skip_blank();
    parameter = Parameter{};
    parameter.name = take_token();
    skip_blank();
    if (parameter.name.empty() || at_ >= value_.size() || value_[at_] != '=') {
      skip_to_semicolon();
      continue;
    }
    ++at_;
    skip_blank();
    take_value(parameter);
    split_marks(parameter);
    return true;
  }
  return false;
}

}  // namespace ringpost::mime
