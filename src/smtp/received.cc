#include "ringpost/smtp/received.hh"

#include <algorithm>
#include <array>

#include "ascii.hh"
#include "buffer_writer.hh"

namespace ringpost::smtp {

std::string_view with_keyword(const ReceivedWith& with) {
  // RFC 3848 and RFC 6531 section 4.3; index: TLS adds S, AUTH adds A.
  constexpr std::string_view kEsmtp[] = {"ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"};
  constexpr std::string_view kLmtp[] = {"LMTP", "LMTPS", "LMTPA", "LMTPSA"};
  constexpr std::string_view kUtf8Smtp[] = {"UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA"};
  constexpr std::string_view kUtf8Lmtp[] = {"UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA"};
  std::size_t security = (with.tls ? 1u : 0u) + (with.authenticated ? 2u : 0u);
  if (with.lmtp) return (with.utf8 ? kUtf8Lmtp : kLmtp)[security];
  if (with.utf8) return kUtf8Smtp[security];
  return with.extended || security != 0 ? kEsmtp[security] : "SMTP";
}

void write_date(WallTime at, std::span<std::byte, kDateBytes> out) {
  using namespace std::chrono;
  constexpr WallTime kFirst = sys_days{1970y / January / 1};
  at = std::max(at, kFirst);  // a clock may be wrong, the field stays well-formed; nanoseconds end in 2262
  auto day = floor<days>(at);
  year_month_day date{day};
  hh_mm_ss time{floor<seconds>(at - day)};
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat", kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  BufferWriter writer(out);
  auto digits = [&](unsigned value, std::size_t width) {
    char text[4] = {'0', '0', '0', '0'};
    for (std::size_t i = width; i-- > 0; value /= 10) text[i] = static_cast<char>('0' + value % 10);
    writer.text({text, width});
  };
  writer.text(kDays.substr(weekday{day}.c_encoding() * 3, 3)).text(", ");
  digits(unsigned{date.day()}, 2);
  writer.text(" ").text(kMonths.substr((unsigned{date.month()} - 1) * 3, 3)).text(" ");
  digits(static_cast<unsigned>(int{date.year()}), 4);
  writer.text(" ");
  digits(static_cast<unsigned>(time.hours().count()), 2);
  writer.text(":");
  digits(static_cast<unsigned>(time.minutes().count()), 2);
  writer.text(":");
  digits(static_cast<unsigned>(time.seconds().count()), 2);
  writer.text(" +0000");
  RP_ASSERT(writer.size() == kDateBytes);
}

std::size_t write_received(const ReceivedTrace& trace, MutableBytes out) {
  std::array<std::byte, kDateBytes> date;
  write_date(trace.at, date);
  bool ipv6 = trace.client.find(':') != std::string_view::npos;
  BufferWriter writer(out);
  writer.text("Received: ");
  if (!trace.client.empty()) {
    writer.text("from ").safe(trace.helo.empty() ? "unknown" : trace.helo);
    // "Received: from NAME ([IPv6:ADDRESS])" in one line of 78 characters, if it fits (RFC 5322 section 2.1.1).
    writer.text(trace.helo.size() + trace.client.size() > 78 - 26 ? "\r\n\t(" : " (")
        .text(ipv6 ? "[IPv6:" : "[")
        .safe(trace.client)
        .text("])\r\n\t");
  }
  writer.text("by ").safe(trace.by).text(" with ").text(with_keyword(trace.with));
  if (!trace.tls_cipher.empty()) {
    writer.text("\r\n\ttls ").safe(trace.tls_cipher);
    if (!trace.tls_group.empty()) writer.text(" group ").safe(trace.tls_group);
    if (!trace.tls_version.empty()) writer.text(" (").safe(trace.tls_version).text(")");
  }
  if (!trace.authentication.empty()) writer.text("\r\n\t(authentication: ").safe(trace.authentication).text(")");
  writer.text("\r\n\tid ").text(hex(trace.id));
  // With SMTPUTF8 the clause may hold UTF-8 (RFC 6531 section 3.7.3); the grammar has checked it, so it stands as it came.
  if (!trace.for_address.empty()) writer.text("\r\n\tfor <").text(trace.for_address).text(">");
  if (trace.priority != 0) writer.text("\r\n\tpriority ").text(trace.priority < 0 ? "-" : "").number(static_cast<std::uint64_t>(std::abs(trace.priority)));
  writer.text(";\r\n\t").text(as_text(date)).text("\r\n");
  return writer.size();
}

void ReceivedCounter::feed(Bytes content) {
  constexpr std::string_view kName = "RECEIVED";
  std::size_t at = 0;
  while (at < content.size() && !ended_) {
    if (!line_empty_ && matched_ == kOtherField) {  // on to the next line
      auto* newline = static_cast<const std::byte*>(std::memchr(content.data() + at, '\n', content.size() - at));
      if (!newline) return;
      at = static_cast<std::size_t>(newline - content.data());
    }
    auto c = static_cast<char>(content[at++]);
    if (c == '\n') {
      ended_ = line_empty_;
      line_empty_ = true;
      matched_ = 0;
    } else if (c == '\r' && line_empty_) {
      // most likely half of the empty line
    } else {
      line_empty_ = false;
      if (matched_ < kName.size()) {
        matched_ = to_upper(c) == kName[matched_] ? static_cast<std::uint8_t>(matched_ + 1) : kOtherField;
      } else if (matched_ == kName.size() && c != ' ' && c != '\t') {  // blanks before the colon: RFC 5322 section 4.5.8
        count_ += c == ':';
        matched_ = kOtherField;
      }
    }
  }
}

}  // namespace ringpost::smtp
