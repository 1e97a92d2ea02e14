// PEM (RFC 7468): where the blocks of a file are.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace ringpost::tls {

/// One block. Views of the file.
struct PemBlock {
  std::string_view label;  ///< "CERTIFICATE", "EC PRIVATE KEY"
  std::string_view text;   ///< from "-----BEGIN" to the end of the line "-----END ...", without its newline
};

/// All blocks, in order; what stands between them is passed over. Nothing: a block does not end.
std::optional<std::vector<PemBlock>> pem_blocks(std::string_view file);

/// The bytes of a block's base64. Nothing: it is none.
std::optional<std::vector<std::byte>> pem_bytes(const PemBlock& block);

}  // namespace ringpost::tls
