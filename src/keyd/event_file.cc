#include "ringpost/keyd/event_file.hh"

#include <algorithm>

#include "ringpost/base/assert.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/sealer.hh"

namespace ringpost::keyd {

namespace {

constexpr std::string_view kMagic = "RPKEVENT";
constexpr std::size_t kVersionAt = 8, kHeaderBytesAt = 10, kCountAt = 12, kPayloadBytesAt = 16, kNonceAt = 20, kZerosAt = 32;
constexpr std::size_t kLengthBytes = 2;

}  // namespace

Key256 event_file_key(const Key256& kek) { return crypto::derive_key(kek.view(), {}, "ringpost key events", {}); }

SealedBytes seal_events(const std::vector<PendingEvent>& events, const Key256& key, const crypto::Nonce& random_nonce,
                        std::vector<std::byte>& out) {
  RP_ASSERT(events.size() <= kPendingEventsMax);
  std::vector<std::byte> payload;
  for (const PendingEvent& event : events) {
    std::array<std::byte, kLengthBytes> length;
    store_le(length.data(), static_cast<std::uint16_t>(event.encoded.size()));
    payload.insert(payload.end(), length.begin(), length.end());
    payload.insert(payload.end(), event.encoded.begin(), event.encoded.end());
  }
  std::array<std::byte, kEventFileHeaderBytes> header{};
  copy_bytes(header, as_bytes(kMagic));
  store_le(header.data() + kVersionAt, kEventFileVersion);
  store_le(header.data() + kHeaderBytesAt, static_cast<std::uint16_t>(kEventFileHeaderBytes));
  store_le(header.data() + kCountAt, static_cast<std::uint32_t>(events.size()));
  store_le(header.data() + kPayloadBytesAt, static_cast<std::uint32_t>(payload.size()));
  copy_bytes(MutableBytes{header}.subspan(kNonceAt), random_nonce);
  out.resize(header.size() + payload.size() + crypto::kTagBytes);
  return crypto::Sealer::seal(crypto::AeadKey{key.view()}, random_nonce, header, payload, out);
}

Result<std::vector<PendingEvent>> open_events(Bytes file, const Key256& key) {
  const std::unexpected corrupt{Error{Errc::corrupt}};
  if (file.size() < kEventFileHeaderBytes || !std::ranges::equal(file.first(kMagic.size()), as_bytes(kMagic))) return corrupt;
  if (load_le<std::uint16_t>(file.data() + kVersionAt) > kEventFileVersion) return std::unexpected(Error{Errc::unsupported});
  const Bytes zeros = file.subspan(kZerosAt, kEventFileHeaderBytes - kZerosAt);
  const std::size_t count = load_le<std::uint32_t>(file.data() + kCountAt);
  const std::size_t payload_bytes = load_le<std::uint32_t>(file.data() + kPayloadBytesAt);
  const bool is_whole = load_le<std::uint16_t>(file.data() + kVersionAt) == kEventFileVersion &&
                        load_le<std::uint16_t>(file.data() + kHeaderBytesAt) == kEventFileHeaderBytes &&
                        std::ranges::all_of(zeros, [](std::byte octet) { return octet == std::byte{}; }) &&
                        file.size() <= kEventFileBytesMax && count <= kPendingEventsMax &&
                        file.size() == kEventFileHeaderBytes + payload_bytes + crypto::kTagBytes;
  if (!is_whole) return corrupt;

  crypto::Nonce nonce;
  copy_bytes(nonce, file.subspan(kNonceAt, nonce.size()));
  std::vector<std::byte> payload(payload_bytes);
  const crypto::AeadKey opening{key.view()};
  if (!opening.open(nonce, file.first(kEventFileHeaderBytes), file.subspan(kEventFileHeaderBytes), payload)) return corrupt;

  std::vector<PendingEvent> events;
  for (Bytes rest{payload}; !rest.empty();) {
    const std::size_t length = rest.size() < kLengthBytes ? 0 : load_le<std::uint16_t>(rest.data());
    if (length == 0 || length > rest.size() - kLengthBytes) return corrupt;
    const Bytes encoded = rest.subspan(kLengthBytes, length);
    const Result<event::Event> event = event::decode(encoded);
    if (!event) return corrupt;
    events.push_back({event->stamp.incarnation, event->stamp.sequence, {encoded.begin(), encoded.end()}});
    rest = rest.subspan(kLengthBytes + length);
  }
  if (events.size() != count) return corrupt;
  return events;
}

}  // namespace ringpost::keyd
