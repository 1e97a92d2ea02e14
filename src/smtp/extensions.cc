#include "ringpost/smtp/extensions.hh"

#include <algorithm>

#include "ascii.hh"
#include "buffer_writer.hh"
#include "ringpost/base/utc_time.hh"
#include "ringpost/smtp/client_attributes.hh"

namespace ringpost::smtp {

std::size_t write_greeting(std::string_view host, MutableBytes out) {
  return BufferWriter(out).text("220 ").safe(host).text(" ESMTP Ringpost\r\n").size();
}

std::size_t write_helo(std::string_view host, MutableBytes out) {
  return BufferWriter(out).text("250 ").safe(host).text("\r\n").size();
}

std::size_t write_ehlo(const EhloOffer& offer, MutableBytes out) {
  BufferWriter writer(out);
  writer.text("250-").safe(offer.host).text("\r\n250-PIPELINING\r\n250-SIZE");
  if (offer.message_bytes_max != 0) writer.text(" ").number(offer.message_bytes_max);
  writer.text("\r\n250-8BITMIME\r\n250-DSN\r\n");
  if (offer.smtputf8) writer.text("250-SMTPUTF8\r\n");
  if (offer.chunking) writer.text("250-CHUNKING\r\n");
  if (offer.starttls) writer.text("250-STARTTLS\r\n");
  if (offer.require_tls) writer.text("250-REQUIRETLS\r\n");
  if (!offer.auth.empty()) writer.text("250-AUTH ").text(offer.auth).text("\r\n");
  if (offer.xclient) writer.text("250-XCLIENT ").text(kXclientAttributes).text("\r\n");
  if (offer.xforward) writer.text("250-XFORWARD ").text(kXforwardAttributes).text("\r\n");
  if (offer.future_release_max_s != 0)
    writer.text("250-FUTURERELEASE ").number(offer.future_release_max_s).text(" ")
        .text(format_utc(offer.now + std::chrono::seconds(offer.future_release_max_s))).text("\r\n");
  if (offer.deliver_by) writer.text("250-DELIVERBY");
  if (offer.deliver_by && offer.deliver_by_min_s != 0) writer.text(" ").number(offer.deliver_by_min_s);
  if (offer.deliver_by) writer.text("\r\n");
  if (offer.priority) writer.text("250-MT-PRIORITY\r\n");
  if (offer.mail_max != 0 || offer.rcpt_max != 0) {
    writer.text("250-LIMITS");
    if (offer.mail_max != 0) writer.text(" MAILMAX=").number(offer.mail_max);
    if (offer.rcpt_max != 0) writer.text(" RCPTMAX=").number(offer.rcpt_max);
    writer.text("\r\n");
  }
  return writer.text("250 ENHANCEDSTATUSCODES\r\n").size();
}

namespace {

struct Flag {
  std::string_view keyword;
  bool Capabilities::* given;
};
constexpr Flag kFlags[] = {
    {"PIPELINING", &Capabilities::pipelining},
    {"8BITMIME", &Capabilities::eight_bit_mime},
    {"SMTPUTF8", &Capabilities::smtputf8},
    {"CHUNKING", &Capabilities::chunking},
    {"BINARYMIME", &Capabilities::binary_mime},
    {"ENHANCEDSTATUSCODES", &Capabilities::enhanced_status_codes},
    {"DSN", &Capabilities::dsn},
    {"STARTTLS", &Capabilities::starttls},
    {"REQUIRETLS", &Capabilities::require_tls},
    {"SIZE", &Capabilities::size},
    {"DELIVERBY", &Capabilities::deliver_by},
    {"MT-PRIORITY", &Capabilities::priority},
};

struct Limit {
  std::string_view name;
  std::uint32_t Capabilities::* value;
};
constexpr Limit kLimits[] = {
    {"MAILMAX", &Capabilities::mail_max},
    {"RCPTMAX", &Capabilities::rcpt_max},
    {"RCPTDOMAINMAX", &Capabilities::rcpt_domain_max},
};

// limit-value of RFC 9422: 1 to 6 digits, the first not 0. A limit given twice: the lower one holds.
void take_limit(std::string_view value, std::uint32_t& limit) {
  auto number = parse_decimal(value);
  if (!number || value.size() > 6 || value.front() == '0') return;
  auto given = static_cast<std::uint32_t>(*number);
  limit = limit == 0 ? given : std::min(limit, given);
}

}  // namespace

void Capabilities::add_line(std::string_view line) {
  std::string_view keyword = take_word(line);
  for (const Flag& flag : kFlags) {
    if (equals_upper(keyword, flag.keyword)) this->*flag.given = true;
  }
  if (equals_upper(keyword, "AUTH")) auth.append(auth.empty() ? "" : " ").append(line);
  if (equals_upper(keyword, "SIZE")) size_max = parse_decimal(take_word(line)).value_or(size_max);
  if (equals_upper(keyword, "DELIVERBY")) deliver_by_min_s = parse_decimal(take_word(line)).value_or(deliver_by_min_s);
  if (!equals_upper(keyword, "LIMITS")) return;
  while (!line.empty()) {
    std::string_view item = take_word(line);
    std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    for (const Limit& limit : kLimits) {
      if (equals_upper(item.substr(0, equals), limit.name)) take_limit(item.substr(equals + 1), this->*limit.value);
    }
  }
}

}  // namespace ringpost::smtp
