// docs/configuration.md, from the table.
#include "table.hh"

namespace ringpost::config {
namespace {

struct Group {
  std::string_view prefix;
  std::string_view title;
};
/// One section for each; a key belongs to the first whose prefix it has.
constexpr Group kGroups[] = {
    {"listener.", "Listeners"}, {"tls.", "TLS"}, {"auth.", "Who may authenticate"}, {"submission.", "Submission"}, {"relay.", "Who may send, and to whom"}, {"recipients.", "Who exists"}, {"callout.", "Asking the next hop who exists"}, {"route.", "Where mail goes"}, {"dns.", "DNS"}, {"retry.", "Retries"}, {"dsn.", "Reports"},
    {"queue.", "Queue"},        {"deliver.", "Delivery"}, {"destination.", "Limits for destinations"},   {"spool.", "Spool"},           {"keys.", "Keys"},
    {"audit.", "Audit"},        {"control.", "Control"},    {"smtp.", "SMTP sessions"},    {"limits.", "Limits for clients"},
    {"memory.", "Memory"},      {"security.", "Security"},  {"crypto.", "Cryptography"},   {"log.", "The server's own log"},
    {"", "The server"},
};

const Group& group_of(std::string_view name) {
  for (const Group& group : kGroups)
    if (name.starts_with(group.prefix)) return group;
  return kGroups[std::size(kGroups) - 1];
}

std::string cell(std::string_view text) {
  std::string out;
  for (char octet : text) {
    if (octet == '|') out += '\\';
    out += octet;
  }
  return out;
}

constexpr std::string_view kIntroduction =
    R"(# Configuration

<!-- Generated from src/config/*_keys.cc by print-config-reference; a test compares them. -->

Settings come from the file that `-c` names (as a service: `/etc/ringpost/ringpost.conf`), then from `conf.d/*.conf` beside it in the order
of their names, then from `ringpostctl set KEY=VALUE` on the running server. What comes later wins. `ringpostctl get -a` prints every key with its value,
its default and where the value came from; its output is itself a valid configuration file.

    # One assignment a line.
    listener.main.address = 0.0.0.0:25
    relay.clients = 127.0.0.0/8, 10.0.0.0/8   # networks that may send
    route.default = smtp://mail.example.net:25

- A `#` starts a comment at the beginning of a line or behind a blank. Inside a word it is an ordinary character; there is no quoting.
- **bytes**: a number, or a number with `KiB`, `MiB` or `GiB`. **duration**: a number with `ms`, `s`, `m`, `h` or `d`.
- **IP:PORT**: `192.0.2.1:25` or `[2001:db8::1]:25`. **networks**: `192.0.2.0/24` or single addresses, with commas or blanks between; `none` for an
  empty list. **path**: absolute, without `.` and `..` parts.
- **rate**: `10/s`, `600/m`, `5000/h`, or `none`.
- **smtp://HOST:PORT**: HOST is an IP address (IPv6 in brackets) or a name; without a port it is 25.
- **domains**: `example.org`, `*.example.org` for every domain below it, with commas or blanks between; `none` for an empty list. In the place of
  DOMAIN in a key they are written in lower case, internationalised ones as A-labels (`xn--`), and one of a single label with a final dot.
- An unknown key, a bad value, a key twice in one file, and settings that contradict each other are errors. All of them are listed with file, line
  and the nearest valid key; the server does not start, and a reload changes nothing.
- Keys marked *restart* take effect when the server starts again; changing one on a running server is refused. All others take effect at once,
  for sessions and deliveries that begin afterwards.
)";

}  // namespace

std::string reference_page() {
  std::string page{kIntroduction};
  const Group* current = nullptr;
  for (const KeyInfo& key : keys()) {
    const Group& group = group_of(key.name);
    if (&group != current) {
      page.append("\n## ").append(group.title).append("\n\n");
      page.append("| key | type | default | range | change | meaning |\n|---|---|---|---|---|---|\n");
      current = &group;
    }
    page.append("| `").append(key.name).append("` | ").append(cell(key.type));
    if (!key.unit.empty()) page.append(", ").append(key.unit);
    page.append(" | ").append(key.fallback.empty() ? "required" : "`" + cell(key.fallback) + "`");
    page.append(" | ").append(cell(key.range)).append(" | ").append(key.effect == Effect::live ? "live" : "restart");
    page.append(" | ").append(cell(key.help)).append(" |\n");
  }
  return page;
}

}  // namespace ringpost::config
