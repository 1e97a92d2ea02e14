#include "ringpost/dns/resolv_conf.hh"

#include <algorithm>
#include <charconv>

namespace ringpost::dns {
namespace {

constexpr std::size_t kServersMax = 3;  // MAXNS
constexpr std::uint16_t kPort = 53;
constexpr std::string_view kBlanks = " \t\r";

std::string_view next_word(std::string_view& line) {
  const std::size_t start = std::min(line.find_first_not_of(kBlanks), line.size());
  const std::size_t end = std::min(line.find_first_of(kBlanks, start), line.size());
  const std::string_view word = line.substr(start, end - start);
  line.remove_prefix(end);
  return word;
}

/// An address, perhaps with the number of its interface: fe80::1%2.
SocketAddress parse_server(std::string_view word) {
  const std::size_t percent = std::min(word.find('%'), word.size());
  const auto ip = IpAddress::parse(word.substr(0, percent));
  if (!ip) return {};
  std::uint32_t scope = 0;
  if (percent < word.size()) {
    const std::string_view number = word.substr(percent + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), scope);
    if (error != std::errc{} || end != number.data() + number.size()) return {};
  }
  return SocketAddress{*ip, kPort, scope};
}

}  // namespace

std::vector<SocketAddress> nameservers(std::string_view text) {
  std::vector<SocketAddress> servers;
  while (!text.empty() && servers.size() < kServersMax) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (next_word(line) != "nameserver") continue;
    const SocketAddress server = parse_server(next_word(line));
    if (server && std::ranges::find(servers, server) == servers.end()) servers.push_back(server);
  }
  if (servers.empty()) servers.push_back({IpAddress::from_ipv4(0x7f000001), kPort});
  return servers;
}

}  // namespace ringpost::dns
