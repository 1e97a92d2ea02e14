// Rates: how many messages each shard may send to one destination. The home shard of a destination keeps its book.
#pragma once

#include <cstdint>
#include <vector>

#include "ringpost/base/units.hh"
#include "ringpost/config/settings.hh"

namespace ringpost::policy {

/// Tokens that come in within a second, and how many are kept at most when nobody takes them: so many, or one. Of a rate that is one.
double per_second(const config::Rate& rate);
double kept_most(const config::Rate& rate);

/// The book of one destination: a pure core, told what shards want, asked who gets how much. A token is one message.
///
/// Bound:    tokens come in at the rate; what nobody takes is kept, up to kept_most().
/// Fair:     one round after the other, each shard that wants tokens gets one, starting behind the shard that was served last.
class RateBook {
 public:
  RateBook(std::size_t shards, const config::Rate& rate, Instant now) : wanted_(shards), rate_(rate), filled_(now) {}

  void set_rate(const config::Rate& rate, Instant now);
  /// `shard` wants so many tokens more than it was granted.
  void want(std::size_t shard, std::uint64_t tokens) { wanted_[shard] = tokens; }

  struct Grant {
    std::size_t shard;
    std::uint64_t count;
  };
  /// Hands out what there is at `now`.
  std::vector<Grant> distribute(Instant now);

  bool is_wanted() const;
  /// When there will be a token.
  Instant next() const { return when(1); }
  /// When nothing is left of what was handed out: then the book may as well be thrown away.
  Instant full() const { return when(kept_most(rate_)); }

 private:
  void fill(Instant now);
  Instant when(double tokens) const;

  std::vector<std::uint64_t> wanted_;
  config::Rate rate_;
  double tokens_ = 1;
  Instant filled_;
  std::size_t next_ = 0;
};

}  // namespace ringpost::policy
