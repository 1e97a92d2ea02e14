#include "ringpost/metrics/metrics.hh"

#include <algorithm>
#include <cmath>

namespace ringpost::metrics {

void HistogramSnapshot::record(Duration value) {
  auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(value.count(), 0));
  ++buckets_[Buckets::index(ns)];
  ++count_;
  sum_ += ns;
  max_ = std::max(max_, ns);
}

void HistogramSnapshot::merge(const HistogramSnapshot& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

Duration HistogramSnapshot::mean() const {
  return count_ == 0 ? Duration::zero() : Duration{static_cast<Duration::rep>(sum_ / count_)};
}

Duration HistogramSnapshot::percentile(double percent) const {
  if (count_ == 0) return Duration::zero();
  double wanted = std::ceil(std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count_));
  std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i + 1 < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return Duration{static_cast<Duration::rep>(std::min(Buckets::upper(i), max_))};
  }
  return max();  // the last bucket has no upper end but the largest value itself
}

std::uint64_t HistogramSnapshot::count_below_power(int bits) const {
  std::size_t end = bits >= Buckets::kValueBits ? Buckets::kCount - 1 : Buckets::index(std::uint64_t{1} << bits);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < end; ++i) below += buckets_[i];
  return below;
}

HistogramSnapshot Histogram::snapshot() const {
  // The writer goes on meanwhile. Count is what the buckets say, so that count and buckets agree; sum and maximum may be
  // a few records ahead.
  HistogramSnapshot result;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    result.buckets_[i] = buckets_[i].load(std::memory_order_relaxed);
    result.count_ += result.buckets_[i];
  }
  result.sum_ = sum_.load(std::memory_order_relaxed);
  result.max_ = max_.load(std::memory_order_relaxed);
  return result;
}

}  // namespace ringpost::metrics
