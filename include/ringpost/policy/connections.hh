// How many connections each client and each prefix holds, counted over all shards without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "ringpost/base/socket_address.hh"

namespace ringpost::policy {

struct ConnectionLimits {
  std::uint64_t total = 0;
  std::uint64_t per_client = 0;
  std::uint64_t per_prefix = 0;  ///< IpAddress::prefix(): /24 of IPv4, /64 of IPv6
};

enum class Admission : std::uint8_t { admitted, too_many, too_many_of_client, too_many_of_prefix };

/// A count-min sketch of open connections, shared by all shards.
///
/// Exact but for collisions: a client may be counted with strangers in both rows, which takes 2 of kWidth cells to coincide;
/// the seed is random, so nobody can choose to collide with somebody else. Memory: 512 KiB, fixed.
/// Threads: any.
class ConnectionBook {
 public:
  explicit ConnectionBook(std::uint64_t seed);

  /// Counts one more connection of `client`, unless a limit is reached. What was admitted must be released once.
  Admission admit(const IpAddress& client, const ConnectionLimits& limits);
  void release(const IpAddress& client);
  std::uint64_t open() const { return open_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kRows = 2, kWidth = 32768;
  using Row = std::array<std::atomic<std::uint32_t>, kWidth>;
  struct Sketch {
    std::array<Row, kRows> rows{};
  };

  std::uint64_t add(Sketch& sketch, const IpAddress& key, std::uint32_t delta);

  std::uint64_t seed_;
  std::atomic<std::uint64_t> open_{0};
  std::unique_ptr<Sketch> clients_, prefixes_;
};

/// One connection's count in the book, given back when it dies. Empty until `take` admits somebody.
///
/// Lifetime: the book outlives it.
class ConnectionPlace {
 public:
  explicit ConnectionPlace(ConnectionBook& book) : book_(&book) {}
  ConnectionPlace(ConnectionPlace&& other) noexcept : book_(other.book_), client_(std::exchange(other.client_, std::nullopt)) {}
  ConnectionPlace& operator=(ConnectionPlace&&) = delete;
  ~ConnectionPlace() { give_back(); }

  /// Counts the connection as `client`'s, and no longer as whose it was. Refused: it is nobody's.
  Admission take(const IpAddress& client, const ConnectionLimits& limits);
  void give_back();
  bool is_of(const IpAddress& client) const { return client_ == client; }

 private:
  ConnectionBook* book_;
  std::optional<IpAddress> client_;
};

}  // namespace ringpost::policy
