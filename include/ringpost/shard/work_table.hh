// Which messages a shard has in work, in memory that outlives the process: a message that ends two processes is not tried again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"

namespace ringpost::shard {

/// A message counts as named by a death when it was in work while its shard's own code failed (an assertion, a signal such as
/// SIGSEGV): who is killed from outside, or loses power, blames nobody.
///
/// Lifetime: `memory` is a file's, mapped; it must outlive this. Whatever stands in it is either ours or worth nothing.
/// Cost:     begin() and end() write 16 bytes each.
class WorkTable {
 public:
  static constexpr std::size_t kBytes = 8192;
  /// Deaths after which a message is set aside.
  static constexpr std::uint32_t kDeaths = 2;

  /// Takes over what the last process left: if that failed, its messages in work are named once more.
  explicit WorkTable(MutableBytes memory);
  WorkTable(const WorkTable&) = delete;

  /// Each begin() has its end(). Beyond kSlots at once, messages go unnamed.
  void begin(const MessageId& message);
  void end(const MessageId& message);
  /// It was named by kDeaths deaths.
  bool is_poison(const MessageId& message) const;
  /// Nothing is left to do for it.
  void forget(const MessageId& message);

  /// Notes in such memory that the process now dies by its own fault. Safe in a signal handler. Memory that no WorkTable took
  /// over stays as it is.
  static void blame(std::byte* memory) noexcept;

 private:
  static constexpr std::uint32_t kSlots = 128;
  struct Named {
    MessageId message;
    std::uint32_t deaths;
    std::uint32_t age;  ///< the oldest makes room
  };
  static constexpr std::uint32_t kNamed = 128;
  struct Layout {
    char magic[8];
    volatile std::uint32_t failed;
    std::uint32_t clock;
    MessageId in_work[kSlots];
    Named named[kNamed];
  };
  static_assert(sizeof(Layout) <= kBytes);

  void name(const MessageId& message);
  const Named* find(const MessageId& message) const;

  Layout& table_;
  std::vector<std::uint32_t> free_;  // slots
};

}  // namespace ringpost::shard
