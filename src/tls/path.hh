// A peer's chain as a path from its own certificate up to an anchor: finding it, and having wolfSSL verify it.
#pragma once

#include <expected>
#include <span>
#include <string_view>

#include "ringpost/tls/trust.hh"
#include "tls/parsed.hh"

namespace ringpost::tls {

/// A certificate of a chain.
struct Step {
  std::size_t index;
  Parsed parsed;
};
/// The certificate in `chain` that issued `top`, which is the last one of `path`; none that the path holds already.
/// Errors: unknown_issuer: there is none, or the path is too long. bad_chain: it may not issue that. weak.
std::expected<Step, PeerVerdict> issuer_of(PeerChain chain, std::span<const std::size_t> path, const Parsed& top);

/// What the certificates of `path` (places in `chain`, the peer's own first) are worth when `anchors` (DER) are believed, one of which
/// issued the last of them. Signatures, dates, what each may issue. An empty path is worth as much as the anchors. With `revocations`
/// (CRLs, DER) each certificate of the path must be covered by a good one of its issuer's, and not be in it.
///
/// The anchors live in a manager of their own: what one peer sends never becomes trusted for another.
PeerVerdict verify_path(std::span<const Bytes> anchors, PeerChain chain, std::span<const std::size_t> path,
                        std::span<const std::vector<std::byte>> revocations = {}, Unlisted unlisted = Unlisted::refused);

/// One of `names` is in the certificate; without names anything will do.
bool is_for(const Parsed& own, std::span<const std::string_view> names);
PeerVerdict by_time(const Parsed& own, WallTime now);

}  // namespace ringpost::tls
