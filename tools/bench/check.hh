// Compares what was acknowledged with what arrived.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/ledger.hh"

namespace ringpost::bench {

struct CheckReport {
  std::uint64_t sent = 0;             ///< messages that got 250
  std::uint64_t received = 0;         ///< lines of the other side that bear a token
  std::uint64_t lost = 0;             ///< sent, never arrived
  std::uint64_t changed = 0;          ///< sent, and some copy differs in hash or size
  std::uint64_t partial = 0;          ///< arrived unchanged, but for fewer recipients than got 250
  std::uint64_t duplicates = 0;       ///< unchanged copies beyond what the recipients explain
  std::uint64_t extra = 0;            ///< tokens that arrived without a 250: allowed after a crash
  std::uint64_t untagged = 0;         ///< lines without a token
  std::uint64_t torn = 0;             ///< last lines that a crash cut short, passed over
  std::uint64_t malformed = 0;        ///< other lines that are no ledger's
  std::uint64_t repeated = 0;         ///< tokens that stand twice among the sent: two runs had one name
  std::vector<std::string> examples;  ///< what is wrong with the first few

  bool good() const { return lost == 0 && changed == 0 && partial == 0; }
  bool readable() const { return malformed == 0 && repeated == 0; }
};

/// Feed the sent lines first, then the received ones; each `text` is a whole ledger.
class Checker {
 public:
  void add_sent(std::string_view text);
  void add_received(std::string_view text);
  CheckReport report() const;

 private:
  struct Sent {
    std::uint64_t size = 0;
    ContentHash hash;
    std::uint32_t recipients = 0;
    std::uint32_t copies = 0, changed = 0;
    std::uint64_t recipients_reached = 0;
  };
  template <typename Take>
  void each_line(std::string_view text, Take take);

  std::unordered_map<std::string, Sent> sent_;
  std::unordered_map<std::string, std::uint32_t> extra_;
  CheckReport counted_;
};

}  // namespace ringpost::bench
