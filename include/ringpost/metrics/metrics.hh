// Counters, gauges and latency histograms with one writer each: a shard counts without locks, anyone may read.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "ringpost/base/units.hh"

namespace ringpost::metrics {

/// Only grows. One thread adds, every thread may read.
class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    // Load and store, not fetch_add: with a single writer no locked instruction is needed.
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Goes up and down. One thread changes it, every thread may read.
class Gauge {
 public:
  void add(std::int64_t amount = 1) { set(value() + amount); }
  void subtract(std::int64_t amount = 1) { set(value() - amount); }
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// The buckets of a log-linear histogram: exact below 32 ns, then 32 buckets for each power of two (an error of at most
/// 1/32), up to 2^42 ns (73 minutes); longer values count in the last bucket, while count, sum and maximum stay exact.
struct Buckets {
  static constexpr int kMinorBits = 5;
  static constexpr std::size_t kMinor = std::size_t{1} << kMinorBits;
  static constexpr int kValueBits = 42;
  static constexpr std::size_t kCount = kMinor * (kValueBits - kMinorBits + 1);

  static constexpr std::size_t index(std::uint64_t value) {
    if (value < kMinor) return static_cast<std::size_t>(value);
    if (value >> kValueBits != 0) return kCount - 1;
    int shift = std::bit_width(value) - kMinorBits - 1;
    return kMinor * static_cast<std::size_t>(shift) + static_cast<std::size_t>(value >> shift);
  }
  /// The largest value that `index` maps to this bucket.
  static constexpr std::uint64_t upper(std::size_t bucket) {
    if (bucket < kMinor) return bucket;
    std::size_t shift = bucket / kMinor - 1;
    return ((std::uint64_t{bucket % kMinor + kMinor + 1}) << shift) - 1;
  }
};

/// A histogram at rest: what was recorded up to some moment, summed over any number of shards. About 10 KB.
class HistogramSnapshot {
 public:
  void record(Duration value);
  void merge(const HistogramSnapshot& other);

  std::uint64_t count() const { return count_; }
  Duration sum() const { return Duration{static_cast<Duration::rep>(sum_)}; }
  Duration max() const { return Duration{static_cast<Duration::rep>(max_)}; }
  /// Zero when nothing was recorded.
  Duration mean() const;
  /// The value that `percent` (0..100) of the recorded ones do not exceed, at most 1/32 too high; zero without any.
  Duration percentile(double percent) const;
  /// How many were recorded that are certainly below 2^`bits` ns (bits in 5..42).
  std::uint64_t count_below_power(int bits) const;

 private:
  friend class Histogram;
  std::array<std::uint64_t, Buckets::kCount> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

/// A live histogram. One thread records, every thread may take a snapshot. About 10 KB, never allocates.
class Histogram {
 public:
  /// Negative durations count as zero.
  void record(Duration value) {
    auto ns = static_cast<std::uint64_t>(value.count() < 0 ? 0 : value.count());
    bump(buckets_[Buckets::index(ns)], 1);
    bump(sum_, ns);
    if (ns > max_.load(std::memory_order_relaxed)) max_.store(ns, std::memory_order_relaxed);
  }
  HistogramSnapshot snapshot() const;

 private:
  static void bump(std::atomic<std::uint64_t>& value, std::uint64_t amount) {
    value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::array<std::atomic<std::uint64_t>, Buckets::kCount> buckets_{};
  std::atomic<std::uint64_t> sum_{0};
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace ringpost::metrics
