// What must hold whatever happened.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../scenario.hh"
#include "ledger.hh"
#include "operators.hh"
#include "ringpost/crypto/observer.hh"
#include "ringpost/sim/disk.hh"

namespace ringpost::sim::relay {

/// No (key, nonce) pair may seal twice.
class NonceOracle final : public crypto::SealObserver {
 public:
  NonceOracle() : before_(crypto::set_seal_observer(this)) {}
  NonceOracle(const NonceOracle&) = delete;
  ~NonceOracle() { crypto::set_seal_observer(before_); }
  void sealed(const crypto::Digest256& key, const crypto::Nonce& nonce) override {
    repeated_ += seen_.emplace(key, nonce).second ? 0 : 1;
  }
  std::uint64_t repeated() const { return repeated_; }

 private:
  crypto::SealObserver* before_;
  std::set<std::pair<crypto::Digest256, crypto::Nonce>> seen_;
  std::uint64_t repeated_ = 0;
};

/// When ringpostd died.
using Deaths = std::vector<Instant>;

/// Everything about mail: what got 250 arrived, what was refused did not, and nothing arrived twice without a reason.
void judge_mail(const Ledger& ledger, const Deaths& deaths, Findings& findings);
/// What an operator read to be held did not go out before its release was asked for, whatever died; but for what lay on its way on a
/// connection that is older than the hold.
void judge_holds(const Ledger& ledger, const Holds& holds, Findings& findings);
/// How often a next hop took a message for a recipient.
std::size_t count_arrivals(const Ledger& ledger);
/// True when the next hop took something on a connection made at `since` or later.
bool has_arrivals_since(const Ledger& ledger, Instant since);
/// auditd's journal tells of every accepted message once, of the end of each of its recipients once, and of no gap.
void judge_audit(const Ledger& ledger, const Disk& disk, Findings& findings);
/// No word of any message is or was on the disk.
void judge_disk(const Disk& disk, Findings& findings);

}  // namespace ringpost::sim::relay
