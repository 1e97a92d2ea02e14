#include "tls/client_hello.hh"

#include <algorithm>
#include <optional>

namespace ringpost::tls {

namespace {

constexpr std::byte kHandshakeRecord{22}, kClientHello{1}, kMajorVersion{3};
constexpr std::size_t kRecordBytesMax = 1 << 14, kHostBytesMax = 253;
constexpr std::uint16_t kServerName = 0, kSignatureAlgorithms = 13;

/// Takes big-endian fields off the front; once something is missing, everything is.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}
  bool good() const { return good_; }
  bool empty() const { return rest_.empty() || !good_; }

  Bytes take(std::size_t count) {
    if (count > rest_.size()) good_ = false;
    if (!good_) return {};
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::size_t number(std::size_t octets) {
    std::size_t value = 0;
    for (std::byte octet : take(octets)) value = value << 8 | std::to_integer<std::size_t>(octet);
    return value;
  }
  /// A field behind its length of `octets` bytes.
  Bytes field(std::size_t octets) { return take(number(octets)); }

 private:
  Bytes rest_;
  bool good_ = true;
};

/// A host's name as it may stand in a certificate; nothing for every other string (attack T4).
std::string host_of(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax) return {};
  std::string host{text};
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!allowed) return {};
  }
  return host;
}

void read_server_name(Bytes extension, ClientHello& hello) {
  Reader names{Reader{extension}.field(2)};
  while (!names.empty()) {
    const std::size_t type = names.number(1);
    const Bytes name = names.field(2);
    if (names.good() && type == 0) return void(hello.server_name = host_of(as_text(name)));
  }
}

// Schemes of TLS 1.3 and pairs of TLS 1.2 share their numbers (RFC 8446 section 4.2.3).
void read_signature_algorithms(Bytes extension, ClientHello& hello) {
  Reader schemes{Reader{extension}.field(2)};
  while (!schemes.empty()) {
    const std::size_t scheme = schemes.number(2);
    if (!schemes.good()) return;
    if (scheme == 0x0403 || scheme == 0x0503) hello.ecdsa = true;
    const std::size_t hash = scheme >> 8, signature = scheme & 0xff;
    if ((hash >= 4 && hash <= 6 && signature == 1) || (scheme >= 0x0804 && scheme <= 0x0806)) hello.rsa = true;
  }
}

}  // namespace

ClientHello parse_client_hello(Bytes body) {
  ClientHello hello;
  Reader reader{body};
  reader.take(2 + 32);  // version, random
  reader.field(1);      // session id
  const Bytes suites = reader.field(2);
  reader.field(1);  // compression methods
  Reader extensions{reader.field(2)};
  while (!extensions.empty()) {
    const std::size_t type = extensions.number(2);
    const Bytes extension = extensions.field(2);
    if (!extensions.good()) break;
    if (type == kServerName) read_server_name(extension, hello);
    if (type == kSignatureAlgorithms) read_signature_algorithms(extension, hello);
  }
  // In TLS 1.2 the suite names the key as well: one that goes with the algorithms must be offered.
  bool any13 = false, any_ecdsa = false, any_rsa = false;
  for (Reader list{suites}; !list.empty();) {
    const std::size_t suite = list.number(2);
    any13 |= suite >= 0x1301 && suite <= 0x1303;
    any_ecdsa |= suite == 0xc02b || suite == 0xc02c || suite == 0xcca9;
    any_rsa |= suite == 0xc02f || suite == 0xc030 || suite == 0xcca8;
  }
  hello.ecdsa &= any13 || any_ecdsa;
  hello.rsa &= any13 || any_rsa;
  return hello;
}

HelloCollector::Status HelloCollector::feed(Bytes wire) {
  for (;;) {
    if (message_.size() >= kMessageHeaderBytes) {
      if (message_[0] != kClientHello) return Status::refused;
      const std::size_t body = Reader{Bytes{message_}.subspan(1, 3)}.number(3);
      if (body > kBytesMax) return Status::refused;
      if (message_.size() >= kMessageHeaderBytes + body) {
        message_.resize(kMessageHeaderBytes + body);
        return Status::whole;
      }
    }
    if (wire.empty()) return Status::need_more;
    std::size_t taken;
    if (record_rest_ == 0) {
      taken = std::min(wire.size(), kRecordHeaderBytes - header_bytes_);
      std::copy_n(wire.begin(), taken, header_ + header_bytes_);
      header_bytes_ += taken;
      if (header_[0] != kHandshakeRecord || (header_bytes_ > 1 && header_[1] != kMajorVersion)) return Status::refused;
      if (header_bytes_ == kRecordHeaderBytes) {
        record_rest_ = Reader{Bytes{header_}.subspan(3)}.number(2);
        if (record_rest_ == 0 || record_rest_ > kRecordBytesMax) return Status::refused;
        header_bytes_ = 0;
      }
    } else {
      taken = std::min(wire.size(), record_rest_);
      message_.insert(message_.end(), wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(taken));
      record_rest_ -= taken;
    }
    wire = wire.subspan(taken);
    wire_bytes_ += taken;
    if (wire_bytes_ > 2 * kBytesMax) return Status::refused;
  }
}

}  // namespace ringpost::tls
