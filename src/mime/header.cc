#include "ringpost/mime/header.hh"

#include <array>
#include <cstddef>

namespace ringpost::mime {
namespace {

struct Name {
  std::string_view text;
  HeaderId id;
};

constexpr Name kNames[] = {
    {"From", HeaderId::from},
    {"Sender", HeaderId::sender},
    {"Reply-To", HeaderId::reply_to},
    {"To", HeaderId::to},
    {"Cc", HeaderId::cc},
    {"Bcc", HeaderId::bcc},
    {"Date", HeaderId::date},
    {"Message-ID", HeaderId::message_id},
    {"In-Reply-To", HeaderId::in_reply_to},
    {"References", HeaderId::references},
    {"Subject", HeaderId::subject},
    {"Comments", HeaderId::comments},
    {"Keywords", HeaderId::keywords},
    {"Received", HeaderId::received},
    {"Return-Path", HeaderId::return_path},
    {"Resent-From", HeaderId::resent_from},
    {"Resent-Sender", HeaderId::resent_sender},
    {"Resent-To", HeaderId::resent_to},
    {"Resent-Cc", HeaderId::resent_cc},
    {"Resent-Bcc", HeaderId::resent_bcc},
    {"Resent-Date", HeaderId::resent_date},
    {"Resent-Message-ID", HeaderId::resent_message_id},
    {"MIME-Version", HeaderId::mime_version},
    {"Content-Type", HeaderId::content_type},
    {"Content-Transfer-Encoding", HeaderId::content_transfer_encoding},
    {"Content-Disposition", HeaderId::content_disposition},
    {"Content-ID", HeaderId::content_id},
    {"Content-Description", HeaderId::content_description},
    {"DKIM-Signature", HeaderId::dkim_signature},
    {"Authentication-Results", HeaderId::authentication_results},
    {"Received-SPF", HeaderId::received_spf},
    {"ARC-Seal", HeaderId::arc_seal},
    {"ARC-Message-Signature", HeaderId::arc_message_signature},
    {"ARC-Authentication-Results", HeaderId::arc_authentication_results},
    {"Delivered-To", HeaderId::delivered_to},
    {"Auto-Submitted", HeaderId::auto_submitted},
    {"Precedence", HeaderId::precedence},
    {"List-Id", HeaderId::list_id},
    {"List-Post", HeaderId::list_post},
    {"List-Unsubscribe", HeaderId::list_unsubscribe},
    {"Errors-To", HeaderId::errors_to},
    {"TLS-Required", HeaderId::tls_required},
};

// Open addressing; four times as many slots as names, so that a lookup rarely takes a second probe.
constexpr std::size_t kSlots = 256;
static_assert(std::size(kNames) * 4 <= kSlots);

consteval std::array<std::uint8_t, kSlots> make_slots() {
  std::array<std::uint8_t, kSlots> slots{};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    std::size_t slot = header_name_hash(kNames[i].text) % kSlots;
    while (slots[slot] != 0) slot = (slot + 1) % kSlots;
    slots[slot] = static_cast<std::uint8_t>(i + 1);
  }
  return slots;
}
constexpr auto kSlotOf = make_slots();

}  // namespace

HeaderId header_id(std::string_view name, std::uint32_t hash) noexcept {
  for (std::size_t slot = hash % kSlots; kSlotOf[slot] != 0; slot = (slot + 1) % kSlots) {
    const Name& candidate = kNames[kSlotOf[slot] - 1U];
    if (equal_ignoring_case(candidate.text, name)) return candidate.id;
  }
  return HeaderId::other;
}

HeaderId header_id(std::string_view name) noexcept { return header_id(name, header_name_hash(name)); }

}  // namespace ringpost::mime
