// Writing the Prometheus text exposition format, version 0.0.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace ringpost::metrics {

/// Builds the text: `family` once, then its samples. Names and label names are the caller's literals; label values are
/// escaped as the format asks.
class Exposition {
 public:
  struct Label {
    std::string_view name;
    std::string_view value;
  };
  using Labels = std::initializer_list<Label>;

  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, Labels labels, std::uint64_t value);
  void sample(std::string_view name, Labels labels, std::int64_t value);
  void sample(std::string_view name, Labels labels, double value);

  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view name, Labels labels);
  std::string text_;
};

/// The shortest decimal form that reads back as the same number.
std::string number_text(double value);

}  // namespace ringpost::metrics
