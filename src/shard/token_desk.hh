// Tokens of one shard: what it may send to destinations that have a rate, and the books of those it is home to.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "ringpost/deliver/deliverer.hh"
#include "ringpost/policy/rates.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/shard/mesh.hh"

namespace ringpost::shard {

/// A *purse* is what a shard was granted and used of one destination, as sums, so that a message that is lost is made up for by the
/// next. It begins with the first wish and ends with forget(); the next one has a higher number.
///
/// Bound: a shard asks for what a tenth of a second brings at most, and a token that it does not use in a second (or in the time in
/// which one comes) is void. So over any time all shards together send no more than the rate and about a second's worth.
class TokenDesk {
 public:
  using Send = std::function<void(std::size_t shard, const MeshMessage&)>;
  /// `send` may call take() at once, for messages to ourselves.
  TokenDesk(runtime::Ring& ring, std::size_t shards, Send send) : ring_(ring), shards_(shards), send_(std::move(send)), scope_(ring), stop_(ring) {}

  void set_deliverer(deliver::Deliverer& deliverer) { deliverer_ = &deliverer; }
  /// As deliver::Permits.
  bool take_token(std::uint64_t destination, const config::Rate& rate, std::size_t waiting);
  void forget(std::uint64_t destination);

  /// A message of another shard (or of this one) about tokens.
  void take(std::size_t from, const MeshMessage& message);
  /// Await before it dies.
  runtime::Task<void> stop();
  std::size_t purses() const { return purses_.size(); }
  std::size_t books() const { return homes_.size(); }

 private:
  struct Purse {
    std::uint64_t number = 0;
    std::uint64_t wanted = 0, granted = 0, used = 0;  // sums
    config::Rate rate;
    Instant until{};  // what was granted is void then
  };
  /// What a home knows of one shard's purse.
  struct Peer {
    std::uint64_t number = 0, granted = 0;
  };
  struct Home {
    policy::RateBook book;
    std::vector<Peer> peers;
  };
  bool use_one(Purse& purse);
  void ask(std::uint64_t destination, Purse& purse, std::uint64_t more);
  void take_wish(std::size_t from, const MeshMessage& message);
  void take_grant(const MeshMessage& message);
  void give(std::uint64_t destination);
  runtime::Task<void> keep_giving(std::uint64_t destination);

  runtime::Ring& ring_;
  std::size_t shards_;
  Send send_;
  deliver::Deliverer* deliverer_ = nullptr;
  std::unordered_map<std::uint64_t, Purse> purses_;
  std::uint64_t purses_begun_ = 0;
  std::unordered_map<std::uint64_t, Home> homes_;
  runtime::Scope scope_;
  runtime::Signal stop_;
  bool stopping_ = false;
};

}  // namespace ringpost::shard
