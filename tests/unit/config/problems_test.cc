// What is refused, with file, line and the nearest valid key.
#include "helpers.hh"
#include "ringpost/base/prng.hh"
#include "table.hh"

namespace ringpost::config {
namespace {

TEST(Problems, an_unknown_key_names_the_nearest_valid_one) {
  EXPECT_EQ(problems_of("\n\nsmtp.mesage_bytes_max = 1 MiB\n"),
            "ringpost.conf:3: smtp.mesage_bytes_max: unknown key; nearest valid key: smtp.message_bytes_max\n");
  EXPECT_EQ(problems_of("shard = 1\n"), "ringpost.conf:1: shard: unknown key; nearest valid key: shards\n");
  EXPECT_EQ(problems_of("rotue.default = hold\n"),
            "ringpost.conf:1: rotue.default: unknown key; nearest valid key: route.default\n");
  EXPECT_EQ(problems_of("listener.mx.adress = 127.0.0.1:25\n"),
            "ringpost.conf:1: listener.mx.adress: unknown key; nearest valid key: listener.mx.address\n");
  EXPECT_EQ(problems_of("listener.address = 127.0.0.1:25\n"),
            "ringpost.conf:1: listener.address: unknown key; nearest valid key: listener.NAME.address\n");
  EXPECT_EQ(problems_of("listener.a b.address = 127.0.0.1:25\n"),
            "ringpost.conf:1: listener.a b.address: unknown key; nearest valid key: listener.NAME.address\n");
  EXPECT_EQ(problems_of("Shards = 1\n"), "ringpost.conf:1: Shards: unknown key; nearest valid key: shards\n");
}

TEST(Problems, a_line_that_is_no_assignment) {
  EXPECT_EQ(problems_of("shards 4\n"), "ringpost.conf:1: shards: this is no assignment: write KEY = VALUE\n");
  EXPECT_EQ(problems_of("[server]\n").substr(0, 33), "ringpost.conf:1: [server]: this i");
  EXPECT_EQ(problems_of("= 4\n").substr(0, 29), "ringpost.conf:1: unknown key;");
  EXPECT_EQ(problems_of("shards =  # four\n"), "ringpost.conf:1: shards: the value is missing\n");
}

TEST(Problems, a_key_twice_in_one_file) {
  EXPECT_EQ(problems_of("shards = 1\n\nshards = 1\n"), "ringpost.conf:3: shards: already set in line 1\n");
  EXPECT_EQ(problems_of("shards = 1\nshards = many\n"),
            "ringpost.conf:2: shards: \"many\" is no whole number\nringpost.conf:2: shards: already set in line 1\n");
}

TEST(Problems, all_of_them_are_listed_in_the_order_of_files_and_lines) {
  std::vector<Source> sources{{"main.conf", "shards = 0\nnonsense\n"},
                              {"conf.d/a.conf", "spool.direct = true\nretry.first = 5\n"}};
  EXPECT_EQ(problems_of(Configuration::load(sources, kEnvironment)),
            "main.conf:1: shards: \"0\" is outside auto, or 1 .. 256\n"
            "main.conf:2: nonsense: this is no assignment: write KEY = VALUE; nearest valid key: " +
                nearest_key("nonsense") +
                "\n"
                "conf.d/a.conf:1: spool.direct: \"true\" is neither yes nor no\n"
                "conf.d/a.conf:2: retry.first: \"5\" is no duration: write a number with ms, s, m, h or d\n");
}

TEST(Problems, a_bad_value_counts_even_where_a_later_file_overrides_it) {
  std::vector<Source> sources{{"main.conf", "shards = -1\n"}, {"conf.d/a.conf", "shards = 1\n"}};
  EXPECT_EQ(problems_of(Configuration::load(sources, kEnvironment)), "main.conf:1: shards: \"-1\" is no whole number\n");
}

TEST(Problems, contradictions_stand_where_they_were_written) {
  EXPECT_EQ(problems_of("listener.a.role = relay\n"), "ringpost.conf:1: listener.a.role: listener a has no address\n");
  EXPECT_EQ(problems_of("listener.a.address = 127.0.0.1:25\nlistener.b.address = 127.0.0.1:25\n"),
            "ringpost.conf:2: listener.b.address: 127.0.0.1:25 is already the address of listener a\n");
  EXPECT_EQ(problems_of("retry.max = 30s\n"),
            "ringpost.conf:1: retry.max: retry.first must not exceed retry.max, which is 30 s\n");
  EXPECT_EQ(problems_of("spool.directory = /var/lib/ringpost/keys/spool\n"),
            "ringpost.conf:1: spool.directory: keys.directory and spool.directory must lie apart: different users own them\n");
  EXPECT_EQ(problems_of("memory.receive_buffer_bytes = 3 KiB\n"),
            "ringpost.conf:1: memory.receive_buffer_bytes: 3 KiB is no power of two\n");
  EXPECT_EQ(problems_of("audit.buffer_bytes_max = 0\n"),
            "ringpost.conf:1: audit.buffer_bytes_max: audit.when_unavailable = buffer needs an audit.buffer_bytes_max above 0\n");
  EXPECT_EQ(problems_of("limits.connections_per_client = 3000\n"),
            "ringpost.conf:1: limits.connections_per_client: limits.connections_per_client must not exceed "
            "limits.connections_per_prefix, which is 2000\n");
  EXPECT_EQ(problems_of("dns.trust_ad = no\ndestination.a.example.tls = dane\n"),
            "ringpost.conf:2: destination.a.example.tls: DANE rests on what resolvers prove, and by dns.trust_ad = no none of them is believed\n");
  EXPECT_NE(problems_of("control.socket = /" + std::string(107, 's') + "\n").find("107 octets"), std::string::npos);
}

TEST(Problems, a_login_at_a_next_hop_is_whole_and_not_for_everybody_to_hear) {
  const std::string name = "destination.mx.example.auth.username = us\n", file = "destination.mx.example.auth.password_file = /etc/password\n";
  EXPECT_EQ(problems_of(name), "ringpost.conf:1: destination.mx.example.auth.username: a login is a name and a password: "
                               "destination.mx.example.auth.password_file is missing\n");
  EXPECT_EQ(problems_of(file), "ringpost.conf:1: destination.mx.example.auth.password_file: a login is a name and a password: "
                               "destination.mx.example.auth.username is missing\n");
  for (const std::string policy : {"auto", "none", "opportunistic"})
    EXPECT_EQ(problems_of(name + file + "destination.mx.example.tls = " + policy + "\n"),
              "ringpost.conf:1: destination.mx.example.auth.username: a password is not for everybody to hear: set "
              "destination.mx.example.tls = verify (or dane, or encrypt)\n");
  for (const std::string policy : {"encrypt", "verify", "dane"})
    EXPECT_EQ(problems_of(name + file + "destination.mx.example.tls = " + policy + "\n"), "accepted");
  EXPECT_EQ(problems_of("destination.mx.example.tls_certificate = ours\n"),
            "ringpost.conf:1: destination.mx.example.tls_certificate: there is no tls.certificate.ours.chain\n");
}

TEST(Problems, a_bad_value_is_not_also_a_contradiction) {
  EXPECT_EQ(problems_of("listener.a.address = here\n"),
            "ringpost.conf:1: listener.a.address: \"here\" is no address: write 192.0.2.1:25 or [2001:db8::1]:25\n");
}

TEST(Problems, a_smaller_total_than_the_default_per_client_is_no_contradiction) {
  EXPECT_EQ(problems_of("limits.connections_max = 10\n"), "accepted");
}

TEST(Problems, nothing_unprintable_reaches_a_terminal) {
  EXPECT_EQ(problems_of("sh\x1b[2Jards = 1\n").substr(0, 35), "ringpost.conf:1: sh\\x1b[2Jards: unk");
  EXPECT_EQ(problems_of("shards = \x01\n"), "ringpost.conf:1: shards: \"\\x01\" is no whole number\n");
}

TEST(Problems, any_bytes_get_a_verdict) {
  Prng prng{7};
  std::string valid = Configuration::defaults(kEnvironment).dump() + "listener.a.address = 127.0.0.1:25\n";
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string content = valid;
    for (int edits = 0; edits < 5; ++edits) content[prng.below(content.size())] = static_cast<char>(prng.next());
    Configuration::Built built = load(content);
    if (!built) {
      ++refused;
      for (const Problem& problem : built.error()) EXPECT_FALSE(problem.reason.empty());
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(NearestKey, one_slip_never_leads_astray) {
  for (const Key& key : table()) {
    const std::string_view instance = key.placeholder() == "DOMAIN" ? "x.y" : "x";
    std::string name = key_text(key, instance);
    for (std::size_t i = 0; i < name.size(); ++i) {
      if (name[i] == '.') continue;  // without it, a family's NAME has no end
      std::string dropped = name.substr(0, i) + name.substr(i + 1);
      const std::size_t own = key.family().size();
      if (key.is_family() && i >= own - 1 && i < own + instance.size()) continue;  // the instance's own name
      EXPECT_EQ(nearest_key(dropped), find_key(dropped) ? dropped : name) << dropped;
    }
  }
}

TEST(NearestKey, a_monstrous_key_costs_little) { EXPECT_FALSE(nearest_key(std::string(10'000'000, 'x')).empty()); }

TEST(Problems, tls_needs_a_certificate_and_a_certificate_its_key) {
  EXPECT_EQ(problems_of("listener.a.address = 127.0.0.1:25\nlistener.a.tls = offered\n"),
            "ringpost.conf:2: listener.a.tls: TLS needs a certificate, and there is no tls.certificate.NAME.chain\n");
  EXPECT_EQ(problems_of("tls.certificate.a.chain = /a.pem\n"),
            "ringpost.conf:1: tls.certificate.a.chain: certificate a has no key: tls.certificate.a.key is missing\n");
  EXPECT_EQ(problems_of("\ntls.certificate.a.key = /a.pem\n"),
            "ringpost.conf:2: tls.certificate.a.key: certificate a has no chain: tls.certificate.a.chain is missing\n");
  EXPECT_EQ(problems_of("listener.a.address = 127.0.0.1:25\nlistener.a.tls = maybe\n").substr(0, 33), "ringpost.conf:2: listener.a.tls: ");
  EXPECT_EQ(problems_of("listener.a.address = 127.0.0.1:25\nlistener.a.tls = implicit\ntls.minimum = 1.3\n"
                        "tls.certificate.a.chain = /a.pem\ntls.certificate.a.key = /a.pem\n"), "accepted");
}

TEST(Problems, certificates_of_clients_need_somebody_who_asks_and_somebody_who_certifies) {
  const std::string listener =
      "listener.a.address = 127.0.0.1:25\nlistener.a.tls = offered\ntls.certificate.a.chain = /a.pem\ntls.certificate.a.key = /a.pem\n";
  const std::string asks = "listener.a.client_certificates = optional\n", authority = "tls.client_ca_file = /ca.pem\n";
  EXPECT_EQ(problems_of(listener + asks + authority + "tls.client_revocation_file = /crl.pem\nrelay.client_certificates = a.example\n"), "accepted");
  EXPECT_EQ(problems_of(listener + asks),
            "ringpost.conf:5: listener.a.client_certificates: no client's certificate could be good: tls.client_ca_file is missing\n");
  EXPECT_EQ(problems_of("listener.a.address = 127.0.0.1:25\n" + asks + authority),
            "ringpost.conf:2: listener.a.client_certificates: certificates are shown under TLS only: set listener.a.tls\n");
  EXPECT_EQ(problems_of(listener + authority + "relay.client_certificates = a.example\n"),
            "ringpost.conf:6: relay.client_certificates: no listener asks for certificates: set listener.NAME.client_certificates\n");
  EXPECT_EQ(problems_of("tls.client_revocation_file = /crl.pem\n"),
            "ringpost.conf:1: tls.client_revocation_file: there is nobody to revoke: tls.client_ca_file is missing\n");
}

TEST(Problems, tokens_and_dovecot) {
  const std::string issuer = "auth.oauth.issuer = https://id.example\n", audience = "auth.oauth.audience = mail\n", keys = "auth.oauth.key_file = /k.json\n";
  EXPECT_EQ(problems_of(issuer + audience + keys), "accepted");
  EXPECT_EQ(problems_of(issuer + keys), "ringpost.conf:1: auth.oauth.issuer: tokens for whom? auth.oauth.audience is missing\n");
  EXPECT_EQ(problems_of(issuer + audience), "ringpost.conf:1: auth.oauth.issuer: nobody could check a token: auth.oauth.key_file or auth.oauth.introspection_url is missing\n");
  EXPECT_EQ(problems_of(keys), "ringpost.conf:1: auth.oauth.key_file: whose keys are they? auth.oauth.issuer is missing\n");
  const std::string url = "auth.oauth.introspection_url = https://id.example/ask\n", client = "auth.oauth.introspection_client_id = mail\n",
                    secret = "auth.oauth.introspection_secret_file = /s\n";
  EXPECT_EQ(problems_of(issuer + audience + url + client + secret), "accepted");
  EXPECT_EQ(problems_of(issuer + audience + keys + url + client + secret), "accepted");
  EXPECT_EQ(problems_of(url + client + secret), "ringpost.conf:1: auth.oauth.introspection_url: whose tokens are they? auth.oauth.issuer is missing\n");
  EXPECT_EQ(problems_of(issuer + audience + url + secret),
            "ringpost.conf:3: auth.oauth.introspection_url: who asks there? auth.oauth.introspection_client_id is missing\n");
  EXPECT_EQ(problems_of(issuer + audience + url + client),
            "ringpost.conf:3: auth.oauth.introspection_url: who asks there? auth.oauth.introspection_secret_file is missing\n");
  EXPECT_EQ(problems_of(issuer + audience + keys + secret),
            "ringpost.conf:4: auth.oauth.introspection_secret_file: whom to ask? auth.oauth.introspection_url is missing\n");
  EXPECT_EQ(problems_of("auth.dovecot_socket = /run/dovecot/auth\n"), "accepted");
  EXPECT_EQ(problems_of("auth.dovecot_socket = /run/dovecot/auth\nauth.scram = yes\n"),
            "ringpost.conf:2: auth.scram: auth.scram needs keys that Dovecot does not tell: leave it, or auth.dovecot_socket\n");
}

}  // namespace
}  // namespace ringpost::config
