#include "ringpost/tls/trust.hh"

#include <algorithm>

#include "tls/library.hh"
#include "tls/parsed.hh"
#include "tls/pem.hh"

namespace ringpost::tls {

namespace {

// Longer chains lead nowhere.
constexpr std::size_t kChainMax = 8;

PeerVerdict verdict_of(int error) {
  switch (error) {
    case WOLFSSL_SUCCESS: return PeerVerdict::ok;
    case ASN_BEFORE_DATE_E: return PeerVerdict::not_yet_valid;
    case ASN_AFTER_DATE_E: return PeerVerdict::expired;
    case ASN_NO_SIGNER_E: return PeerVerdict::unknown_issuer;
    case ASN_PARSE_E:
    case BUFFER_E: return PeerVerdict::unreadable;
    default: return PeerVerdict::bad_chain;
  }
}

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

int load(WOLFSSL_CERT_MANAGER* manager, Bytes der) {
  return wolfSSL_CertManagerLoadCABuffer(manager, raw(der), static_cast<long>(der.size()), WOLFSSL_FILETYPE_ASN1);
}

int verify(WOLFSSL_CERT_MANAGER* manager, Bytes der) {
  return wolfSSL_CertManagerVerifyBuffer(manager, raw(der), static_cast<long>(der.size()), WOLFSSL_FILETYPE_ASN1);
}

bool is_for(const Parsed& own, std::span<const std::string_view> names) {
  if (names.empty()) return true;
  return std::ranges::any_of(own.hosts, [&](const std::string& pattern) {
    return std::ranges::any_of(names, [&](std::string_view name) { return stands_for(pattern, name); });
  });
}

PeerVerdict by_time(const Parsed& own, WallTime now) {
  if (now < own.not_before) return PeerVerdict::not_yet_valid;
  return now >= own.not_after ? PeerVerdict::expired : PeerVerdict::ok;
}

}  // namespace

struct TrustStore::Root {
  NameHash subject;
  std::vector<std::byte> der;
};

TrustStore::TrustStore() = default;
TrustStore::TrustStore(TrustStore&&) noexcept = default;
TrustStore& TrustStore::operator=(TrustStore&&) noexcept = default;
TrustStore::~TrustStore() = default;

std::size_t TrustStore::roots() const { return roots_.size(); }

std::string_view verdict_name(PeerVerdict verdict) {
  switch (verdict) {
    case PeerVerdict::none: return "none";
    case PeerVerdict::unreadable: return "unreadable";
    case PeerVerdict::self_signed: return "self_signed";
    case PeerVerdict::unknown_issuer: return "unknown_issuer";
    case PeerVerdict::bad_chain: return "bad_chain";
    case PeerVerdict::not_yet_valid: return "not_yet_valid";
    case PeerVerdict::expired: return "expired";
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
    store.roots_.push_back({parsed->subject, std::move(*der)});
  }
  if (store.roots_.empty()) return std::unexpected("holds no usable certificate in PEM");
  std::ranges::sort(store.roots_, {}, &Root::subject);
  return store;
}

// From the peer's certificate up: whose issuer is a root, the path is whole. Then wolfSSL verifies it from the root down, in a
// manager of its own: what one peer sends never becomes trusted for another.
PeerVerdict TrustStore::judge(PeerChain chain, std::span<const std::string_view> names, crypto::LibraryWorld& world) const {
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
      std::size_t next = 1;
      std::optional<Parsed> found;
      for (; next < chain.size() && path.size() < kChainMax; ++next) {
        if (std::ranges::find(path, next) != path.end()) continue;
        found = parse_der(chain[next]);
        if (found && found->subject == top.issuer) break;
        found.reset();
      }
      if (!found) return PeerVerdict::unknown_issuer;
      // wolfSSL takes whatever is loaded for an authority: whether it is one is looked at here.
      if (!found->may_issue || found->authorities_below.value_or(kChainMax) < path.size() - 1) return PeerVerdict::bad_chain;
      path.push_back(next);
      top = std::move(*found);
      roots = std::ranges::equal_range(roots_, top.issuer, {}, &Root::subject);
    }
    const ManagerPtr manager{wolfSSL_CertManagerNew()};
    RP_ASSERT(manager);
    int loaded = 0;
    for (const Root& root : roots)
      if (const int result = load(manager.get(), root.der); loaded != WOLFSSL_SUCCESS) loaded = result;
    if (loaded != WOLFSSL_SUCCESS) return verdict_of(loaded);
    for (auto at = path.rbegin(); at != path.rend() && verdict == PeerVerdict::ok; ++at) {
      verdict = verdict_of(verify(manager.get(), chain[*at]));
      if (verdict == PeerVerdict::ok && *at != 0) verdict = verdict_of(load(manager.get(), chain[*at]));
    }
  }
  if (verdict == PeerVerdict::ok && !own->may_serve) return PeerVerdict::bad_chain;
  if (verdict == PeerVerdict::ok && !is_for(*own, names)) return PeerVerdict::wrong_name;
  return verdict;
}

}  // namespace ringpost::tls
