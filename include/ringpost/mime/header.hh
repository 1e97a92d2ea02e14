// Header field names worth knowing by number, so that counting and finding them needs no message bytes.
#pragma once

#include <cstdint>
#include <string_view>

#include "ringpost/base/ascii.hh"

namespace ringpost::mime {

// clang-format off
enum class HeaderId : std::uint8_t {
  other = 0,
  // RFC 5322 section 3.6
  from, sender, reply_to, to, cc, bcc, date, message_id, in_reply_to, references, subject, comments, keywords,
  received, return_path,
  resent_from, resent_sender, resent_to, resent_cc, resent_bcc, resent_date, resent_message_id,
  // RFC 2045 section 3, RFC 2183
  mime_version, content_type, content_transfer_encoding, content_disposition, content_id, content_description,
  // Authentication (RFC 6376, 8601, 7208, 8617)
  dkim_signature, authentication_results, received_spf, arc_seal, arc_message_signature, arc_authentication_results,
  // What loop and automation rules look at (RFC 3834, 2919, 2369, 8689)
  delivered_to, auto_submitted, precedence, list_id, list_post, list_unsubscribe, errors_to, tls_required,
};
// clang-format on

/// Case-insensitive (ASCII) hash of a field name: FNV-1a over the lower-cased bytes.
constexpr std::uint32_t header_name_hash(std::string_view name) noexcept {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) {
    const auto byte = static_cast<std::uint8_t>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    hash = (hash ^ byte) * 16777619U;
  }
  return hash;
}

/// The number of `name` (any case), or `HeaderId::other`. Source: the RFCs named beside the enumerators.
HeaderId header_id(std::string_view name) noexcept;
/// Same, when the caller already has `header_name_hash(name)`.
HeaderId header_id(std::string_view name, std::uint32_t hash) noexcept;

}  // namespace ringpost::mime
