#include "programs/completion.hh"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ringpost/dns/resolv_conf.hh"

namespace ringpost::programs {
namespace {

constexpr std::size_t kRecipientBytesMax = 256 << 20;

/// A name that this machine has in its own list needs no DNS, and may stand in none.
void resolve(config::Route& route, const std::string& hosts_file) {
  if (!route.is_next_hop() || route.address) return;
  std::istringstream lines{hosts_file};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line.substr(0, line.find('#'))};
    std::string address, name;
    words >> address;
    const auto ip = IpAddress::parse(address);
    while (ip && words >> name)
      if (name == route.host) {
        route.address = SocketAddress{*ip, route.port};
        return;
      }
  }
}

}  // namespace

std::vector<IpAddress> own_addresses(const std::vector<config::Listener>& listeners) {
  std::vector<IpAddress> own;
  for (const config::Listener& listener : listeners)
    if (listener.address.is_ip() && !listener.address.ip().is_unspecified()) own.push_back(listener.address.ip());
  if (own.size() == listeners.size()) return own;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return own;
  for (const ifaddrs* each = all; each; each = each->ifa_next) {
    const int family = each->ifa_addr ? each->ifa_addr->sa_family : AF_UNSPEC;
    if (family != AF_INET && family != AF_INET6) continue;
    const auto address = SocketAddress::from_native(each->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (address) own.push_back(address->ip());
  }
  ::freeifaddrs(all);
  return own;
}

namespace {

/// A small file of the system; empty when it cannot be read.
std::string system_file(const char* path) {
  std::ifstream in{path, std::ios::binary};
  std::ostringstream content;
  if (in) content << in.rdbuf();
  return std::move(content).str();
}

std::expected<std::string, std::string> read_whole(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) return std::unexpected(path + ": is a directory, not a file of recipients");
  errno = 0;
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::unexpected(path + ": " + std::strerror(errno ? errno : EIO));
  std::string content;
  char block[64 << 10];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    content.append(block, static_cast<std::size_t>(in.gcount()));
    if (content.size() > kRecipientBytesMax) return std::unexpected(path + ": too large for a file of recipients");
  }
  if (in.bad()) return std::unexpected(path + ": cannot be read");
  return content;
}

std::expected<void, std::string> read_recipients(config::RecipientRule& rule) {
  if (rule.value.kind != config::RecipientRule::Kind::file) return {};
  const std::string& path = rule.value.path;
  const auto text = read_whole(path);
  if (!text) return std::unexpected("recipients." + rule.domain + ": " + text.error());
  auto list = config::RecipientList::parse(*text, rule.domain);
  if (!list) return std::unexpected(path + ":" + std::to_string(list.error().line) + ": recipients." + rule.domain + ": " + list.error().reason);
  rule.list = std::make_shared<const config::RecipientList>(std::move(*list));
  return {};
}

}  // namespace

std::expected<void, std::string> complete(config::Settings& settings, const std::vector<IpAddress>& own,
                                          const std::vector<SocketAddress>& resolvers) {
  const std::string hosts = system_file("/etc/hosts");
  resolve(settings.route.fallback, hosts);
  for (config::DomainRoute& route : settings.route.domains) resolve(route.route, hosts);
  if (settings.dns.servers.empty()) {
    const std::string listed = system_file("/etc/resolv.conf");
    settings.dns.servers = listed.empty() && !resolvers.empty() ? resolvers : dns::nameservers(listed);
  }
  settings.dns.own_addresses = own;
  std::expected<void, std::string> done;
  for (config::RecipientRule& rule : settings.recipients)
    if (done) done = read_recipients(rule);
  return done;
}

}  // namespace ringpost::programs
