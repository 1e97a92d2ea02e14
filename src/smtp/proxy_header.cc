#include "ringpost/smtp/proxy_header.hh"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "ascii.hh"
#include "ringpost/base/assert.hh"

namespace ringpost::smtp {
namespace {

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};  // section 2.2
constexpr std::size_t kFixedBytes = 16, kTlvHeadBytes = 3;
constexpr std::uint8_t kTcpOverIpv4 = 0x11, kTcpOverIpv6 = 0x21;
constexpr std::size_t kIpv4Bytes = 12, kIpv6Bytes = 36;
// What a sender may name and we cannot use: unspecified, datagrams, Unix sockets. Anything else must not be sent.
constexpr std::uint8_t kOtherFamilies[] = {0x00, 0x12, 0x22, 0x31, 0x32};
constexpr std::size_t kUnixBytes = 216;

constexpr std::size_t address_bytes(std::uint8_t family) {
  switch (family >> 4) {
    case 1: return kIpv4Bytes;
    case 2: return kIpv6Bytes;
    case 3: return kUnixBytes;
    default: return 0;
  }
}

std::uint16_t read_big_endian(Bytes two) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(two[0]) << 8 | std::to_integer<unsigned>(two[1]));
}

/// 0..65535 without heading zeros.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number || *number > 65535 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

/// "192.0.2.1" for TCP4, "2001:db8::1" for TCP6.
std::optional<IpAddress> parse_address(std::string_view text, bool ipv6) {
  return text.contains(':') == ipv6 ? IpAddress::parse(text) : std::nullopt;
}

/// What stands behind "PROXY " and in front of CRLF (section 2.1).
std::optional<ProxyHeader> parse_line(std::string_view text) {
  if (text == "UNKNOWN" || text.starts_with("UNKNOWN ")) return ProxyHeader{};  // the rest is to be ignored
  const std::string_view family = take_word(text);
  if (family != "TCP4" && family != "TCP6") return std::nullopt;
  const bool ipv6 = family == "TCP6";
  const auto source = parse_address(take_word(text), ipv6), destination = parse_address(take_word(text), ipv6);
  const std::string_view source_port = take_word(text);
  const auto from = parse_port(source_port), to = parse_port(text);
  if (!source || !destination || !from || !to) return std::nullopt;
  return ProxyHeader{ProxyHeader::Origin::client, {*source, *from}, {*destination, *to}};
}

IpAddress read_ip(Bytes bytes) {
  IpAddress address;
  if (bytes.size() == address.bytes.size()) {
    std::ranges::copy(bytes, address.bytes.begin());
    return address;
  }
  return IpAddress::from_ipv4(std::uint32_t{read_big_endian(bytes)} << 16 | read_big_endian(bytes.subspan(2)));
}

}  // namespace

ProxyHeaderReader::Step ProxyHeaderReader::next(Bytes input) {
  Step step;
  while (stage_ != Stage::whole && stage_ != Stage::malformed && step.consumed < input.size()) {
    // Long stretches that nobody looks at go at once.
    if (stage_ == Stage::skipped || stage_ == Stage::tlv_value) {
      std::size_t& left = stage_ == Stage::skipped ? rest_ : value_;
      const std::size_t taken = std::min(left, input.size() - step.consumed);
      step.consumed += taken;
      left -= taken;
      if (stage_ == Stage::tlv_value) rest_ -= taken;
      if (left == 0) enter_rest();
      continue;
    }
    take(input[step.consumed++]);
  }
  if (stage_ == Stage::whole) step.status = Status::whole;
  if (stage_ == Stage::malformed) step.status = Status::malformed;
  return step;
}

