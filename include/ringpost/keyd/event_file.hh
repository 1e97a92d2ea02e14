// Key events that auditd has not acknowledged yet, as the file keys.directory/events. Format: docs/formats/key-events.md.
// Sans-I/O.
#pragma once

#include <cstdint>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/sealed.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/event/codec.hh"

namespace ringpost::keyd {

/// An event on its way to auditd.
struct PendingEvent {
  IncarnationId incarnation;
  std::uint64_t sequence = 0;
  std::vector<std::byte> encoded;  ///< event::encode
};

inline constexpr std::uint16_t kEventFileVersion = 1;
inline constexpr std::size_t kEventFileHeaderBytes = 48;
/// Events of one file; a keyd without auditd drops what goes beyond, and auditd sees the gap.
inline constexpr std::size_t kPendingEventsMax = 10'000;
inline constexpr std::size_t kEventFileBytesMax =
    kEventFileHeaderBytes + kPendingEventsMax * (2 + event::kEventBytesMax) + crypto::kTagBytes;

/// The key of the file, out of the key-encryption key.
Key256 event_file_key(const Key256& kek);

/// Seals `events` (at most kPendingEventsMax) into `out`, which is resized. `random_nonce` is fresh from Ring::random for each
/// call.
SealedBytes seal_events(const std::vector<PendingEvent>& events, const Key256& key, const crypto::Nonce& random_nonce,
                        std::vector<std::byte>& out);

/// Errors: corrupt: not a whole file under this key; unsupported: of a later version.
Result<std::vector<PendingEvent>> open_events(Bytes file, const Key256& key);

}  // namespace ringpost::keyd
