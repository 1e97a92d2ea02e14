// MTA-STS policies as they were fetched, for all shards, and as bytes for the next start.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/transport/mta_sts.hh"

namespace ringpost::transport {

/// Threads: any; it locks inside. Nothing here decides whether a policy holds: look_up() does.
/// Bounds:   `bytes_max` of memory, about. Beyond it the policy goes that was used least lately.
class StsCache {
 public:
  using Time = std::chrono::sys_seconds;
  explicit StsCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Of `domain`, also one that is out of date; null: none. It counts as used now.
  std::shared_ptr<const CachedPolicy> find(const std::string& domain, Time now);
  /// Takes the place of what is there.
  void put(const std::string& domain, CachedPolicy policy, Time now);
  /// Domains whose policy has half of its time behind it, and was used within the last 30 days: worth asking for before mail needs
  /// it. Up to `limit` of them, and none twice within an hour.
  std::vector<std::string> ageing(Time now, std::size_t limit);

  std::size_t size() const;
  /// Grows with every change that encode() shows.
  std::uint64_t revision() const;
  /// Format: docs/formats/transport-memory.md. Policies that are out of date at `now` are left out.
  std::vector<std::byte> encode(Time now) const;
  /// Adds what encode() wrote. False: it is malformed; what came before the fault was added.
  bool decode(Bytes encoded, Time now);

 private:
  struct Entry {
    std::shared_ptr<const CachedPolicy> policy;
    Time used, looked_after;
    std::size_t bytes = 0;
  };
  void put_locked(const std::string& domain, CachedPolicy policy, Time used);
  void make_room();

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t revision_ = 0;
};

}  // namespace ringpost::transport
