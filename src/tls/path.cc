#include "tls/path.hh"

#include <algorithm>

#include "tls/library.hh"
#include "tls/signature.hh"

namespace ringpost::tls {

namespace {

// Longer chains lead nowhere.
constexpr std::size_t kChainMax = 8;

PeerVerdict verdict_of(int error) {
  switch (error) {
    case WOLFSSL_SUCCESS: return PeerVerdict::ok;
    case ASN_BEFORE_DATE_E: return PeerVerdict::not_yet_valid;
    case ASN_AFTER_DATE_E: return PeerVerdict::expired;
    case CRL_CERT_REVOKED: return PeerVerdict::revoked;
    case CRL_MISSING:
    case CRL_CERT_DATE_ERR:
    case ASN_CRL_CONFIRM_E:
    case ASN_CRL_NO_SIGNER_E: return PeerVerdict::no_revocation_list;
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

/// A list is loaded once its issuer is: only then can its signature be verified.
class RevocationLists {
 public:
  RevocationLists(WOLFSSL_CERT_MANAGER* manager, std::span<const std::vector<std::byte>> lists) : manager_(manager) {
    for (Bytes list : lists) waiting_.push_back(list);
    if (!waiting_.empty()) RP_ASSERT(wolfSSL_CertManagerEnableCRL(manager_, WOLFSSL_CRL_CHECKALL) == WOLFSSL_SUCCESS);
  }
  void load() {
    std::erase_if(waiting_, [&](Bytes list) {
      const int result = wolfSSL_CertManagerLoadCRLBuffer(manager_, raw(list), static_cast<long>(list.size()), WOLFSSL_FILETYPE_ASN1);
      too_old_ |= result == CRL_CERT_DATE_ERR || result == ASN_AFTER_DATE_E;
      return result == WOLFSSL_SUCCESS;
    });
  }
  /// One is out of date: nobody knows what stands in its successor.
  bool too_old() const { return too_old_; }

 private:
  WOLFSSL_CERT_MANAGER* manager_;
  std::vector<Bytes> waiting_;
  bool too_old_ = false;
};

}  // namespace

std::expected<Step, PeerVerdict> issuer_of(PeerChain chain, std::span<const std::size_t> path, const Parsed& top) {
  for (std::size_t next = 1; next < chain.size() && path.size() < kChainMax; ++next) {
    if (std::ranges::find(path, next) != path.end()) continue;
    std::optional<Parsed> found = parse_der(chain[next]);
    if (!found || found->subject != top.issuer) continue;
    // wolfSSL takes whatever is loaded for an authority: whether it is one is looked at here.
    if (!found->may_issue || found->authorities_below.value_or(kChainMax) < path.size() - 1) return std::unexpected(PeerVerdict::bad_chain);
    if (is_weak(chain[next])) return std::unexpected(PeerVerdict::weak);
    return Step{next, std::move(*found)};
  }
  return std::unexpected(PeerVerdict::unknown_issuer);
}

PeerVerdict verify_path(std::span<const Bytes> anchors, PeerChain chain, std::span<const std::size_t> path,
                        std::span<const std::vector<std::byte>> revocations, Unlisted unlisted) {
  const ManagerPtr manager{wolfSSL_CertManagerNew()};
  RP_ASSERT(manager);
  RevocationLists lists{manager.get(), revocations};
  int loaded = 0;
  for (Bytes anchor : anchors)
    if (const int result = load(manager.get(), anchor); loaded != WOLFSSL_SUCCESS) loaded = result;
  PeerVerdict verdict = verdict_of(loaded);
  lists.load();
  for (auto at = path.rbegin(); at != path.rend() && verdict == PeerVerdict::ok; ++at) {
    const int result = verify(manager.get(), chain[*at]);
    // Whether there is a list is asked last: all else is good then.
    if (result != CRL_MISSING || unlisted == Unlisted::refused || lists.too_old()) verdict = verdict_of(result);
    if (verdict == PeerVerdict::ok && *at != 0) verdict = verdict_of(load(manager.get(), chain[*at]));
    lists.load();
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
