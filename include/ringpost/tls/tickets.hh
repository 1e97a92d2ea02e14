// Keys of session tickets: the same on every shard, and others every few hours.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ringpost/base/secret.hh"
#include "ringpost/base/units.hh"

namespace ringpost::tls {

/// Where all ticket keys of a process come from.
struct TicketRoot {
  Bytes secret;  ///< 32 bytes; a view, copied by who makes keys of it
  Instant born;  ///< when it was made
};

/// The ticket keys of one listener role. All shards begin with the same secret and so go through the same keys without a word
/// between them: each period's secret is derived from the one before, which is wiped. What is found in memory later opens no
/// ticket that was given out two periods ago.
///
/// A ticket: nonce (12 bytes) and period (4 bytes) in wolfSSL's field `iv`, ciphertext, AES-256-GCM's tag (16 bytes) in its
/// field `mac`. What the ticket is for (the certificate) is associated data: a ticket is good nowhere else.
class TicketKeys {
 public:
  /// `root`: the same on every shard. `role`: keeps the keys of listener roles apart.
  TicketKeys(const TicketRoot& root, std::string_view role, Duration period);

  struct Sealed {
    std::array<std::byte, 16> iv;
    std::array<std::byte, 16> tag;
  };
  /// Seals `ticket` in place with the key of now. `nonce`: 12 fresh random bytes.
  Sealed seal(MutableBytes ticket, Bytes purpose, Bytes nonce, Instant now);

  enum class Opened : std::uint8_t { no, current, previous };
  /// Opens `ticket` in place, by the key of now or the one before.
  Opened open(MutableBytes ticket, Bytes purpose, const Sealed& with, Instant now);

 private:
  void advance(Instant now);
  static Key256 key_of(const Key256& secret);

  Key256 secret_, current_, previous_;
  bool has_previous_ = false;
  std::uint32_t number_ = 0;
  Instant next_;
  Duration period_;
};

}  // namespace ringpost::tls
