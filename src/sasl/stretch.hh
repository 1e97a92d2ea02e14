// Hi() of RFC 5802 section 2.2: PBKDF2 with one block, as much of it at a time as somebody has time for.
#pragma once

#include <cstdint>
#include <optional>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/sasl/scram.hh"

namespace ringpost::sasl {

/// Are salt and iterations within the bounds of scram.hh?
bool in_bounds(std::size_t salt_bytes, std::uint32_t iterations);

class Stretch {
 public:
  /// `password` outlives it. `iterations`: 1 at least, this constructor does the first of them.
  Stretch(Bytes password, Bytes salt, std::uint32_t iterations);
  Stretch(const Stretch&) = delete;
  ~Stretch();

  /// Does at most so many iterations. True: it is done.
  bool work(std::uint32_t iterations);
  /// The salted password, when it is done.
  Bytes result() const { return sum_; }

 private:
  Bytes password_;
  std::uint32_t left_;
  crypto::Digest256 round_, sum_;
};

}  // namespace ringpost::sasl
