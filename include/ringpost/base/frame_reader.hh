// Takes fields from bytes that somebody else sent.
#pragma once

#include <cstddef>

#include "ringpost/base/bytes.hh"

namespace ringpost {

/// Integers are little-endian. Reading past the end gives zeros and makes done() false for good; what is read is hostile, so nothing
/// asserts. Lifetime: views are of the bytes it was made with.
class FrameReader {
 public:
  explicit FrameReader(Bytes frame) : rest_(frame) {}

  template <typename Integer>
  Integer number() {
    Integer value{};
    if (rest_.size() < sizeof value) return fail(), value;
    value = load_le<Integer>(rest_.data());
    rest_ = rest_.subspan(sizeof value);
    return value;
  }
  /// Fills `out`, or fails.
  void bytes(MutableBytes out) {
    const Bytes taken = view(out.size());
    copy_bytes(out.first(taken.size()), taken);
  }
  /// The next `size` bytes; empty when there are fewer.
  Bytes view(std::size_t size) {
    if (rest_.size() < size) return fail(), Bytes{};
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::size_t remaining() const { return rest_.size(); }
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  /// All of it was read, and nothing was wrong.
  bool done() const { return !failed_ && rest_.empty(); }
  bool failed() const { return failed_; }

 private:
  Bytes rest_;
  bool failed_ = false;
};

}  // namespace ringpost
