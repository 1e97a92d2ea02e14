// Reading and writing the fields of a record's plaintext, one behind the other.
#pragma once

#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::spool {

/// Writes into a span that was measured before.
class FieldWriter {
 public:
  explicit FieldWriter(MutableBytes out) : rest_(out) {}
  /// Every byte was written.
  ~FieldWriter() { RP_ASSERT(rest_.empty()); }
  FieldWriter(const FieldWriter&) = delete;

  template <typename Integer>
  void number(Integer value) {
    RP_ASSERT(rest_.size() >= sizeof value);
    store_le(rest_.data(), value);
    rest_ = rest_.subspan(sizeof value);
  }
  void bytes(Bytes value) {
    copy_bytes(rest_, value);
    rest_ = rest_.subspan(value.size());
  }
  /// Length in two bytes, then the text.
  void text(std::string_view value) {
    number(static_cast<std::uint16_t>(value.size()));
    bytes(as_bytes(value));
  }

 private:
  MutableBytes rest_;
};

/// Reads what anybody may have written: after the first field that is not there, everything is zero and ok() is false.
class FieldReader {
 public:
  explicit FieldReader(Bytes from) : rest_(from) {}

  template <typename Integer>
  Integer number() {
    if (!take(sizeof(Integer))) return {};
    return load_le<Integer>(taken_.data());
  }
  void bytes(MutableBytes out) {
    if (take(out.size())) copy_bytes(out, taken_);
  }
  std::string_view text(std::size_t bytes_max) {
    const std::size_t size = number<std::uint16_t>();
    if (size > bytes_max) ok_ = false;
    return take(size) ? as_text(taken_) : std::string_view{};
  }
  void refuse_unless(bool condition) { ok_ = ok_ && condition; }

  bool ok() const { return ok_; }
  /// Nothing was missing and nothing is left.
  bool complete() const { return ok_ && rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  bool take(std::size_t bytes) {
    if (!ok_ || bytes > rest_.size()) return ok_ = false;
    taken_ = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return true;
  }

  Bytes rest_, taken_;
  bool ok_ = true;
};

}  // namespace ringpost::spool
