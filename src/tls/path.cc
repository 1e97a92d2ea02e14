#include "tls/path.hh"

#include <algorithm>

#include "tls/library.hh"

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

}  // namespace

std::expected<Step, PeerVerdict> issuer_of(PeerChain chain, std::span<const std::size_t> path, const Parsed& top) {
  for (std::size_t next = 1; next < chain.size() && path.size() < kChainMax; ++next) {
    if (std::ranges::find(path, next) != path.end()) continue;
    std::optional<Parsed> found = parse_der(chain[next]);
    if (!found || found->subject != top.issuer) continue;
    // wolfSSL takes whatever is loaded for an authority: whether it is one is looked at here.
    if (!found->may_issue || found->authorities_below.value_or(kChainMax) < path.size() - 1) return std::unexpected(PeerVerdict::bad_chain);
    return Step{next, std::move(*found)};
  }
  return std::unexpected(PeerVerdict::unknown_issuer);
}

PeerVerdict verify_path(std::span<const Bytes> anchors, PeerChain chain, std::span<const std::size_t> path) {
  const ManagerPtr manager{wolfSSL_CertManagerNew()};
  RP_ASSERT(manager);
  int loaded = 0;
  for (Bytes anchor : anchors)
    if (const int result = load(manager.get(), anchor); loaded != WOLFSSL_SUCCESS) loaded = result;
  PeerVerdict verdict = verdict_of(loaded);
  for (auto at = path.rbegin(); at != path.rend() && verdict == PeerVerdict::ok; ++at) {
    verdict = verdict_of(verify(manager.get(), chain[*at]));
    if (verdict == PeerVerdict::ok && *at != 0) verdict = verdict_of(load(manager.get(), chain[*at]));
  }
  return verdict;
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

}  // namespace ringpost::tls
