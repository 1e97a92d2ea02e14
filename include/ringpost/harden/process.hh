// What a process does to itself and looks at on its machine before it handles anything secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"

namespace ringpost::harden {

/// No core dump, and no reading of our memory by other processes of the same user. Undone by become(): call it again after.
Result<> forbid_core_dumps();

/// Raises the soft limit on open files to the hard one, and as root both to at least `wanted`. Returns the limit in force.
Result<std::uint64_t> raise_open_files(std::uint64_t wanted = 65536);
/// The same for locked memory (bytes).
Result<std::uint64_t> raise_locked_memory(std::uint64_t wanted);

/// Where memory may end up on disk in clear.
struct SwapArea {
  std::string name;        ///< as in /proc/swaps
  bool encrypted = false;  ///< a dm-crypt device, or memory (zram)
};
/// The areas a /proc/swaps lists, without looking at devices. Pure.
std::vector<std::string> parse_swaps(std::string_view proc_swaps);
/// True when this process may use swap that is not encrypted: it is active, and the cgroup has no MemorySwapMax=0.
/// `areas` (may be null) receives what is active.
bool swap_is_exposed(std::vector<SwapArea>* areas = nullptr);

}  // namespace ringpost::harden
