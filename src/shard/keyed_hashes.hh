// What stands for addresses and domains where they must not: equal ones of one store give equal hashes.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "ringpost/config/domains.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/event/event.hh"
#include "ringpost/queue/message.hh"

namespace ringpost::shard {

/// Of an address, for audit; nothing for the null sender.
inline std::optional<event::AddressHash> address_hash(const Key256& key, std::string_view address) {
  if (address.empty()) return std::nullopt;
  return event::AddressHash{crypto::keyed_hash(key.view(), address)};
}

/// Of the reverse path, from what stands for it in the audit log; the null sender is one, too.
inline queue::Sender sender_of(const std::optional<event::AddressHash>& hash) {
  return hash ? std::max<queue::Sender>(load_le<queue::Sender>(hash->bytes.data()), 1) : queue::Sender{1};
}

/// Of the domain of a message's recipients, in any case; zero for none: then it is opened to be routed.
inline queue::Destination destination_hash(const Key256& key, std::string_view domain) {
  if (domain.empty()) return {};
  return crypto::keyed_hash(key.view(), config::LowerDomain{domain}.text());
}

}  // namespace ringpost::shard
