#include "ringpost/tls/tickets.hh"

#include <algorithm>
#include <vector>

#include "ringpost/crypto/aead.hh"
#include "ringpost/crypto/hash.hh"

namespace ringpost::tls {

namespace {

constexpr std::size_t kNumberAt = crypto::kNonceBytes;

}  // namespace

TicketKeys::TicketKeys(const TicketRoot& root, std::string_view role, Duration period)
    : secret_(crypto::derive_key(root.secret, {}, "session tickets", {as_bytes(role)})),
      current_(key_of(secret_)),
      next_(root.born + period),
      period_(period) {
  RP_ASSERT(period > Duration::zero());
}

Key256 TicketKeys::key_of(const Key256& secret) { return crypto::derive_key(secret.view(), {}, "ticket key", {}); }

void TicketKeys::advance(Instant now) {
  while (now >= next_) {
    secret_ = crypto::derive_key(secret_.view(), {}, "next period", {});
    previous_ = std::exchange(current_, key_of(secret_));
    has_previous_ = true;
    ++number_;
    next_ += period_;
  }
}

TicketKeys::Sealed TicketKeys::seal(MutableBytes ticket, Bytes purpose, Bytes nonce, Instant now) {
  advance(now);
  Sealed with;
  crypto::Nonce number;
  RP_ASSERT(nonce.size() == number.size());
  std::ranges::copy(nonce, number.begin());
  std::ranges::copy(nonce, with.iv.begin());
  store_le(with.iv.data() + kNumberAt, number_);
  std::vector<std::byte> sealed(ticket.size() + crypto::kTagBytes);
  crypto::AeadKey{current_.view()}.seal(number, purpose, ticket, sealed);
  copy_bytes(ticket, Bytes{sealed}.first(ticket.size()));
  copy_bytes(with.tag, Bytes{sealed}.last(crypto::kTagBytes));
  return with;
}

TicketKeys::Opened TicketKeys::open(MutableBytes ticket, Bytes purpose, const Sealed& with, Instant now) {
  advance(now);
  const auto number = load_le<std::uint32_t>(with.iv.data() + kNumberAt);
  const bool current = number == number_, previous = has_previous_ && number == number_ - 1;
  if (!current && !previous) return Opened::no;
  crypto::Nonce nonce;
  std::copy_n(with.iv.begin(), nonce.size(), nonce.begin());
  std::vector<std::byte> sealed(ticket.begin(), ticket.end());
  sealed.insert(sealed.end(), with.tag.begin(), with.tag.end());
  if (!crypto::AeadKey{current ? current_.view() : previous_.view()}.open(nonce, purpose, sealed, ticket)) return Opened::no;
  return current ? Opened::current : Opened::previous;
}

}  // namespace ringpost::tls
