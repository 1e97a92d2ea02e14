#include "ringpost/event/codec.hh"

#include <algorithm>
#include <utility>

#include "fields.hh"

namespace ringpost::event {
namespace {

// Version, kind, process and a zero octet, shard, then what every event has.
constexpr std::size_t kHeaderBytes = 1 + 1 + 1 + 1 + 2 + 16 + 8 + 8 + 4;

std::unexpected<Error> malformed(Malformed why) { return std::unexpected{Error{Errc::corrupt, std::to_underlying(why)}}; }

struct Writer {
  MutableBytes out;
  std::size_t size = 0;

  template <std::integral Number>
  void put(Number number) {
    store_le(out.data() + size, number);
    size += sizeof number;
  }
  template <typename Tag>
  void put(const Id<Tag>& id) {
    put_bytes(id.bytes);
  }
  void put(const IpAddress& address) { put_bytes(address.bytes); }
  void put(const Host& host) {
    put(host.ip);
    put(host.port);
  }
  void put(const ReplyCode& reply) {
    put(reply.code);
    put(reply.enhanced_class);
    put(reply.enhanced_subject);
    put(reply.enhanced_detail);
  }
  void put(Reason reason) { put(std::to_underlying(reason)); }
  void put(Authentication authentication) { put(std::to_underlying(authentication)); }
  void put(const TlsResult& tls) {
    put(tls.version);
    put(tls.suite);
    put(std::to_underlying(tls.policy));
    put(static_cast<std::uint8_t>(tls.verified));
    put(std::to_underlying(tls.shortfall));
  }
  void put(const SettingText& text) {
    put(text.size);
    put_bytes(as_bytes(text.view()));
  }

 private:
  void put_bytes(Bytes bytes) {
    copy_bytes(out.subspan(size), bytes);
    size += bytes.size();
  }
};

/// Reads on with zeros once the bytes are used up, and remembers that it did.
struct Reader {
  Bytes in;
  bool truncated = false;

  template <std::integral Number>
  void get(Number& number) {
    number = 0;
    if (Bytes bytes = take(sizeof number); !bytes.empty()) number = load_le<Number>(bytes.data());
  }
  template <typename Tag>
  void get(Id<Tag>& id) {
    copy_bytes(id.bytes, take(id.bytes.size()));
  }
  void get(IpAddress& address) { copy_bytes(address.bytes, take(address.bytes.size())); }
  void get(Host& host) {
    get(host.ip);
    get(host.port);
  }
  void get(ReplyCode& reply) {
    get(reply.code);
    get(reply.enhanced_class);
    get(reply.enhanced_subject);
    get(reply.enhanced_detail);
  }
  void get(Reason& reason) {
    std::uint16_t number = 0;
    get(number);
    reason = static_cast<Reason>(number);
  }
  void get(Authentication& authentication) {
    std::uint8_t number = 0;
    get(number);
    authentication = static_cast<Authentication>(number);
  }
  void get(TlsResult& tls) {
    std::uint8_t policy = 0, verified = 0, shortfall = 0;
    get(tls.version);
    get(tls.suite);
    get(policy);
    get(verified);
    get(shortfall);
    // Another octet than 0 or 1 is out of range: as a policy that there is not.
    tls.policy = static_cast<TlsResult::Policy>(verified > 1 ? std::uint8_t{0} : policy);
    tls.verified = verified == 1;
    tls.shortfall = static_cast<TlsResult::Shortfall>(shortfall);
  }
  // What is longer than there may be is left where it is: trailing octets.
  void get(SettingText& text) {
    get(text.size);
    const Bytes octets = take(std::min<std::size_t>(text.size, SettingText::kBytesMax));
    std::ranges::copy(as_text(octets), text.octets.begin());
  }

 private:
  Bytes take(std::size_t size) {
    if (in.size() < size) {
      truncated = true;
      in = {};
      return {};
    }
    Bytes taken = in.first(size);
    in = in.subspan(size);
    return taken;
  }
};

}  // namespace

std::size_t encode(const Event& event, MutableBytes out) {
  RP_ASSERT(is_valid(event) && out.size() >= kEventBytesMax);
  std::uint32_t present = 0;
  for_each_field(event, [&](Field field, std::string_view, const auto& value) { present |= value ? bit(field) : 0; });

  Writer writer{out};
  writer.put(kEventVersion);
  writer.put(std::to_underlying(event.kind));
  writer.put(std::to_underlying(event.stamp.process));
  writer.put(std::uint8_t{0});
  writer.put(event.stamp.shard);
  writer.put(event.stamp.incarnation);
  writer.put(event.stamp.sequence);
  writer.put(static_cast<std::int64_t>(event.stamp.time.time_since_epoch().count()));
  writer.put(present);
  for_each_field(event, [&](Field, std::string_view, const auto& value) {
    if (value) writer.put(*value);
  });
  return writer.size;
}

Result<Event> decode(Bytes bytes) {
  if (bytes.empty()) return malformed(Malformed::truncated);
  if (std::to_integer<std::uint8_t>(bytes[0]) != kEventVersion) return malformed(Malformed::version);
  if (bytes.size() < kHeaderBytes) return malformed(Malformed::truncated);

  Reader reader{bytes.subspan(1)};
  std::uint8_t kind = 0, process = 0, zero = 0;
  std::int64_t time = 0;
  std::uint32_t present = 0;
  Event event;
  reader.get(kind);
  reader.get(process);
  reader.get(zero);
  reader.get(event.stamp.shard);
  reader.get(event.stamp.incarnation);
  reader.get(event.stamp.sequence);
  reader.get(time);
  reader.get(present);
  event.kind = static_cast<Kind>(kind);
  event.stamp.process = static_cast<Process>(process);
  event.stamp.time = WallTime{Duration{time}};

  std::uint32_t known = 0;
  for_each_field(event, [&](Field field, std::string_view, auto& value) {
    known |= bit(field);
    if ((present & bit(field)) != 0) reader.get(value.emplace());
  });
  if ((present & ~known) != 0) return malformed(Malformed::fields);
  if (reader.truncated) return malformed(Malformed::truncated);
  if (!reader.in.empty()) return malformed(Malformed::trailing);
  switch (check(event)) {
    case Verdict::valid: break;
    case Verdict::bad_kind: return malformed(Malformed::kind);
    case Verdict::bad_fields: return malformed(Malformed::fields);
    case Verdict::bad_value: return malformed(Malformed::value);
  }
  if (zero != 0) return malformed(Malformed::value);
  return event;
}

}  // namespace ringpost::event
