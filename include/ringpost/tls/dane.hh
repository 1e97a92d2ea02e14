// DANE: what a peer's certificates are worth by the TLSA records of its host (RFC 6698, RFC 7671, RFC 7672 section 3).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/tls/channel.hh"

namespace ringpost::tls {

/// A TLSA record whose DNS answer is proven.
struct Association {
  std::uint8_t usage = 0, selector = 0, matching = 0;
  std::vector<std::byte> data;
  friend bool operator==(const Association&, const Association&) = default;
};

inline constexpr std::uint8_t kTrustAnchor = 2, kEndEntity = 3;  ///< usages: DANE-TA, DANE-EE

/// May a client of SMTP decide by it? Usages 0 and 1 are unusable (RFC 7672 section 3.1.3), as is what is not known here, or malformed.
bool is_usable(const Association& record);

/// What `chain` is worth by `records`; unusable ones do not count, and of digests of the same thing only the strongest do (RFC 7671
/// section 9). One usable record that holds is enough.
///
/// Usage 3: a match of the peer's own certificate or key is all; names and dates do not matter.
/// Usage 2: a match of an authority's certificate or key above it, sent along or (matching type 0) contained in the record; the path up
///          to that must hold, and one of `names` must be in the peer's certificate.
/// Answers: ok; none, unreadable; no_tlsa_match; and what is wrong with the path to an authority that does match.
PeerVerdict judge_dane(PeerChain chain, std::span<const Association> records, std::span<const std::string_view> names,
                       crypto::LibraryWorld& world);

/// judge_dane as the last word of a handshake. Views: all outlives it.
class DaneJudge final : public PeerJudge {
 public:
  DaneJudge(std::span<const Association> records, std::span<const std::string_view> names, crypto::LibraryWorld& world)
      : records_(records), names_(names), world_(world) {}
  PeerVerdict judge(PeerChain chain, PeerVerdict) override { return judge_dane(chain, records_, names_, world_); }

 private:
  std::span<const Association> records_;
  std::span<const std::string_view> names_;
  crypto::LibraryWorld& world_;
};

}  // namespace ringpost::tls
