// The only bytes a data file may be given. `crypto::Sealer` alone makes them, so plaintext on disk does not compile.
#pragma once

#include "ringpost/base/bytes.hh"

namespace ringpost {

namespace crypto {
class Sealer;
}

/// A view of bytes that are ciphertext or public framing, authenticated. Lifetime: the buffer's.
class SealedBytes {
 public:
  SealedBytes() = default;
  Bytes view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  /// A part of what is sealed is sealed.
  SealedBytes subspan(std::size_t offset) const { return SealedBytes{bytes_.subspan(offset)}; }
  SealedBytes subspan(std::size_t offset, std::size_t size) const { return SealedBytes{bytes_.subspan(offset, size)}; }

 private:
  friend class crypto::Sealer;
  explicit SealedBytes(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace ringpost
