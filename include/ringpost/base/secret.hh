// Memory for secrets: wiped when it dies, never copied, without any way to print it.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "ringpost/base/bytes.hh"

namespace ringpost {

/// Overwrites `bytes` with zeros in a way the compiler keeps.
void wipe(MutableBytes bytes) noexcept;

/// `Size` secret bytes. Move-only, wiped on move and destruction. There is no formatter on purpose.
template <std::size_t Size>
class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes from) {
    RP_ASSERT(from.size() == Size);
    copy_bytes(bytes_, from);
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.clear(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.clear();
    }
    return *this;
  }
  ~Secret() { clear(); }

  /// An explicit second copy, for the rare place that needs one.
  Secret duplicate() const { return Secret{Bytes{bytes_}}; }
  void clear() noexcept { wipe(bytes_); }
  Bytes view() const { return bytes_; }
  MutableBytes mutable_view() { return bytes_; }

 private:
  std::array<std::byte, Size> bytes_{};
};

using Key256 = Secret<32>;

/// As many secret bytes as there are: a private key's file. Move-only, wiped when it dies. There is no formatter on purpose.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  SecretBytes(SecretBytes&&) noexcept = default;
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~SecretBytes() { wipe(bytes_); }

  bool empty() const { return bytes_.empty(); }
  Bytes view() const { return bytes_; }
  std::string_view text() const { return as_text(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace ringpost
