// Writing JSON for operators: one object after the other, strings escaped.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace ringpost::control {

/// Appends `text` as a JSON string. Octets that are no UTF-8 become U+FFFD; control characters are escaped.
void append_json_string(std::string& out, std::string_view text);

/// Builds one JSON object or array by appending.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name) {
    separate();
    append_json_string(out_, name);
    out_ += ':';
    first_ = true;
  }
  void text(std::string_view value) {
    separate();
    append_json_string(out_, value);
  }
  template <std::integral Integer>
  void number(Integer value) {
    separate();
    out_ += std::to_string(value);
  }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void null() { raw("null"); }
  /// `json` is a whole JSON value already.
  void raw(std::string_view json) {
    separate();
    out_ += json;
  }

  void field(std::string_view name, std::string_view value) {
    key(name);
    text(value);
  }
  template <std::integral Integer>
  void field(std::string_view name, Integer value) {
    key(name);
    if constexpr (std::same_as<Integer, bool>) boolean(value);
    else number(value);
  }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  void open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

}  // namespace ringpost::control
