#include "ringpost/smtp/proxy_header.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;
using Status = ProxyHeaderReader::Status;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

/// "from 192.0.2.1:4711 to 198.51.100.1:25, 40 bytes", "unknown, ...", "proxy, ...", "malformed", "more".
std::string read_pieces(const std::vector<std::string>& pieces) {
  ProxyHeaderReader reader;
  std::size_t consumed = 0;
  for (const std::string& piece : pieces) {
    const ProxyHeaderReader::Step step = reader.next(as_bytes(piece));
    consumed += step.consumed;
    if (step.status == Status::malformed) return "malformed";
    if (step.status == Status::need_more) continue;
    const ProxyHeader& header = reader.header();
    const std::string end = ", " + std::to_string(consumed) + " bytes";
    if (header.origin == ProxyHeader::Origin::unknown) return "unknown" + end;
    if (header.origin == ProxyHeader::Origin::proxy) return "proxy" + end;
    return "from " + header.source.text() + " to " + header.destination.text() + end;
  }
  return "more";
}

std::string read(std::string_view bytes) {
  const std::string whole = read_pieces({std::string(bytes)});
  for_each_cut(bytes, [&](const std::vector<std::string>& pieces) { ASSERT_EQ(read_pieces(pieces), whole) << bytes << pieces[0].size(); });
  return whole;
}

/// A version 2 header with the right length.
std::string block(int command, int family, std::string_view content) {
  std::string out = kSignature;
  for (std::size_t octet : {std::size_t(command), std::size_t(family), content.size() >> 8, content.size() & 255})
    out += static_cast<char>(octet);
  return out += content;
}

const std::string kIpv4 = "\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x67\x00\x19"s;
const std::string kIpv6 =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x00\x19"s;

