// Every nonce of the mail path, by construction. A domain byte keeps the uses of one key apart; the number behind it is
// used once by whoever holds the key (MessageSealer counts chunks, a log counts the records of a generation).
#pragma once

#include "ringpost/crypto/aead.hh"

namespace ringpost::crypto {

/// First byte of a nonce and of the associated data: what is sealed. Part of the format.
enum class Domain : std::uint8_t {
  body = 1,      ///< a piece of a message's content, under its message key
  envelope = 2,  ///< a message's envelope, under its message key
  metadata = 3,  ///< the last section of a record, under its generation's metadata key
};

/// [domain][1: last piece][0 0][index, 8 bytes]
inline Nonce body_nonce(std::uint64_t index, bool final) {
  Nonce nonce{};
  nonce[0] = static_cast<std::byte>(Domain::body);
  nonce[1] = static_cast<std::byte>(final);
  store_le(nonce.data() + 4, index);
  return nonce;
}
/// [domain][0 ...]: a message has one envelope.
inline Nonce envelope_nonce() { return Nonce{static_cast<std::byte>(Domain::envelope)}; }
/// [domain][0 0 0][sequence, 8 bytes]: a generation's records are numbered.
inline Nonce metadata_nonce(std::uint64_t sequence) {
  Nonce nonce{static_cast<std::byte>(Domain::metadata)};
  store_le(nonce.data() + 4, sequence);
  return nonce;
}

}  // namespace ringpost::crypto
