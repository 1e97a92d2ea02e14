// Opens messages of a partition: key, envelope, content, and the next hops' words about them.
#pragma once

#include <optional>
#include <vector>

#include "ledger.hh"
#include "ringpost/crypto/message_key.hh"
#include "ringpost/rescue/finding.hh"
#include "ringpost/rescue/keys.hh"
#include "ringpost/spool/inspection.hh"

namespace ringpost::rescue {

/// One copy of a message to be looked at.
struct Candidate {
  MessageId id;
  spool::Position place;
  const Known* known = nullptr;
  bool is_newest = true;  ///< of its copies: else its chunks may be gone
};

/// Is told of each candidate, in the order given.
class Verdicts {
 public:
  virtual ~Verdicts() = default;
  /// `fault`: what is wrong with it; nothing: all of it is good. `record`: as it lies there, empty when it cannot be read;
  /// `scheduling`: what it says. Views last until completion.
  virtual runtime::Task<Result<>> judged(const Candidate& candidate, std::optional<FindingKind> fault, Bytes record,
                                         const spool::Scheduling& scheduling) = 0;
  /// A next hop's words about it are not good; what became of it is.
  virtual void words_damaged(const Candidate& candidate, const spool::Position& outcome) = 0;
};

class Examiner {
 public:
  Examiner(spool::Inspection& inspection, KeySource& keys) : inspection_(inspection), keys_(keys) {}
  /// Errors: of the keys, and the verdicts' own.
  runtime::Task<Result<>> run(const std::vector<Candidate>& candidates, Verdicts& verdicts);

 private:
  struct Loaded {
    const Candidate* candidate;
    std::vector<std::byte> record;  // empty: it cannot be read
    spool::Scheduling scheduling;
    spool::Arrays arrays;
    std::optional<FindingKind> fault;
    std::uint32_t first_item = 0, items = 0;  // its wrapped keys among those asked for
    std::optional<Key256> key;
  };
  runtime::Task<void> load(Loaded& loaded);
  runtime::Task<Result<>> unlock(std::vector<Loaded>& batch);
  runtime::Task<Result<>> judge(std::vector<Loaded>& batch, Verdicts& verdicts);
  runtime::Task<std::optional<FindingKind>> open(Loaded& loaded, Verdicts& verdicts);
  runtime::Task<std::optional<FindingKind>> open_pieces(Loaded& loaded, const crypto::RecordView& record,
                                                        const crypto::MessageOpener& opener);
  runtime::Task<void> open_words(Loaded& loaded, const crypto::MessageOpener& opener, Verdicts& verdicts);

  spool::Inspection& inspection_;
  KeySource& keys_;
  spool::RecordWindow records_, pieces_, words_;
  std::vector<std::byte> plaintext_;
  spool::Arrays arrays_;
};

}  // namespace ringpost::rescue
