// The boundaries of the multiparts now open, and the one question asked of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ringpost::mime {

/// One slot per nesting level. A line is compared with all of them in a single pass over the line, however many are open
/// and whatever prefixes they share: the pass keeps a running hash and looks at the slots whose length it has reached.
class BoundarySet {
 public:
  struct Match {
    std::size_t level;
    std::size_t length;
  };

  BoundarySet(std::size_t levels, std::size_t bytes_max)
      : bytes_max_(bytes_max),
        storage_(std::make_unique_for_overwrite<char[]>(levels * bytes_max)),
        slots_(levels),
        of_length_(bytes_max + 1) {}

  /// Where the boundary of `level` is to be written before `open`.
  std::span<char> storage(std::size_t level) { return {&storage_[level * bytes_max_], bytes_max_}; }
  /// From now on the first `length` (at least 1) bytes of storage(level) are looked for.
  void open(std::size_t level, std::size_t length);
  /// No longer; a level that is not open stays so.
  void close(std::size_t level);
  void close_all();
  bool any_open() const { return open_ != 0; }

  /// The longest open boundary that `text` begins with; of equal ones the innermost.
  std::optional<Match> match(std::string_view text) const;

 private:
  struct Slot {
    std::uint32_t length = 0;  ///< 0: closed
    std::uint64_t hash = 0;
  };

  std::size_t bytes_max_;
  std::unique_ptr<char[]> storage_;  ///< untouched until a boundary is there: most messages have none
  std::vector<Slot> slots_;
  std::vector<std::uint16_t> of_length_;  ///< open boundaries by length
  std::size_t open_ = 0;
  std::size_t levels_used_ = 0;  ///< no level from here on is open
};

}  // namespace ringpost::mime
