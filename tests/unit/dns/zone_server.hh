// A small DNS server for tests: zones as a table, and every bad habit a server may have. Over UDP and TCP, on a simulated ring.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "packets.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::dns {

enum class Habit : std::uint8_t {
  normal,
  servfail,
  bogus,       ///< the same, and says that DNSSEC is the reason (RFC 8914)
  refuse,
  silent,
  lame,        ///< a referral instead of an answer
  truncate,    ///< over UDP: the TC bit and no records
  malformed,   ///< the right header and question, then rubbish
  lower_case,  ///< the question comes back in lower case
  no_edns,     ///< FORMERR for whoever says EDNS
  no_soa,      ///< nothing in the authority section
};

/// What a server knows and how it behaves. Pure: bytes in, bytes out.
class Zone {
 public:
  Zone& add(std::string_view name, Type type, Octets data, std::uint32_t ttl = 300) {
    names_.insert(std::string{name});
    records_[{std::string{name}, type}].push_back({std::move(data), ttl});
    return *this;
  }
  Zone& a(std::string_view name, std::string_view ip, std::uint32_t ttl = 300) {
    return add(name, ip.find(':') == ip.npos ? Type::a : Type::aaaa, a_data(ip), ttl);
  }
  Zone& mx(std::string_view name, unsigned preference, std::string_view host, std::uint32_t ttl = 300) {
    return add(name, Type::mx, mx_data(preference, host), ttl);
  }
  Zone& cname(std::string_view name, std::string_view target, std::uint32_t ttl = 300) {
    return add(name, Type::cname, name_data(target), ttl);
  }
  Zone& tlsa(std::string_view name, unsigned usage, unsigned selector, unsigned matching, Bytes data, std::uint32_t ttl = 300) {
    return add(name, Type::tlsa, data_of(PacketWriter{}.u8(usage).u8(selector).u8(matching).raw(data)), ttl);
  }
  /// A name that exists without records.
  Zone& empty(std::string_view name) {
    names_.insert(std::string{name});
    return *this;
  }
  Zone& habit(std::string_view name, Habit habit) {
    habits_[std::string{name}] = habit;
    return *this;
  }
  void remove(std::string_view name) {
    names_.erase(std::string{name});
    std::erase_if(records_, [&](const auto& entry) { return entry.first.first == name; });
  }
  /// Of all names without a habit of their own.
  Habit everywhere = Habit::normal;
  bool authentic = false;  ///< sets AD
  std::set<std::string> unproven;  ///< zones for which it does not, all the same
  bool strips = false;     ///< leaves signatures out of authentic answers
  bool chase = true;       ///< follows CNAMEs within one answer
  std::uint32_t negative_ttl = 60;
  std::size_t udp_bytes_max = 1232;
  std::set<Type> silent_types;  ///< questions about these get no answer
  std::map<std::string, std::size_t> asked;  ///< name and type in numbers, how often

  std::optional<Octets> answer(Bytes query, bool tcp);

 private:
  struct Asked;
  static Asked read_question(Bytes query);
  std::optional<Octets> reply(Bytes query, bool tcp);
  bool proves(const Octets& packet, const Asked& question) const;
  struct Data {
    Octets data;
    std::uint32_t ttl;
  };
  std::set<std::string> names_;
  std::map<std::pair<std::string, Type>, std::vector<Data>> records_;
  std::map<std::string, Habit> habits_;
};

/// A zone behind TCP, on any ring.
///
/// Lifetime: await stop() before it dies.
class TcpZoneServer {
 public:
  TcpZoneServer(runtime::Ring& ring, Zone& zone) : ring_(ring), zone_(zone), scope_(ring) {}
  /// Listens there, and says where.
  SocketAddress start(const SocketAddress& address);
  runtime::Task<void> stop();

 private:
  runtime::Task<void> accept();
  runtime::Task<void> serve(Fd socket);

  runtime::Ring& ring_;
  Zone& zone_;
  runtime::Scope scope_;
  Fd listener_;
  std::optional<runtime::Acceptor> acceptor_;
};

/// A zone at an address of a simulated network, over UDP and TCP.
///
/// Lifetime: await stop() before it dies.
class SimZoneServer {
 public:
  SimZoneServer(sim::SimRing& ring, SocketAddress address, Zone& zone)
      : network_(ring.world().network()), address_(address), zone_(zone), tcp_(ring, zone) {}

  void start(bool with_tcp = true);
  runtime::Task<void> stop();

  Duration delay{};  ///< before each answer over UDP
  /// Shown each query first, with who asks: it may send forgeries, with `send`.
  std::function<void(const SocketAddress& from, Bytes query)> spy;
  void send(const SocketAddress& to, const Octets& packet, Duration later = {}) {
    network_.send_datagram(address_, to, packet, later);
  }

 private:
  sim::Network& network_;
  SocketAddress address_;
  Zone& zone_;
  TcpZoneServer tcp_;
};

}  // namespace ringpost::dns