void ProxyHeaderReader::take(std::byte octet) {
  if (stage_ == Stage::first) begin(octet);
  if (stage_ == Stage::malformed) return;
  held_[size_++] = octet;
  switch (stage_) {
    case Stage::line: return read_line();
    case Stage::fixed: return read_fixed();
    case Stage::addresses: return read_addresses();
    case Stage::tlv_head:
      --rest_;
      if (size_ < kTlvHeadBytes) break;
      value_ = read_big_endian(Bytes{held_}.subspan(1, 2));
      size_ = 0;
      stage_ = value_ > rest_ ? Stage::malformed : Stage::tlv_value;
      if (stage_ == Stage::tlv_value && value_ == 0) enter_rest();
      break;
    default: RP_ASSERT(false);
  }
}

void ProxyHeaderReader::begin(std::byte octet) {
  const char first = static_cast<char>(octet);
  stage_ = first == kLineStart.front() ? Stage::line : first == kSignature.front() ? Stage::fixed : Stage::malformed;
}

void ProxyHeaderReader::read_line() {
  const std::string_view line = as_text(Bytes{held_}.first(size_));
  const char last = line.back();
  if (line.size() <= kLineStart.size() && !kLineStart.starts_with(line)) {
    stage_ = Stage::malformed;
  } else if (last == '\n') {
    const auto header = line.ends_with("\r\n") ? parse_line(line.substr(kLineStart.size(), line.size() - kLineStart.size() - 2)) : std::nullopt;
    if (header) header_ = *header;
    stage_ = header ? Stage::whole : Stage::malformed;
  } else if (line.size() == kProxyLineBytesMax || (line.size() > 1 && line[line.size() - 2] == '\r')) {
    stage_ = Stage::malformed;
  }
}

// Signature, version and command, family, length of the block behind it.
void ProxyHeaderReader::read_fixed() {
  const std::string_view text = as_text(Bytes{held_}.first(size_));
  if (size_ <= kSignature.size()) {
    if (!kSignature.starts_with(text)) stage_ = Stage::malformed;
    return;
  }
  if (size_ < kFixedBytes) return;
  const auto command = std::to_integer<std::uint8_t>(held_[12]);
  family_ = std::to_integer<std::uint8_t>(held_[13]);
  rest_ = read_big_endian(Bytes{held_}.subspan(14, 2));
  size_ = 0;
  stage_ = Stage::malformed;
  if (command >> 4 != 2 || rest_ > kProxyBlockBytesMax) return;
  if ((command & 15) == 0) {  // LOCAL: whatever the block says is to be discarded, its family too
    header_.origin = ProxyHeader::Origin::proxy;
    stage_ = Stage::skipped;
  } else if ((command & 15) == 1) {
    const bool tcp = family_ == kTcpOverIpv4 || family_ == kTcpOverIpv6;
    if ((!tcp && std::ranges::find(kOtherFamilies, family_) == std::end(kOtherFamilies)) || rest_ < address_bytes(family_)) return;
    stage_ = tcp ? Stage::addresses : Stage::skipped;
    wanted_ = address_bytes(family_);
  }
  if (stage_ == Stage::skipped && rest_ == 0) stage_ = Stage::whole;
}

void ProxyHeaderReader::read_addresses() {
  --rest_;
  if (size_ < wanted_) return;
  const Bytes block = Bytes{held_}.first(size_);
  const std::size_t bytes = family_ == kTcpOverIpv4 ? 4 : 16;
  const Bytes ports = block.subspan(2 * bytes);
  header_ = {ProxyHeader::Origin::client,
             {read_ip(block.first(bytes)), read_big_endian(ports)},
             {read_ip(block.subspan(bytes, bytes)), read_big_endian(ports.subspan(2))}};
  size_ = 0;
  enter_rest();
}

// Behind addresses or a TLV: the next one, or the end.
void ProxyHeaderReader::enter_rest() {
  if (rest_ == 0) {
    stage_ = Stage::whole;
  } else {
    stage_ = rest_ < kTlvHeadBytes ? Stage::malformed : Stage::tlv_head;
  }
}

}  // namespace ringpost::smtp
