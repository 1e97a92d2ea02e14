#include "ringpost/tls/trust.hh"

#include <algorithm>

#include "tls/der.hh"
#include "tls/library.hh"
#include "tls/parsed.hh"
#include "tls/path.hh"
#include "tls/pem.hh"
#include "tls/signature.hh"

namespace ringpost::tls {

struct TrustStore::Root {
  NameHash subject;
  bool may_issue;
  std::vector<std::byte> der;
};

TrustStore::TrustStore() = default;
TrustStore::TrustStore(TrustStore&&) noexcept = default;
TrustStore& TrustStore::operator=(TrustStore&&) noexcept = default;
TrustStore::~TrustStore() = default;

std::size_t TrustStore::roots() const { return roots_.size(); }

Literal log_name(PeerVerdict verdict) {
  switch (verdict) {
    case PeerVerdict::none: return "none";
    case PeerVerdict::unreadable: return "unreadable";
    case PeerVerdict::self_signed: return "self_signed";
    case PeerVerdict::unknown_issuer: return "unknown_issuer";
    case PeerVerdict::no_tlsa_match: return "no_tlsa_match";
    case PeerVerdict::bad_chain: return "bad_chain";
    case PeerVerdict::weak: return "weak";
    case PeerVerdict::not_yet_valid: return "not_yet_valid";
    case PeerVerdict::expired: return "expired";
    case PeerVerdict::revoked: return "revoked";
    case PeerVerdict::no_revocation_list: return "no_revocation_list";
    case PeerVerdict::wrong_name: return "wrong_name";
    case PeerVerdict::ok: return "ok";
  }
  return "unknown";
}

std::expected<TrustStore, std::string> TrustStore::read(Bytes pem, crypto::LibraryWorld& world) {
  const crypto::LibraryCalls calls{world};
  start_library();
  const auto blocks = pem_blocks(as_text(pem));
  if (!blocks) return std::unexpected("a PEM block does not end");
  TrustStore store;
  for (const PemBlock& block : *blocks) {
    if (block.label != "CERTIFICATE" && block.label != "TRUSTED CERTIFICATE") continue;
    auto der = pem_bytes(block);
    const auto parsed = der ? parse_der(*der) : std::nullopt;
    if (!parsed) {
      ++store.unreadable_;
      continue;
    }
    store.roots_.push_back({parsed->subject, parsed->may_issue, std::move(*der)});
  }
  if (store.roots_.empty()) return std::unexpected("holds no usable certificate in PEM");
  std::ranges::sort(store.roots_, {}, &Root::subject);
  return store;
}

std::expected<void, std::string> TrustStore::revoke_by(Bytes pem, Unlisted unlisted) {
  unlisted_ = unlisted;
  const auto blocks = pem_blocks(as_text(pem));
  if (!blocks) return std::unexpected("a PEM block does not end");
  for (const PemBlock& block : *blocks) {
    if (block.label != "X509 CRL") continue;
    auto der = pem_bytes(block);
    if (!der || !is_sequence(*der)) return std::unexpected("holds a revocation list that cannot be read");
    revocations_.push_back(std::move(*der));
  }
  if (revocations_.empty()) return std::unexpected("holds no revocation list in PEM");
  return {};
}

// From the peer's certificate up: whose issuer is a root, the path is whole.
PeerVerdict TrustStore::judge(PeerChain chain, std::span<const std::string_view> names, crypto::LibraryWorld& world, PeerRole role) const {
  if (chain.empty()) return PeerVerdict::none;
  const crypto::LibraryCalls calls{world};
  start_library();
  const auto own = parse_der(chain[0]);
  if (!own) return PeerVerdict::unreadable;

  PeerVerdict verdict = PeerVerdict::ok;
  const bool is_root = std::ranges::any_of(roots_, [&](const Root& root) { return std::ranges::equal(root.der, chain[0]); });
  if (is_root) {
    verdict = by_time(*own, world.wall_now());
  } else {
    std::vector<std::size_t> path{0};
    Parsed top = *own;
    auto roots = std::ranges::equal_range(roots_, top.issuer, {}, &Root::subject);
    while (roots.empty()) {
      if (top.self_signed) return path.size() == 1 ? PeerVerdict::self_signed : PeerVerdict::unknown_issuer;
      auto step = issuer_of(chain, path, top);
      if (!step) return step.error();
      path.push_back(step->index);
      top = std::move(step->parsed);
      roots = std::ranges::equal_range(roots_, top.issuer, {}, &Root::subject);
    }
    if (is_weak(chain[0])) return PeerVerdict::weak;
    std::vector<Bytes> anchors;
    for (const Root& root : roots)
      if (role == PeerRole::server || root.may_issue) anchors.push_back(root.der);
    if (anchors.empty()) return PeerVerdict::bad_chain;
    verdict = verify_path(anchors, chain, path, revocations_, unlisted_);
  }
  if (verdict == PeerVerdict::ok && !(role == PeerRole::server ? own->may_serve : own->may_ask)) return PeerVerdict::bad_chain;
  if (verdict == PeerVerdict::ok && !is_for(*own, names)) return PeerVerdict::wrong_name;
  return verdict;
}

}  // namespace ringpost::tls
