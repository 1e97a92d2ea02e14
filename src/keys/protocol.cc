#include "ringpost/keys/protocol.hh"

#include "ringpost/base/frame_reader.hh"

namespace ringpost::keys::protocol {

namespace {

constexpr std::uint8_t kReplyBit = 0x80;
constexpr std::uint32_t kSpoolEmpty = 1;
constexpr std::uint32_t kKekCreated = 1;
constexpr std::uint32_t kStoreCreated = 2;

/// Appends fields to a buffer that is known to be large enough.
class Writer {
 public:
  explicit Writer(MutableBytes out) : out_(out) {}
  template <typename Integer>
  void number(Integer value) {
    RP_ASSERT(at_ + sizeof value <= out_.size());
    store_le(out_.data() + at_, value);
    at_ += sizeof value;
  }
  void bytes(Bytes value) {
    copy_bytes(out_.subspan(at_), value);
    at_ += value.size();
  }
  void header(Kind kind, bool is_reply, Status status, std::uint32_t id) {
    number(kVersion);
    number(static_cast<std::uint8_t>(static_cast<std::uint8_t>(kind) | (is_reply ? kReplyBit : 0)));
    number(static_cast<std::uint16_t>(status));
    number(id);
  }
  Bytes finish() const { return out_.first(at_); }

