// Answers. Lengths, pointers and records are walked here, because c-ares's own readers keep neither times to live nor flags nor
// sections; it turns names, once they are known to be sound, into text.
#define CARES_NO_DEPRECATED
#include "ringpost/dns/packet.hh"

#include <ares.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace ringpost::dns {
namespace {

constexpr std::size_t kNameBytesMax = 255;  // RFC 1035 section 2.3.4
constexpr int kPointersMax = 32;            // in one name; a server that saves space needs one or two
constexpr std::uint16_t kClassIn = 1;
constexpr unsigned kTtlMax = 0x7fffffff;  // RFC 2181 section 8: with the top bit set it is taken for 0

std::uint16_t load16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(bytes[at]) << 8 | static_cast<unsigned>(bytes[at + 1]));
}
std::uint32_t load32(Bytes bytes, std::size_t at) { return std::uint32_t{load16(bytes, at)} << 16 | load16(bytes, at + 2); }

/// Where a name that starts at `at` ends, or nothing: labels within the packet, 255 octets in all, and each of a few pointers
/// to an earlier place than the piece it ends, so that none comes twice.
std::optional<std::size_t> end_of_name(Bytes packet, std::size_t at) {
  std::optional<std::size_t> end;
  std::size_t octets = 1, piece = at;
  int pointers = 0;
  while (at < packet.size()) {
    const auto length = static_cast<std::size_t>(packet[at]);
    if (length == 0) return end ? end : at + 1;
    if ((length & 0xc0) == 0xc0) {
      if (at + 2 > packet.size()) return std::nullopt;
      const std::size_t target = load16(packet, at) & 0x3fffu;
      if (!end) end = at + 2;
      if (target >= piece || target < kHeaderBytes || ++pointers > kPointersMax) return std::nullopt;
      at = piece = target;
      continue;
    }
    octets += length + 1;
    if (length > 63 || octets > kNameBytesMax) return std::nullopt;
    at += length + 1;
  }
  return std::nullopt;
}

/// Reads one packet from front to back; after something wrong everything reads as nothing.
class Reader {
 public:
  explicit Reader(Bytes packet, std::size_t at = 0) : packet_(packet), at_(at), end_(packet.size()) {}

  bool sound() const { return sound_; }
  std::size_t at() const { return at_; }
  std::size_t left() const { return end_ - at_; }
  void spoil() { sound_ = false; }

  std::uint8_t u8() { return take(1) ? static_cast<std::uint8_t>(packet_[at_ - 1]) : std::uint8_t{0}; }
  std::uint16_t u16() { return take(2) ? load16(packet_, at_ - 2) : std::uint16_t{0}; }
  std::uint32_t u32() { return take(4) ? load32(packet_, at_ - 4) : 0; }
  Bytes bytes(std::size_t count) { return take(count) ? packet_.subspan(at_ - count, count) : Bytes{}; }

  void skip_name() {
    const auto end = sound_ ? end_of_name(packet_, at_) : std::nullopt;
    if (!end || *end > end_) return spoil();
    at_ = *end;
  }
  std::string name() {
    const std::size_t start = at_;
    skip_name();
    if (!sound_) return {};
    char* text = nullptr;
    long encoded = 0;
    const auto* base = reinterpret_cast<const unsigned char*>(packet_.data());
    const int status = ::ares_expand_name(base + start, base, static_cast<int>(packet_.size()), &text, &encoded);
    const std::unique_ptr<char, void (*)(void*)> owned(text, &::ares_free_string);
    if (status != ARES_SUCCESS || static_cast<std::size_t>(encoded) != at_ - start) {
      spoil();
      return {};
    }
    std::string lower{text};
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return lower;
  }

  /// Limits reading to the next `count` octets (a record's data); names in them may point before.
  Reader part(std::size_t count) {
    Reader inner{packet_, at_};
    inner.end_ = take(count) ? at_ : at_;
    inner.sound_ = sound_;
    return inner;
  }

 private:
  bool take(std::size_t count) {
    if (!sound_ || left() < count) sound_ = false;
    if (sound_) at_ += count;
    return sound_;
  }

  Bytes packet_;
  std::size_t at_, end_;
  bool sound_ = true;
};

IpAddress read_address(Reader& in, std::size_t octets) {
  IpAddress address;
  if (octets == 4) return IpAddress::from_ipv4(in.u32());
  copy_bytes(address.bytes, in.bytes(octets));
  return address;
}

Text read_text(Reader& in) {
  Text text;
  if (in.left() == 0) in.spoil();  // RFC 1035 section 3.3.14: one string or more
  while (in.sound() && in.left() > 0) text.octets += as_text(in.bytes(in.u8()));
  return text;
}

Association read_association(Reader& in) {
  Association read{in.u8(), in.u8(), in.u8(), {}};
  const Bytes data = in.bytes(in.left());
  if (data.empty()) in.spoil();
  read.data.assign(data.begin(), data.end());
  return read;
}

Authority read_authority(Reader& in) {
  in.skip_name();
  in.skip_name();
  in.bytes(16);  // serial, refresh, retry, expire
  return {in.u32()};
}

