#include "ringpost/metrics/exposition.hh"

#include <charconv>

namespace ringpost::metrics {
namespace {

/// HELP escapes backslash and newline; a label value also its closing quote.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  for (char octet : text) {
    if (octet == '\\') {
      out += "\\\\";
    } else if (octet == '\n') {
      out += "\\n";
    } else if (octet == '"' && quoted) {
      out += "\\\"";
    } else {
      out += octet;
    }
  }
}

}  // namespace

std::string number_text(double value) {
  char digits[32];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  return {digits, end};
}

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::begin(std::string_view name, Labels labels) {
  text_.append(name);
  char separator = '{';
  for (const Label& label : labels) {
    text_ += separator;
    text_.append(label.name).append("=\"");
    append_escaped(text_, label.value, true);
    text_ += '"';
    separator = ',';
  }
  if (labels.size() != 0) text_ += '}';
  text_ += ' ';
}

void Exposition::sample(std::string_view name, Labels labels, std::uint64_t value) {
  begin(name, labels);
  text_.append(std::to_string(value)).append("\n");
}
void Exposition::sample(std::string_view name, Labels labels, std::int64_t value) {
  begin(name, labels);
  text_.append(std::to_string(value)).append("\n");
}
void Exposition::sample(std::string_view name, Labels labels, double value) {
  begin(name, labels);
  text_.append(number_text(value)).append("\n");
}

}  // namespace ringpost::metrics