 private:
  MutableBytes out_;
  std::size_t at_ = 0;
};

class Reader : public FrameReader {
 public:
  using FrameReader::FrameReader;
  /// A field that must be zero.
  template <typename Integer>
  void reserved() {
    if (number<Integer>() != 0) fail();
  }
  bool has(std::size_t bytes) const { return remaining() == bytes; }
};

/// The frame behind its header, when that is a request (or a successful reply) of this kind.
std::optional<Reader> body(Bytes frame, Kind kind, bool is_reply) {
  std::optional<Header> header = decode_header(frame);
  if (!header || header->kind != kind || header->is_reply != is_reply || header->status != Status::ok) return std::nullopt;
  return Reader{frame.subspan(kHeaderBytes)};
}

void read_secret(Reader& in, Key256& secret) {
  MutableBytes target = secret.mutable_view();
  in.bytes(target);
}

}  // namespace

bool is_valid(Status status) {
  return status <= Status::unavailable || (status >= Status::kek_missing && status <= Status::keystore_io);
}

Literal explain(Status status) {
  switch (status) {
    case Status::ok: return "no error";
    case Status::malformed: return "the request was malformed";
    case Status::out_of_order: return "the connection must begin with one hello";
    case Status::over_budget: return "the budget of this minute is used up";
    case Status::unknown_key: return "keyd has no such key";
    case Status::not_authentic: return "the wrapped key does not authenticate";
    case Status::unavailable: return "the key store cannot be written";
    case Status::kek_missing: return "the key-encryption key is missing; restore it: without it no mail can be read";
    case Status::kek_unsafe: return "the key-encryption key must be a regular file of keyd's user with mode 0400 and one name";
    case Status::kek_unusable: return "the key-encryption key must be 32 bytes, or 64 hexadecimal digits";
    case Status::kek_wrong: return "the key store was sealed under another key-encryption key";
    case Status::keystore_missing: return "there is mail, but keys.directory holds no key store; restore it";
    case Status::keystore_damaged: return "the key store is damaged; restore it";
    case Status::keystore_version: return "the key store was written by a later version";
    case Status::same_filesystem:
      return "keys and mail lie on one filesystem; move keys.directory, or set keys.allow_same_filesystem = yes";
    case Status::directory_unsafe: return "keys.directory must be a directory that only keyd's user can enter";
    case Status::locked: return "another ringpost-keyd uses keys.directory; stop it, or give this server a directory of its own";
    case Status::keystore_io: return "the key store cannot be read or written";
  }
  return "unknown";
}

// ---- encoders

Bytes encode(MutableBytes out, std::uint32_t id, const HelloRequest& request) {
  Writer writer{out};
  writer.header(Kind::hello, false, Status::ok, id);
  writer.bytes(request.incarnation.bytes);
  writer.number(request.spool_empty ? kSpoolEmpty : 0u);
  writer.number(std::uint32_t{0});
  return writer.finish();
}

Bytes encode(MutableBytes out, std::uint32_t id, const LeaseRequest& request) {
  Writer writer{out};
  writer.header(Kind::lease, false, Status::ok, id);
  writer.number(static_cast<std::uint8_t>(request.scope.kind));
  writer.number(static_cast<std::uint8_t>(request.key_class));
  writer.number(std::uint16_t{0});
  writer.number(std::uint32_t{0});
  writer.bytes(request.scope.owner.bytes);
  return writer.finish();
}

Bytes encode(MutableBytes out, std::uint32_t id, std::span<const UnwrapItem> items) {
  RP_ASSERT(!items.empty() && items.size() <= kUnwrapItemsMax);
  Writer writer{out};
  writer.header(Kind::unwrap, false, Status::ok, id);
  writer.number(static_cast<std::uint32_t>(items.size()));
  writer.number(std::uint32_t{0});
  for (const UnwrapItem& item : items) {
    std::array<std::byte, crypto::kWrappedKeyBytes> wrapped;
    item.wrapped.encode(wrapped);
    writer.bytes(wrapped);
    writer.bytes(item.message.bytes);
  }
  return writer.finish();
}

Bytes encode(MutableBytes out, std::uint32_t id, const ReleaseRequest& request) {
  Writer writer{out};
  writer.header(Kind::release, false, Status::ok, id);
  writer.bytes(request.key.bytes);
  return writer.finish();
}

Bytes encode_reply(MutableBytes out, std::uint32_t id, const HelloReply& reply) {
  Writer writer{out};
  writer.header(Kind::hello, true, Status::ok, id);
  writer.bytes(reply.store.bytes);
  writer.bytes(reply.metadata_key.view());
  writer.bytes(reply.address_hash_key.view());
  writer.number((reply.kek_created ? kKekCreated : 0u) | (reply.store_created ? kStoreCreated : 0u));
  writer.number(std::uint32_t{0});
  return writer.finish();
}

Bytes encode_reply(MutableBytes out, std::uint32_t id, const LeaseReply& reply) {
  Writer writer{out};
  writer.header(Kind::lease, true, Status::ok, id);
  writer.bytes(reply.key.bytes);
  writer.bytes(reply.lease_key.view());
  writer.number(reply.valid_s);
  writer.number(std::uint32_t{0});
  return writer.finish();
}

Bytes encode_reply(MutableBytes out, std::uint32_t id, std::span<const UnwrappedItem> items) {
  RP_ASSERT(!items.empty() && items.size() <= kUnwrapItemsMax);
  Writer writer{out};
  writer.header(Kind::unwrap, true, Status::ok, id);
  writer.number(static_cast<std::uint32_t>(items.size()));
  writer.number(std::uint32_t{0});
  for (const UnwrappedItem& item : items) {
    writer.number(static_cast<std::uint16_t>(item.status));
    writer.number(std::uint16_t{0});
    writer.number(std::uint32_t{0});
    writer.bytes(item.message_key.view());
  }
  return writer.finish();
}

Bytes encode_status(MutableBytes out, std::uint32_t id, Kind kind, Status status) {
  Writer writer{out};
  writer.header(kind, true, status, id);
  return writer.finish();
}

// ---- decoders

std::optional<Header> decode_header(Bytes frame) {
  if (frame.size() < kHeaderBytes) return std::nullopt;
  Reader reader{frame.first(kHeaderBytes)};
  Header header;
  header.version = reader.number<std::uint8_t>();
  auto kind = reader.number<std::uint8_t>();
  header.status = static_cast<Status>(reader.number<std::uint16_t>());
  header.id = reader.number<std::uint32_t>();
  header.is_reply = (kind & kReplyBit) != 0;
  kind = static_cast<std::uint8_t>(kind & ~kReplyBit);
  header.kind = static_cast<Kind>(kind);
  if (header.version != kVersion || kind == 0 || kind > kKindCount || !is_valid(header.status)) return std::nullopt;
  if (!header.is_reply && header.status != Status::ok) return std::nullopt;
  return header;
}

std::optional<HelloRequest> decode_hello(Bytes frame) {
  std::optional<Reader> reader = body(frame, Kind::hello, false);
  if (!reader) return std::nullopt;
  HelloRequest request;
  reader->bytes(request.incarnation.bytes);
  auto flags = reader->number<std::uint32_t>();
  reader->reserved<std::uint32_t>();
  request.spool_empty = flags == kSpoolEmpty;
  if (!reader->done() || flags > kSpoolEmpty || request.incarnation.is_zero()) return std::nullopt;
  return request;
}

std::optional<LeaseRequest> decode_lease(Bytes frame) {
  std::optional<Reader> reader = body(frame, Kind::lease, false);
  if (!reader) return std::nullopt;
  LeaseRequest request;
  request.scope.kind = static_cast<ScopeKind>(reader->number<std::uint8_t>());
  request.key_class = static_cast<KeyClass>(reader->number<std::uint8_t>());
  reader->reserved<std::uint16_t>();
  reader->reserved<std::uint32_t>();
  reader->bytes(request.scope.owner.bytes);
  if (!reader->done() || !is_valid(request.scope) || !is_valid(request.key_class)) return std::nullopt;
  return request;
}

bool decode_unwrap(Bytes frame, UnwrapRequest& request) {
  std::optional<Reader> reader = body(frame, Kind::unwrap, false);
  if (!reader) return false;
  request.count = reader->number<std::uint32_t>();
  reader->reserved<std::uint32_t>();
  if (request.count == 0 || request.count > kUnwrapItemsMax || !reader->has(request.count * kUnwrapItemBytes)) return false;
  for (UnwrapItem& item : std::span{request.items}.first(request.count)) {
    std::array<std::byte, crypto::kWrappedKeyBytes> wrapped;
    reader->bytes(wrapped);
    item.wrapped = crypto::WrappedKey::decode(wrapped);
    reader->bytes(item.message.bytes);
  }
  return reader->done();
}

std::optional<ReleaseRequest> decode_release(Bytes frame) {
  std::optional<Reader> reader = body(frame, Kind::release, false);
  if (!reader) return std::nullopt;
  ReleaseRequest request;
  reader->bytes(request.key.bytes);
  if (!reader->done()) return std::nullopt;
  return request;
}

std::optional<HelloReply> decode_hello_reply(Bytes frame) {
  std::optional<Reader> reader = body(frame, Kind::hello, true);
  if (!reader) return std::nullopt;
  HelloReply reply;
  reader->bytes(reply.store.bytes);
  read_secret(*reader, reply.metadata_key);
  read_secret(*reader, reply.address_hash_key);
  auto flags = reader->number<std::uint32_t>();
  reader->reserved<std::uint32_t>();
  reply.kek_created = (flags & kKekCreated) != 0;
  reply.store_created = (flags & kStoreCreated) != 0;
  if (!reader->done() || flags > (kKekCreated | kStoreCreated) || reply.store.is_zero()) return std::nullopt;
  return reply;
}

std::optional<LeaseReply> decode_lease_reply(Bytes frame) {
  std::optional<Reader> reader = body(frame, Kind::lease, true);
  if (!reader) return std::nullopt;
  LeaseReply reply;
  reader->bytes(reply.key.bytes);
  read_secret(*reader, reply.lease_key);
  reply.valid_s = reader->number<std::uint32_t>();
  reader->reserved<std::uint32_t>();
  if (!reader->done() || reply.key.is_zero() || reply.valid_s == 0 || reply.valid_s > kLeaseSecondsMax) return std::nullopt;
  return reply;
}

bool decode_unwrap_reply(Bytes frame, std::span<UnwrappedItem> items) {
  std::optional<Reader> reader = body(frame, Kind::unwrap, true);
  if (!reader) return false;
  auto count = reader->number<std::uint32_t>();
  reader->reserved<std::uint32_t>();
  if (count != items.size() || !reader->has(count * kUnwrappedItemBytes)) return false;
  for (UnwrappedItem& item : items) {
    item.status = static_cast<Status>(reader->number<std::uint16_t>());
    reader->reserved<std::uint16_t>();
    reader->reserved<std::uint32_t>();
    read_secret(*reader, item.message_key);
    bool is_item_status = item.status == Status::ok || item.status == Status::unknown_key || item.status == Status::not_authentic;
    if (!is_item_status) return false;
  }
  return reader->done();
}

bool is_bare_reply(Bytes frame) {
  std::optional<Header> header = decode_header(frame);
  if (!header || !header->is_reply || frame.size() != kHeaderBytes) return false;
  return header->status != Status::ok || header->kind == Kind::release;
}

}  // namespace ringpost::keys::protocol
