// How a sink misbehaves, on request.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ringpost/base/prng.hh"
#include "ringpost/base/units.hh"

namespace ringpost::bench {

enum class Stage : std::uint8_t {
  connect,  ///< instead of the greeting
  tls,      ///< STARTTLS: no TLS; drop: no handshake, also where no STARTTLS is needed
  mail,
  rcpt,
  data,     ///< DATA, and the first BDAT of a message
  content,  ///< drop only: in the middle of the message
  end,      ///< after the last byte of the message, which is not kept
  reply,    ///< drop only: the message is kept and in the ledger, its 250 never leaves
};
inline constexpr std::size_t kStages = 8;
std::string_view stage_name(Stage stage);

enum class Fault : std::uint8_t { none, tempfail, permfail, drop };

/// Which faults happen how often.
class FaultPlan {
 public:
  /// Items separated by commas: ACTION@STAGE[=RATE] with tempfail, permfail or drop and a rate of 0..1 (1 when left out);
  /// slow=TIME, a delay before each reply; greylist=TIME, 451 to sender and recipient until so long after their first try.
  /// TIME is a number with ms or s. Errors: what is wrong, in words.
  static std::expected<FaultPlan, std::string> parse(std::string_view text);

  Fault draw(Stage stage, Prng& prng) const;
  Duration slow() const { return slow_; }
  Duration greylist() const { return greylist_; }

 private:
  struct Rates {
    double tempfail = 0, permfail = 0, drop = 0;
  };
  std::array<Rates, kStages> rates_{};
  bool any_ = false;
  Duration slow_{}, greylist_{};
};

/// Remembers when a pair of sender and recipient was first seen, up to a bound; behind it nobody new is delayed. Any thread.
class Greylist {
 public:
  /// True when this pair has waited `delay` already.
  bool passes(std::string_view sender, std::string_view recipient, Duration delay, Instant now);

 private:
  static constexpr std::size_t kPairsMax = 1'000'000;
  std::mutex mutex_;
  std::unordered_map<std::string, Instant> first_seen_;
};

}  // namespace ringpost::bench
