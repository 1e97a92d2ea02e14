// A number as text without memory of its own.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace ringpost::deliver {

class Decimal {
 public:
  explicit Decimal(std::uint64_t value) : end_(std::to_chars(digits_.data(), digits_.data() + digits_.size(), value).ptr) {}
  Decimal(const Decimal&) = delete;
  std::string_view text() const { return {digits_.data(), end_}; }

 private:
  std::array<char, 20> digits_;
  char* end_;
};

}  // namespace ringpost::deliver
