// Certificates for one run of the tests, made by openssl's command line: nothing that is checked in expires.
#pragma once

#include <string>
#include <string_view>

#include "ringpost/crypto/library.hh"
#include "ringpost/tls/certificate.hh"

namespace ringpost::tls::testing {

/// Time as the world tells it, for what happens outside of a ring. Randomness from nowhere in particular.
class FixedWorld final : public crypto::LibraryWorld {
 public:
  explicit FixedWorld(WallTime now) : now_(now) {}
  void random(MutableBytes target) override {
    for (std::byte& byte : target) byte = static_cast<std::byte>(next_ = next_ * 6364136223846793005u + 1442695040888963407u);
  }
  WallTime wall_now() override { return now_; }
  void set(WallTime now) { now_ = now; }

 private:
  WallTime now_;
  std::uint64_t next_ = 1;
};

/// The real now, to which the certificates below belong.
WallTime today();

/// Files of PEM, by who they are for. All are valid from now on: leaves for 30 days, authorities for ten years.
///
///   root -> middle -> mx (ECDSA P-256, mx.test and *.wild.test), mx-rsa (RSA 2048, mx.test), other (ECDSA, other.test)
///                     short (RSA 1024, mx.test), old (signed over SHA-1, mx.test)
///   alone: signed by itself, mx.test          stranger-root -> stranger (mx.test)
struct TestFiles {
  std::string folder;
  std::string root, stranger_root;
  std::string mx_chain, mx_key, mx_rsa_chain, mx_rsa_key, other_chain, other_key, alone, alone_key, stranger_chain, stranger_key;
  std::string middle;
  std::string short_chain, short_key, old_chain, old_key;
};
/// Made once for each process.
const TestFiles& files();

/// A certificate read from two of these.
Certificate made_of(std::string_view name, const std::string& chain, const std::string& key);

}  // namespace ringpost::tls::testing
