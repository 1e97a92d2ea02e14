#include "ringpost/tls/dane.hh"

#include <algorithm>
#include <optional>

#include "ringpost/crypto/hash.hh"
#include "tls/der.hh"
#include "tls/library.hh"
#include "tls/path.hh"
#include "tls/signature.hh"

namespace ringpost::tls {

namespace {

enum Selector : std::uint8_t { kCertificate = 0, kPublicKey = 1 };
enum Matching : std::uint8_t { kFull = 0, kSha256 = 1, kSha512 = 2 };

bool is_about(const Association& record, Bytes certificate) {
  const std::optional<Bytes> selected = record.selector == kCertificate ? certificate : public_key_info(certificate);
  if (!selected) return false;
  switch (record.matching) {
    case kFull: return std::ranges::equal(record.data, *selected);
    case kSha256: return std::ranges::equal(record.data, crypto::sha256({*selected}));
    case kSha512: return std::ranges::equal(record.data, crypto::sha512(*selected));
    default: return false;
  }
}

/// The usable ones of one usage, without digests that a stronger one of the same selector stands beside.
std::vector<const Association*> of_usage(std::uint8_t usage, std::span<const Association> records) {
  std::vector<const Association*> usable;
  for (const Association& record : records)
    if (record.usage == usage && is_usable(record)) usable.push_back(&record);
  const auto has_sha512 = [&](std::uint8_t selector) {
    return std::ranges::any_of(usable, [&](const Association* each) { return each->selector == selector && each->matching == kSha512; });
  };
  const bool stronger[] = {has_sha512(kCertificate), has_sha512(kPublicKey)};
  std::erase_if(usable, [&](const Association* each) { return each->matching == kSha256 && stronger[each->selector]; });
  return usable;
}

/// One climb from the peer's certificate to an authority that a record names.
class Climb {
 public:
  Climb(PeerChain chain, std::vector<const Association*> anchors, WallTime now) : chain_(chain), anchors_(std::move(anchors)), now_(now) {}

  PeerVerdict path_from(const Parsed& own) {
    Parsed top = own;
    for (;;) {
      if (const auto verdict = at_an_anchor_not_sent(top)) return *verdict;
      auto step = issuer_of(chain_, path_, top);
      if (!step) return step.error() == PeerVerdict::unknown_issuer ? PeerVerdict::no_tlsa_match : step.error();
      const Bytes certificate = chain_[step->index];
      if (std::ranges::any_of(anchors_, [&](const Association* each) { return is_about(*each, certificate); }))
        return verify_path({&certificate, 1}, chain_, path_);
      path_.push_back(step->index);
      top = std::move(step->parsed);
    }
  }

 private:
  // Matching type 0: what the record holds need not be sent.
  std::optional<PeerVerdict> at_an_anchor_not_sent(const Parsed& top) {
    for (const Association* each : anchors_) {
      if (each->matching != kFull) continue;
      if (each->selector == kCertificate) {
        const auto anchor = parse_der(each->data);
        if (!anchor || anchor->subject != top.issuer) continue;
        if (!anchor->may_issue) return PeerVerdict::bad_chain;
        const Bytes der = each->data;
        return verify_path({&der, 1}, chain_, path_);
      }
      const Bytes signed_one = chain_[path_.back()];
      if (!signed_by(each->data, signed_one)) continue;
      if (path_.size() == 1) return by_time(top, now_);
      return verify_path({&signed_one, 1}, chain_, std::span{path_}.first(path_.size() - 1));
    }
    return std::nullopt;
  }

  PeerChain chain_;
  std::vector<const Association*> anchors_;
  WallTime now_;
  std::vector<std::size_t> path_{0};
};

}  // namespace

bool is_usable(const Association& record) {
  if (record.usage != kTrustAnchor && record.usage != kEndEntity) return false;
  if (record.selector != kCertificate && record.selector != kPublicKey) return false;
  switch (record.matching) {
    case kFull: return record.selector == kCertificate ? public_key_info(record.data).has_value() : is_sequence(record.data);
    case kSha256: return record.data.size() == sizeof(crypto::Digest256);
    case kSha512: return record.data.size() == sizeof(crypto::Digest512);
    default: return false;
  }
}

PeerVerdict judge_dane(PeerChain chain, std::span<const Association> records, std::span<const std::string_view> names,
                       crypto::LibraryWorld& world) {
  if (chain.empty()) return PeerVerdict::none;
  for (const Association* each : of_usage(kEndEntity, records))
    if (is_about(*each, chain[0])) return PeerVerdict::ok;
  std::vector<const Association*> anchors = of_usage(kTrustAnchor, records);
  if (anchors.empty()) return PeerVerdict::no_tlsa_match;
  const crypto::LibraryCalls calls{world};
  start_library();
  const auto own = parse_der(chain[0]);
  if (!own) return PeerVerdict::unreadable;
  if (is_weak(chain[0])) return PeerVerdict::weak;
  const PeerVerdict verdict = Climb{chain, std::move(anchors), world.wall_now()}.path_from(*own);
  if (verdict == PeerVerdict::ok && !own->may_serve) return PeerVerdict::bad_chain;
  if (verdict == PeerVerdict::ok && !is_for(*own, names)) return PeerVerdict::wrong_name;
  return verdict;
}

}  // namespace ringpost::tls
