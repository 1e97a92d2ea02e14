// Permits of one shard: what it may hold of each destination, and the books of the destinations it is home to.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "ringpost/deliver/deliverer.hh"
#include "ringpost/policy/permits.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/shard/mesh.hh"
#include "shard/token_desk.hh"

namespace ringpost::shard {

/// A *line* is what a shard was granted and gave back of one destination, as sums. It begins with the first wish and ends with
/// forget(); the next one has a higher number. A book lives as long as some shard holds or wants a permit.
class PermitDesk final : public deliver::Permits {
 public:
  PermitDesk(runtime::Ring& ring, MeshBox& mesh)
      : ring_(ring),
        mesh_(mesh),
        tokens_(ring, mesh.shards(), [this](std::size_t shard, const MeshMessage& message) { send(shard, message); }),
        scope_(ring) {}

  void set_deliverer(deliver::Deliverer& deliverer) {
    deliverer_ = &deliverer;
    tokens_.set_deliverer(deliverer);
  }

  void want(std::uint64_t destination, std::uint32_t connections, std::uint32_t limit) override;
  std::uint32_t held(std::uint64_t destination) const override;
  void release_one(std::uint64_t destination) override;
  bool contended(std::uint64_t destination) const override;
  void forget(std::uint64_t destination) override;
  bool take_token(std::uint64_t destination, const config::Rate& rate, std::size_t waiting) override {
    return tokens_.take_token(destination, rate, waiting);
  }
  void forget_tokens(std::uint64_t destination) override { tokens_.forget(destination); }

  /// A message of another shard (or of this one) about permits or tokens.
  void take(std::size_t from, const MeshMessage& message);
  /// Await before it dies.
  runtime::Task<void> stop();
  std::size_t lines() const { return lines_.size(); }
  std::size_t books() const { return homes_.size(); }
  const TokenDesk& tokens() const { return tokens_; }

 private:
  struct Line {
    std::uint64_t number = 0;
    std::uint32_t wanted = 0, limit = 0;
    std::uint64_t granted = 0, returned = 0;  // sums
    bool contended = false;
    std::uint32_t held() const { return static_cast<std::uint32_t>(granted - returned); }
  };
  /// What a home knows of one shard's line.
  struct Peer {
    std::uint64_t line = 0;
    std::uint64_t granted = 0, returned = 0;
    bool wants = false;
  };
  struct Home {
    Home(std::size_t shards, std::uint32_t limit) : book(shards, limit), peers(shards) {}
    policy::PermitBook book;
    std::vector<Peer> peers;
    bool was_contended = false;
  };
  void tell_home(std::uint64_t destination, const Line& line);
  void take_wish(std::size_t from, const MeshMessage& message);
  void take_grant(const MeshMessage& message);
  void send(std::size_t shard, const MeshMessage& message);
  runtime::Task<void> send_again();
  void send_grant(std::size_t shard, std::uint64_t destination, const Home& home);

  runtime::Ring& ring_;
  MeshBox& mesh_;
  deliver::Deliverer* deliverer_ = nullptr;
  std::unordered_map<std::uint64_t, Line> lines_;
  std::uint64_t lines_begun_ = 0;
  std::unordered_map<std::uint64_t, Home> homes_;
  TokenDesk tokens_;

  using Recipient = std::tuple<std::size_t, MeshMessage::Kind, std::uint64_t>;  // shard, what about, destination
  std::map<Recipient, MeshMessage> unsent_;  // a peer was behind; a newer message takes an older one's place
  runtime::Scope scope_;
  bool stopping_ = false;
};

}  // namespace ringpost::shard
