#include "ringpost/smtp/submission_header.hh"

#include <algorithm>
#include <array>
#include <cstdint>

#include "ascii.hh"
#include "ringpost/smtp/received.hh"

namespace ringpost::smtp {

namespace {

/// Fields that stand once at most (RFC 5322 section 3.6): with two, readers differ in which one they show.
constexpr std::array<std::string_view, 10> kOnce{"DATE", "FROM", "SENDER", "REPLY-TO", "TO", "CC", "MESSAGE-ID", "IN-REPLY-TO", "REFERENCES", "SUBJECT"};
constexpr std::string_view kLineEnd = "\r\n";

/// The name of the field that begins with `line`, without its colon; empty when none does.
std::string_view field_name(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return {};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);  // RFC 5322 section 4.5
  const bool printable = std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; });
  return printable ? name : std::string_view{};
}

bool continues(std::string_view line) { return line.starts_with(' ') || line.starts_with('\t'); }

/// Whether `line`, which begins at `at`, is still of the header; a message may begin with its body, without an empty line.
bool belongs(std::string_view line, std::size_t at) { return (at > 0 && continues(line)) || !field_name(line).empty(); }

}  // namespace

void SubmissionHeader::feed(Bytes content) {
  RP_ASSERT(!whole_);
  if (refusal_) return;
  text_.append(as_text(content));
  for (std::size_t end; (end = text_.find(kLineEnd, scanned_)) != std::string::npos; scanned_ = end + kLineEnd.size()) {
    const std::string_view line = std::string_view{text_}.substr(scanned_, end - scanned_);
    if (belongs(line, scanned_)) continue;
    return end_at(scanned_, line.empty() ? end + kLineEnd.size() : scanned_);
  }
  if (text_.size() <= kSubmissionHeaderBytesMax) return;
  refusal_ = replies::kHeaderTooLarge;
  text_ = {};
}

void SubmissionHeader::finish() {
  if (whole_ || refusal_) return;
  const std::string_view line = std::string_view{text_}.substr(scanned_);  // without an end
  if (line.empty() || !belongs(line, scanned_)) return end_at(scanned_, scanned_);
  text_.append(kLineEnd);
  end_at(text_.size(), text_.size());
}

void SubmissionHeader::end_at(std::size_t header_end, std::size_t rest_begin) {
  rest_ = text_.substr(rest_begin);
  text_.resize(header_end);
  whole_ = true;
  judge();
}

void SubmissionHeader::judge() {
  std::array<bool, kOnce.size()> seen{};
  for (std::size_t at = 0; at < text_.size();) {
    const std::size_t end = std::min(text_.find(kLineEnd, at), text_.size());
    const std::string_view line = std::string_view{text_}.substr(at, end - at);
    at = end + kLineEnd.size();
    if (continues(line)) continue;
    const std::string_view name = field_name(line);
    const auto known = std::ranges::find_if(kOnce, [name](std::string_view once) { return equals_upper(name, once); });
    if (known == kOnce.end()) continue;
    bool& was_seen = seen[static_cast<std::size_t>(known - kOnce.begin())];
    if (was_seen && !refusal_) refusal_ = replies::kDuplicateField;
    was_seen = true;
    if (*known == "DATE") has_date_ = true;
    if (*known == "MESSAGE-ID") has_message_id_ = true;
  }
}

std::string SubmissionHeader::text(const MessageId& id, std::string_view host, WallTime now) const {
  std::string header = text_;
  if (!has_date_) {
    std::array<std::byte, kDateBytes> date;
    write_date(now, date);
    header.append("Date: ").append(as_text(date)).append(kLineEnd);
  }
  if (!has_message_id_) header.append("Message-ID: <").append(hex(id)).append("@").append(host).append(">").append(kLineEnd);
  return header.append(kLineEnd);
}

}  // namespace ringpost::smtp
