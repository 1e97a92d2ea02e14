// The data socket between ringpostd and ringpost-keyd: one frame a SOCK_SEQPACKET packet, little-endian, each request
// answered once, in any order. Format, limits and a worked example: docs/formats/keyd-protocol.md. Sans-I/O; both sides
// take the other for hostile: every decoder refuses what it does not know, wrong lengths and set reserved bits.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/units.hh"
#include "ringpost/crypto/message_key.hh"
#include "ringpost/keys/scope.hh"

namespace ringpost::keys::protocol {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kUnwrapItemsMax = 64;

enum class Kind : std::uint8_t {
  hello = 1,    ///< must come first on a connection, and once
  lease = 2,    ///< a key to wrap with
  unwrap = 3,   ///< up to kUnwrapItemsMax wrapped message keys
  release = 4,  ///< a lease is no longer used
};
inline constexpr std::size_t kKindCount = 4;

/// What a request came to. From `kek_missing` on: why keyd has no key store to work with (answers to hello only).
enum class Status : std::uint16_t {
  ok = 0,
  malformed = 1,      ///< keyd closes the connection behind it
  out_of_order = 2,   ///< the first request was no hello, or a second hello came
  over_budget = 3,    ///< more of this kind than a minute allows: ask later
  unknown_key = 4,    ///< keyd has no such key (unwrap: that item)
  not_authentic = 5,  ///< unwrap: that item does not open
  unavailable = 6,    ///< the key store could not be written
  kek_missing = 16,
  kek_unsafe = 17,        ///< not a regular file of keyd's user with mode 0400
  kek_unusable = 18,      ///< neither 32 bytes nor 64 hexadecimal digits
  kek_wrong = 19,         ///< the key store was sealed under another KEK
  keystore_missing = 20,  ///< there is mail, but no key store
  keystore_damaged = 21,
  keystore_version = 22,  ///< written by a later version
  same_filesystem = 23,   ///< keys would lie on the spool's filesystem
  directory_unsafe = 24,  ///< keys.directory is not a directory of keyd's user alone
  locked = 25,            ///< another keyd uses the directory
  keystore_io = 26,       ///< reading or writing it failed
};

/// True for the answers that mean "no key store": an operator must act.
constexpr bool is_refusal(Status status) { return status >= Status::kek_missing; }
bool is_valid(Status status);
/// What to tell an operator; a sentence without a final stop. Also what a log shows for a Status.
Literal explain(Status status);
inline Literal log_name(Status status) { return explain(status); }

struct Header {
  std::uint8_t version = kVersion;
  Kind kind{};
  bool is_reply = false;
  Status status = Status::ok;  ///< always ok in a request
  std::uint32_t id = 0;        ///< the client's choice, echoed
};
inline constexpr std::size_t kHeaderBytes = 8;

struct HelloRequest {
  IncarnationId incarnation;  ///< of the client's start; not zero
  bool spool_empty = false;   ///< there is no mail: an empty keys.directory may become a new store
};
struct HelloReply {
  StoreId store;
  Key256 metadata_key;
  Key256 address_hash_key;
  bool kek_created = false;    ///< this very hello made the KEK
  bool store_created = false;  ///< this very hello made the key store
};
struct LeaseRequest {
  Scope scope;
  KeyClass key_class = KeyClass::incoming;
};
struct LeaseReply {
  KeyId key;
  Key256 lease_key;
  std::uint32_t valid_s = 0;  ///< 1..kLeaseSecondsMax from when the request was sent
};
inline constexpr std::uint32_t kLeaseSecondsMax = 86400;

struct UnwrapItem {
  crypto::WrappedKey wrapped;
  MessageId message;
};
struct UnwrapRequest {
  std::uint32_t count = 0;  ///< 1..kUnwrapItemsMax
  std::array<UnwrapItem, kUnwrapItemsMax> items;
};
struct UnwrappedItem {
  Status status = Status::unavailable;  ///< ok, unknown_key or not_authentic
  Key256 message_key;                   ///< zeros unless ok
};
struct UnwrapReply {
  std::uint32_t count = 0;
  std::array<UnwrappedItem, kUnwrapItemsMax> items;
};
struct ReleaseRequest {
  KeyId key;
};

inline constexpr std::size_t kHelloRequestBytes = kHeaderBytes + 24;
inline constexpr std::size_t kHelloReplyBytes = kHeaderBytes + 88;
inline constexpr std::size_t kLeaseRequestBytes = kHeaderBytes + 24;
inline constexpr std::size_t kLeaseReplyBytes = kHeaderBytes + 56;
inline constexpr std::size_t kUnwrapItemBytes = crypto::kWrappedKeyBytes + 16;
inline constexpr std::size_t kUnwrappedItemBytes = 40;
inline constexpr std::size_t kUnwrapRequestBytesMax = kHeaderBytes + 8 + kUnwrapItemsMax * kUnwrapItemBytes;
inline constexpr std::size_t kUnwrapReplyBytesMax = kHeaderBytes + 8 + kUnwrapItemsMax * kUnwrappedItemBytes;
inline constexpr std::size_t kReleaseRequestBytes = kHeaderBytes + 16;
/// Receive into a buffer larger than this: a packet that fills it was too long.
inline constexpr std::size_t kRequestBytesMax = kUnwrapRequestBytesMax;
inline constexpr std::size_t kReplyBytesMax = kUnwrapReplyBytesMax;

// Encoders write one frame to the start of `out` (large enough, see above) and return it.
Bytes encode(MutableBytes out, std::uint32_t id, const HelloRequest& request);
Bytes encode(MutableBytes out, std::uint32_t id, const LeaseRequest& request);
Bytes encode(MutableBytes out, std::uint32_t id, std::span<const UnwrapItem> items);
Bytes encode(MutableBytes out, std::uint32_t id, const ReleaseRequest& request);
Bytes encode_reply(MutableBytes out, std::uint32_t id, const HelloReply& reply);
Bytes encode_reply(MutableBytes out, std::uint32_t id, const LeaseReply& reply);
Bytes encode_reply(MutableBytes out, std::uint32_t id, std::span<const UnwrappedItem> items);
/// A reply without a body: release done, or any kind refused.
Bytes encode_status(MutableBytes out, std::uint32_t id, Kind kind, Status status);

// Decoders return nothing for anything but a frame that the encoders above could have made.
/// Valid only together with the body's decoder.
std::optional<Header> decode_header(Bytes frame);
std::optional<HelloRequest> decode_hello(Bytes frame);
std::optional<LeaseRequest> decode_lease(Bytes frame);
/// False when malformed. Into the caller's, for it is large.
[[nodiscard]] bool decode_unwrap(Bytes frame, UnwrapRequest& request);
std::optional<ReleaseRequest> decode_release(Bytes frame);
std::optional<HelloReply> decode_hello_reply(Bytes frame);
std::optional<LeaseReply> decode_lease_reply(Bytes frame);
[[nodiscard]] bool decode_unwrap_reply(Bytes frame, std::span<UnwrappedItem> items);
/// True for a whole reply that carries a status only.
bool is_bare_reply(Bytes frame);

}  // namespace ringpost::keys::protocol