/// False: of a type that nobody here asks for.
bool read_data(Reader& in, Record& record) {
  switch (record.type) {
    case Type::a: record.data = read_address(in, 4); return true;
    case Type::aaaa: record.data = read_address(in, 16); return true;
    case Type::ns:
    case Type::cname:
    case Type::ptr: record.data = in.name(); return true;
    case Type::mx: {
      const std::uint16_t preference = in.u16();
      record.data = Exchange{preference, in.name()};
      return true;
    }
    case Type::srv: {
      Service service{in.u16(), in.u16(), in.u16(), {}};
      service.target = in.name();
      record.data = std::move(service);
      return true;
    }
    case Type::txt: record.data = read_text(in); return true;
    case Type::tlsa: record.data = read_association(in); return true;
    case Type::soa: record.data = read_authority(in); return true;
    case Type::opt:
    case Type::rrsig: break;
  }
  return false;
}

/// An OPT record's data. What is wrong in it says nothing about the answer: reading just ends there.
void read_options(Reader in, Response& response) {
  constexpr std::uint16_t kExtendedError = 15, kBogus = 6, kNsecMissing = 12;
  while (in.sound() && in.left() > 0) {
    const std::uint16_t option = in.u16(), size = in.u16();
    Reader data = in.part(size);
    if (!in.sound() || option != kExtendedError) continue;
    const std::uint16_t code = data.u16();
    response.bogus |= data.sound() && code >= kBogus && code <= kNsecMissing;
  }
}

enum class Section : std::uint8_t { answer, authority, additional };

/// One record into `response`, if it belongs there.
void read_record(Reader& in, Section section, Response& response) {
  Record record;
  if (section == Section::answer) {
    record.owner = in.name();
  } else {
    in.skip_name();  // nobody looks at it
  }
  record.type = static_cast<Type>(in.u16());
  const std::uint16_t record_class = in.u16();
  const std::uint32_t ttl = in.u32();
  const std::uint16_t size = in.u16();
  Reader data = in.part(size);
  if (!in.sound()) return;

  if (record.type == Type::opt) {  // RFC 6891 section 6.1.1: in the additional section only, where it holds the code's upper bits
    if (section != Section::additional) return in.spoil();
    response.rcode = static_cast<Rcode>((ttl >> 24 << 4) | (static_cast<unsigned>(response.rcode) & 15u));
    return read_options(data, response);
  }
  if (record_class != kClassIn || section == Section::additional) return;
  if (section == Section::authority && record.type == Type::ns) response.referral = true;
  if (section == Section::authority && record.type != Type::soa) return;
  response.signatures |= record.type == Type::rrsig;
  record.ttl_s = ttl > kTtlMax ? 0 : ttl;
  if (!read_data(data, record)) return;
  if (!data.sound() || data.left() != 0) return in.spoil();
  (section == Section::answer ? response.answers : response.authorities).push_back(std::move(record));
}

}  // namespace

Match match(Bytes query, Bytes response) {
  if (response.size() < kHeaderBytes || load16(query, 0) != load16(response, 0)) return Match::no;
  if ((static_cast<unsigned>(response[2]) & 0xf8u) != 0x80u) return Match::no;  // no response, or to no standard query
  const std::uint16_t questions = load16(response, 4);
  const Rcode code = header_rcode(response);
  if (questions == 0 && (code == Rcode::format_error || code == Rcode::not_implemented)) return Match::bare_error;
  const std::optional<std::size_t> name_end = end_of_name(query, kHeaderBytes);
  RP_ASSERT(name_end && *name_end + 4 <= query.size());
  const std::size_t end = *name_end + 4;  // type and class
  if (questions != 1 || response.size() < end) return Match::no;
  bool same = true;
  for (std::size_t at = kHeaderBytes; at < end; ++at) {
    if (query[at] == response[at]) continue;
    const auto octet = static_cast<unsigned char>(query[at]) | 0x20u;
    const bool letter = at < *name_end && octet >= 'a' && octet <= 'z';
    if (!letter || (query[at] ^ response[at]) != std::byte{0x20}) return Match::no;
    same = false;
  }
  return same ? Match::yes : Match::case_differs;
}

bool is_truncated(Bytes response) { return (response[2] & std::byte{0x02}) != std::byte{0}; }

Rcode header_rcode(Bytes response) { return static_cast<Rcode>(static_cast<unsigned>(response[3]) & 15u); }

Result<Response> parse_response(Bytes packet) {
  constexpr unsigned kAuthoritative = 0x0400, kRecursionAvailable = 0x0080, kAuthenticData = 0x0020;
  if (packet.size() < kHeaderBytes || packet.size() > kTcpBytesMax) return std::unexpected(Error{Errc::protocol});
  const unsigned flags = load16(packet, 2);
  Response response{.rcode = header_rcode(packet),
                    .authoritative = (flags & kAuthoritative) != 0,
                    .recursive = (flags & kRecursionAvailable) != 0,
                    .authenticated = (flags & kAuthenticData) != 0};
  const std::size_t questions = load16(packet, 4), answers = load16(packet, 6), authorities = load16(packet, 8);
  const std::size_t records = answers + authorities + load16(packet, 10);
  if (questions > 1) return std::unexpected(Error{Errc::protocol});
  if (records > kRecordsMax) return std::unexpected(Error{Errc::limit});
  Reader in{packet, kHeaderBytes};
  if (questions == 1) {
    in.skip_name();
    in.bytes(4);
  }
  for (std::size_t record = 0; record < records && in.sound(); ++record) {
    const Section section = record < answers                 ? Section::answer
                            : record < answers + authorities ? Section::authority
                                                             : Section::additional;
    read_record(in, section, response);
  }
  if (!in.sound()) return std::unexpected(Error{Errc::protocol});
  return response;
}

}  // namespace ringpost::dns
