// Whom we believe: roots, and what a peer's chain is worth by them.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/log.hh"
#include "ringpost/crypto/library.hh"

namespace ringpost::tls {

/// What a peer's certificate is worth. The first that applies, in this order.
enum class PeerVerdict : std::uint8_t {
  none,            ///< it showed none
  unreadable,      ///< a certificate that matters is no X.509
  self_signed,     ///< by itself alone
  unknown_issuer,  ///< the chain leads to no root of ours
  no_tlsa_match,   ///< DANE: no TLSA record is about it
  bad_chain,       ///< a signature is wrong, or a certificate may not issue what it issued
  weak,  ///< a certificate on the way is signed over SHA-1 or MD5, or has a key of fewer than 2048 (RSA) or 256 bits
  not_yet_valid,
  expired,
  revoked,
  no_revocation_list,  ///< whether it is revoked cannot be known: an issuer's list is missing, too old or not its own
  wrong_name,  ///< good, but for somebody else
  ok,
};
Literal log_name(PeerVerdict verdict);
inline std::string_view verdict_name(PeerVerdict verdict) { return log_name(verdict).text(); }

/// The certificates a peer sent, DER, its own first. Views for the time of a call.
using PeerChain = std::span<const Bytes>;

/// What a peer shows its certificate for.
enum class PeerRole : std::uint8_t { server, client };

/// What it means for a certificate that its issuer has no revocation list here.
enum class Unlisted : std::uint8_t { refused, believed };

/// Roots that certificates may lead to. Immutable; shards may share one.
class TrustStore {
 public:
  /// Trusts nobody.
  TrustStore();
  /// Of a PEM file with as many certificates as you like; those that cannot be read are counted and left out.
  /// Errors: text for the operator; there is not one usable certificate in it.
  static std::expected<TrustStore, std::string> read(Bytes pem, crypto::LibraryWorld& world);
  /// From here on, whatever leads to a root must be covered by revocation lists (CRLs, RFC 5280 section 5) of a PEM file, which are to
  /// come from each authority on the way; with Unlisted::believed from those alone that have one there, unless a list is too old.
  /// Errors: text for the operator; there is not one list in it, or one that cannot be read.
  std::expected<void, std::string> revoke_by(Bytes pem, Unlisted unlisted = Unlisted::refused);
  TrustStore(TrustStore&&) noexcept;
  TrustStore& operator=(TrustStore&&) noexcept;
  ~TrustStore();

  std::size_t roots() const;
  std::size_t unreadable() const { return unreadable_; }

  /// Pure: the same chain at the same time is worth the same. `names`: one of them must be in the certificate (as a DNS name of
  /// subjectAltName; the common name does not count); none: whose it is does not matter.
  /// A client's own certificate may be a root, which then is no authority for others.
  /// Source: RFC 5280 section 6, by wolfSSL; RFC 6125.
  PeerVerdict judge(PeerChain chain, std::span<const std::string_view> names, crypto::LibraryWorld& world,
                    PeerRole role = PeerRole::server) const;

 private:
  struct Root;
  std::vector<Root> roots_;
  std::vector<std::vector<std::byte>> revocations_;
  Unlisted unlisted_ = Unlisted::refused;
  std::size_t unreadable_ = 0;
};

}  // namespace ringpost::tls
