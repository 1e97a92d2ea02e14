#include "ringpost/metrics/metrics.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "ringpost/base/prng.hh"

namespace ringpost::metrics {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;

TEST(Buckets, each_value_lies_in_its_bucket_and_no_error_exceeds_a_32nd) {
  Prng prng{1};
  for (int i = 0; i < 200'000; ++i) {
    std::uint64_t value = prng.next() >> (22 + prng.below(42));
    std::size_t bucket = Buckets::index(value);
    ASSERT_LT(bucket, Buckets::kCount);
    std::uint64_t upper = Buckets::upper(bucket);
    ASSERT_LE(value, upper);
    ASSERT_LE(upper - value, value / 32) << value;
    if (bucket > 0) {
      ASSERT_GT(value, Buckets::upper(bucket - 1));
    }
  }
}

TEST(Buckets, are_numbered_without_gaps_and_end_at_the_last) {
  for (std::size_t bucket = 0; bucket + 1 < Buckets::kCount; ++bucket) {
    ASSERT_EQ(Buckets::index(Buckets::upper(bucket)), bucket);
    ASSERT_EQ(Buckets::index(Buckets::upper(bucket) + 1), bucket + 1);
  }
  EXPECT_EQ(Buckets::index(UINT64_MAX), Buckets::kCount - 1);
}

TEST(Histogram, percentiles_agree_with_sorting) {
  Prng prng{2};
  Histogram live;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    auto value = static_cast<std::int64_t>(prng.next() >> (30 + prng.below(30)));
    values.push_back(value);
    live.record(Duration{value});
  }
  std::ranges::sort(values);
  HistogramSnapshot histogram = live.snapshot();
  for (double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(percent / 100 * 20'000)));
    std::int64_t exact = values[rank - 1], read = histogram.percentile(percent).count();
    EXPECT_GE(read, exact) << percent;
    EXPECT_LE(read, exact + exact / 32) << percent;
  }
  EXPECT_EQ(histogram.max().count(), values.back());
  EXPECT_EQ(histogram.count(), 20'000u);
}

TEST(Histogram, an_empty_one_is_all_zeros) {
  HistogramSnapshot empty = Histogram{}.snapshot();
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.percentile(99), Duration::zero());
  EXPECT_EQ(empty.mean(), Duration::zero());
  EXPECT_EQ(empty.max(), Duration::zero());
}

TEST(Histogram, longer_than_its_range_keeps_maximum_and_sum_exact) {
  Histogram live;
  live.record(hours{100});
  live.record(microseconds{1});
  live.record(Duration{-5});
  HistogramSnapshot histogram = live.snapshot();
  EXPECT_EQ(histogram.max(), hours{100});
  EXPECT_EQ(histogram.percentile(100), hours{100});
  EXPECT_EQ(histogram.percentile(0), Duration::zero());
  EXPECT_EQ(histogram.sum(), hours{100} + microseconds{1});
  EXPECT_EQ(histogram.count_below_power(42), 2u);
}

TEST(Histogram, merging_is_recording_into_one) {
  Prng prng{3};
  HistogramSnapshot left, right, both;
  for (int i = 0; i < 1'000; ++i) {
    Duration value{static_cast<std::int64_t>(prng.below(1'000'000'000))};
    (i % 3 == 0 ? left : right).record(value);
    both.record(value);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.sum(), both.sum());
  EXPECT_EQ(left.mean(), both.mean());
  for (double percent : {1.0, 50.0, 99.0}) EXPECT_EQ(left.percentile(percent), both.percentile(percent));
}

TEST(Histogram, counts_below_powers_of_two_exactly) {
  HistogramSnapshot histogram;
  for (std::int64_t value : {8191, 8192, 8193, 16383, 16384}) histogram.record(Duration{value});
  EXPECT_EQ(histogram.count_below_power(13), 1u);
  EXPECT_EQ(histogram.count_below_power(14), 4u);
  EXPECT_EQ(histogram.count_below_power(15), 5u);
}

TEST(Metrics, another_thread_reads_while_the_owner_writes) {
  Counter counter;
  Gauge gauge;
  Histogram histogram;
  std::atomic<bool> done{false};
  std::thread owner([&] {
    for (int i = 0; i < 100'000; ++i) {
      counter.add();
      gauge.add(2);
      gauge.subtract();
      histogram.record(Duration{i});
    }
    done = true;
  });
  std::uint64_t last = 0;
  while (!done) {
    std::uint64_t now = counter.value();
    EXPECT_GE(now, last);
    last = now;
    EXPECT_LE(histogram.snapshot().count(), 100'000u);
  }
  owner.join();
  EXPECT_EQ(counter.value(), 100'000u);
  EXPECT_EQ(gauge.value(), 100'000);
  EXPECT_EQ(histogram.snapshot().count(), 100'000u);
}

static_assert(sizeof(Histogram) < 10'240 && sizeof(HistogramSnapshot) < 10'240);

}  // namespace
}  // namespace ringpost::metrics
