// TLSA records of the certificates that tests make.
#pragma once

#include <string>
#include <vector>

#include "ringpost/crypto/hash.hh"
#include "ringpost/tls/dane.hh"
#include "tls/der.hh"
#include "tls/pem.hh"

namespace ringpost::tls::testing {

using Octets = std::vector<std::byte>;

/// The certificates of a PEM file.
inline std::vector<Octets> ders(const std::string& pem) {
  std::vector<Octets> read;
  const auto blocks = pem_blocks(pem);
  for (const PemBlock& block : blocks.value())
    if (block.label == "CERTIFICATE") read.push_back(pem_bytes(block).value());
  return read;
}

/// Of a certificate, what a selector is about.
inline Octets selected(unsigned selector, Bytes certificate) {
  const Bytes part = selector == 0 ? certificate : public_key_info(certificate).value();
  return {part.begin(), part.end()};
}

/// What a domain would publish for `certificate`.
inline Association record(unsigned usage, unsigned selector, unsigned matching, Bytes certificate) {
  Association made{static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching), {}};
  const Octets part = selected(selector, certificate);
  if (matching == 0) made.data = part;
  const crypto::Digest256 short_digest = crypto::sha256({part});
  const crypto::Digest512 long_digest = crypto::sha512(part);
  if (matching == 1) made.data.assign(short_digest.begin(), short_digest.end());
  if (matching == 2) made.data.assign(long_digest.begin(), long_digest.end());
  return made;
}

inline Association spoilt(Association record) {
  record.data.back() ^= std::byte{1};
  return record;
}

}  // namespace ringpost::tls::testing
