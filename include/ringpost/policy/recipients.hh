// Whose mail this is: what a RCPT is answered, and where its mail goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/smtp/address.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::policy {

/// What a RCPT is answered as far as the settings know.
struct RecipientAnswer {
  smtp::Reply refusal{};      ///< code 0: it is welcome, unless
  bool ask_next_hop = false;  ///< its next hop is to say first whether it exists (recipients.DOMAIN = callout)
};

/// Who gives it.
struct Submitter {
  config::ListenerRole role = config::ListenerRole::relay;  ///< of the listener
  IpAddress client;
  bool authenticated = false;
  bool certified = false;  ///< it may relay by its certificate
};

/// What to answer to a RCPT for `recipient` from `from`.
///
/// Mail for our own domains (relay.domains) is taken from everybody on role mx, mail for anywhere from relay.clients and
/// relay.client_certificates on the roles mx and relay, and on all roles from who has authenticated.
/// Whoever is welcome may still name a recipient that does not exist, or a domain whose route refuses it.
/// Lifetime: the reply's text is of `settings` or a literal.
RecipientAnswer answer_recipient(const config::Settings& settings, const Submitter& from, const smtp::Path& recipient);

/// The listeners on which a stranger could send mail to strangers, as attack tools try it, and by which address: an open relay. Asked
/// at each start and reload, because a network too many in relay.clients is found by others within hours.
struct OpenRelay {
  std::string listener;
  IpAddress client;
};
std::vector<OpenRelay> find_open_relays(const config::Settings& settings);

/// Where mail for an address goes: the longest match of route.DOMAIN, else route.default. `address` is what Path::address() gave:
/// "postmaster" without a domain is the postmaster of own_domain().
const config::Route& route_for(const config::Settings& settings, std::string_view address);

/// The domain of an address; empty where there is none.
std::string_view domain_of(std::string_view address);

/// The domain that "postmaster" without one means: the first of relay.domains that is no pattern, else our host name.
std::string_view own_domain(const config::Settings& settings);

}  // namespace ringpost::policy
