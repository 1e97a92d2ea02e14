// One frame of each kind, with every byte set to something.
#pragma once

#include <vector>

#include "ringpost/keys/protocol.hh"

namespace ringpost::keys::protocol {

template <typename IdType>
IdType sample_id(int seed) {
  IdType id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(seed + static_cast<int>(i));
  return id;
}

inline Key256 sample_key(int seed) {
  Key256 key;
  for (std::byte& octet : key.mutable_view()) octet = static_cast<std::byte>(seed++);
  return key;
}

inline UnwrapItem sample_item(int seed) {
  UnwrapItem item;
  item.wrapped = {.scope_key = sample_id<KeyId>(seed),
                  .partition = sample_id<PartitionId>(seed + 1),
                  .incarnation = sample_id<IncarnationId>(seed + 2),
                  .owner = static_cast<std::uint32_t>(seed)};
  item.wrapped.nonce.fill(static_cast<std::byte>(seed + 3));
  item.wrapped.sealed.fill(static_cast<std::byte>(seed + 4));
  item.message = sample_id<MessageId>(seed + 5);
  return item;
}

inline std::vector<std::byte> sample_frame(Kind kind, bool is_reply, std::uint32_t id = 7) {
  std::vector<std::byte> buffer(kRequestBytesMax);
  Bytes frame;
  std::array<UnwrapItem, 3> items{sample_item(1), sample_item(40), sample_item(80)};
  std::array<UnwrappedItem, 3> keys;
  keys[0] = {Status::ok, sample_key(9)};
  keys[1].status = Status::unknown_key;
  keys[2].status = Status::not_authentic;
  switch (kind) {
    case Kind::hello:
      frame = is_reply ? encode_reply(buffer, id,
                                      HelloReply{.store = sample_id<StoreId>(1),
                                                 .metadata_key = sample_key(2),
                                                 .address_hash_key = sample_key(3),
                                                 .kek_created = true,
                                                 .store_created = true})
                       : encode(buffer, id, HelloRequest{.incarnation = sample_id<IncarnationId>(4), .spool_empty = true});
      break;
    case Kind::lease:
      frame = is_reply
                  ? encode_reply(buffer, id, LeaseReply{.key = sample_id<KeyId>(5), .lease_key = sample_key(6), .valid_s = 600})
                  : encode(buffer, id,
                           LeaseRequest{.scope = {ScopeKind::organisation, sample_id<OwnerId>(7)}, .key_class = KeyClass::held});
      break;
    case Kind::unwrap: frame = is_reply ? encode_reply(buffer, id, keys) : encode(buffer, id, items); break;
    case Kind::release:
      frame = is_reply ? encode_status(buffer, id, kind, Status::ok) : encode(buffer, id, ReleaseRequest{sample_id<KeyId>(8)});
      break;
  }
  return {frame.begin(), frame.end()};
}

/// What the decoders make of `frame`, as the bytes that the encoders write for it; empty when refused.
inline std::vector<std::byte> canonical(Bytes frame) {
  const std::optional<Header> header = decode_header(frame);
  if (!header) return {};
  std::vector<std::byte> buffer(kRequestBytesMax);
  Bytes again;
  if (header->is_reply) {
    if (is_bare_reply(frame)) {
      again = encode_status(buffer, header->id, header->kind, header->status);
    } else if (std::optional<HelloReply> hello = decode_hello_reply(frame)) {
      again = encode_reply(buffer, header->id, *hello);
    } else if (std::optional<LeaseReply> lease = decode_lease_reply(frame)) {
      again = encode_reply(buffer, header->id, *lease);
    } else {
      std::array<UnwrappedItem, kUnwrapItemsMax> items;
      for (std::size_t count = 1; again.empty() && count <= items.size(); ++count)
        if (decode_unwrap_reply(frame, std::span{items}.first(count)))
          again = encode_reply(buffer, header->id, std::span{items}.first(count));
    }
  } else if (std::optional<HelloRequest> hello = decode_hello(frame)) {
    again = encode(buffer, header->id, *hello);
  } else if (std::optional<LeaseRequest> lease = decode_lease(frame)) {
    again = encode(buffer, header->id, *lease);
  } else if (std::optional<ReleaseRequest> release = decode_release(frame)) {
    again = encode(buffer, header->id, *release);
  } else {
    UnwrapRequest request;
    if (decode_unwrap(frame, request)) again = encode(buffer, header->id, std::span{request.items}.first(request.count));
  }
  return {again.begin(), again.end()};
}

inline constexpr Kind kKinds[] = {Kind::hello, Kind::lease, Kind::unwrap, Kind::release};

}  // namespace ringpost::keys::protocol