TEST(ProxyHeader, lines_of_version_1) {
  EXPECT_EQ(read("PROXY TCP4 192.0.2.1 198.51.100.1 4711 25\r\nEHLO x\r\n"), "from 192.0.2.1:4711 to 198.51.100.1:25, 43 bytes");
  EXPECT_EQ(read("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), "from [2001:db8::1]:0 to [2001:db8::2]:65535, 44 bytes");
  EXPECT_EQ(read("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), "from 192.0.2.1:1 to [::1]:2, 37 bytes");
  EXPECT_EQ(read("PROXY UNKNOWN\r\nx"), "unknown, 15 bytes");
  EXPECT_EQ(read("PROXY UNKNOWN ffff::1 whatever \x01 1 2\r\n"), "unknown, 38 bytes");
  const std::string longest = "PROXY UNKNOWN " + std::string(kProxyLineBytesMax - 16, 'f') + "\r\n";
  EXPECT_EQ(read(longest), "unknown, 107 bytes");
}

TEST(ProxyHeader, blocks_of_version_2) {
  EXPECT_EQ(read(block(0x21, 0x11, kIpv4) + "EHLO x\r\n"), "from 192.0.2.1:4711 to 198.51.100.1:25, 28 bytes");
  EXPECT_EQ(read(block(0x21, 0x21, kIpv6) + "\x16\x03\x01"), "from [2001:db8::1]:4711 to [2001:db8::2]:25, 52 bytes");
  EXPECT_EQ(read(block(0x20, 0x00, "") + "x"), "proxy, 16 bytes");
  EXPECT_EQ(read(block(0x20, 0x11, kIpv4)), "proxy, 28 bytes") << "LOCAL: the family is ignored, too";
  EXPECT_EQ(read(block(0x20, 0x77, "abc")), "proxy, 19 bytes");
  EXPECT_EQ(read(block(0x21, 0x00, "") + "x"), "unknown, 16 bytes") << "AF_UNSPEC";
  EXPECT_EQ(read(block(0x21, 0x00, "anything")), "unknown, 24 bytes");
  EXPECT_EQ(read(block(0x21, 0x31, std::string(216, 'u'))), "unknown, 232 bytes");
}

TEST(ProxyHeader, tlvs_are_skipped_and_must_add_up) {
  const std::string authority = "\x02\x00\x07mx.test"s, empty = "\x04\x00\x00"s;
  EXPECT_EQ(read(block(0x21, 0x11, kIpv4 + authority + empty + empty) + "EHLO"), "from 192.0.2.1:4711 to 198.51.100.1:25, 44 bytes");
  EXPECT_EQ(read_pieces({block(0x21, 0x11, kIpv4 + "\x20\x3f\x00"s + std::string(0x3f00, 's'))}),
            "from 192.0.2.1:4711 to 198.51.100.1:25, 16159 bytes");
  for (const std::string& bad : {"\x02"s, "\x02\x00"s, "\x02\x00\x08mx.test"s, authority + "\x04\x00"s, empty + "\x04\xff\xff"s})
    EXPECT_EQ(read(block(0x21, 0x11, kIpv4 + bad)), "malformed") << bad.size();
}

TEST(Attacks, C19_malformed_headers_are_none) {
  for (const std::string& bad :
       {"EHLO x\r\n"s, "PROXX"s, "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n"s, "PROXY\r\n"s, "PROXY \r\n"s, "PROXY TCP4\r\n"s, "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n"s,
        "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n"s, "PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n"s, "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n"s,
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"s, "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"s, "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n"s,
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n"s, "PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n"s, "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"s,
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n"s, "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"s, "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n"s,
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n"s, "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r \n"s, "PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n"s,
        "PROXY TCP4 192.0.2.1 198.51.100.1\t1 2\r\n"s, "PROXY UNKNOWNX\r\n"s, "PROXY UNKNOWN\n"s, "PROXY UNKNOWN " + std::string(kProxyLineBytesMax - 15, 'f') + "\r\n",
        "PROXY TCP6 2001:db8::1%1 ::1 1 2\r\n"s,
        "\r\n\r\n\0\r\nQUIS\n"s, "\r\n\r\n\0\r\nQUIT\n\x11"s + "\x11\x00\x0c"s + kIpv4, "\r\nEHLO"s, "\n"s, "\0"s,
        block(0x31, 0x11, kIpv4), block(0x01, 0x11, kIpv4), block(0x22, 0x11, kIpv4), block(0x2f, 0x11, kIpv4), block(0x21, 0x13, kIpv4),
        block(0x21, 0x41, kIpv4), block(0x21, 0x01, kIpv4), block(0x21, 0x11, kIpv4.substr(1)), block(0x21, 0x11, ""), block(0x21, 0x21, kIpv4),
        block(0x21, 0x31, kIpv6), kSignature + "\x21\x11\xff\xff"s, kSignature + "\x20\x00\x40\x01"s})
    EXPECT_EQ(read(bad), "malformed") << bad;
  for (const std::string& half : {""s, "PROXY TCP4 192.0.2.1"s, "PROXY UNKNOWN\r"s, kSignature, block(0x21, 0x11, kIpv4).substr(0, 27),
                                  block(0x20, 0x00, "abc").substr(0, 18)})
    EXPECT_EQ(read(half), "more") << half;
}

// Each line: the bytes in hexadecimal, then what they mean.
TEST(Golden, proxy_headers) {
  std::istringstream lines(golden_file("proxy_headers.txt"));
  std::size_t read_ones = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t arrow = line.find(" => ");
    ASSERT_NE(arrow, line.npos) << line;
    std::istringstream octets(line.substr(0, arrow));
    std::string bytes;
    for (std::string octet; octets >> octet;) bytes += static_cast<char>(std::stoi(octet, nullptr, 16));
    EXPECT_EQ(read(bytes), line.substr(arrow + 4));
    ++read_ones;
  }
  EXPECT_GE(read_ones, 4u);
}

}  // namespace
}  // namespace ringpost::smtp
