// Sealing: bytes a second for large pieces, and what a message of its own key costs.
#include <benchmark/benchmark.h>

#include <vector>

#include "ringpost/crypto/aead.hh"
#include "ringpost/crypto/hash.hh"

namespace {

using ringpost::crypto::AeadKey;
using ringpost::crypto::kTagBytes;
using ringpost::crypto::Nonce;

void seal_with_one_key(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const std::vector<std::byte> key_bytes(32, std::byte{1}), plaintext(size, std::byte{2});
  std::vector<std::byte> sealed(size + kTagBytes);
  AeadKey key(key_bytes);
  Nonce nonce{};
  std::uint64_t number = 0;
  for (auto _ : state) {
    ringpost::store_le(nonce.data(), ++number);
    key.seal(nonce, {}, plaintext, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}
BENCHMARK(seal_with_one_key)->Arg(64)->Arg(1024)->Arg(4096)->Arg(16384)->Arg(65536);

void seal_with_a_new_key(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> key_bytes(32, std::byte{1}), plaintext(size, std::byte{2}), sealed(size + kTagBytes);
  std::uint64_t number = 0;
  for (auto _ : state) {
    ringpost::store_le(key_bytes.data(), ++number);
    AeadKey key(key_bytes);
    key.seal(Nonce{}, {}, plaintext, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}
BENCHMARK(seal_with_a_new_key)->Arg(64)->Arg(4096)->Arg(65536);

void mac_of_a_group_header(benchmark::State& state) {
  const std::vector<std::byte> key(32, std::byte{1}), bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(ringpost::crypto::hmac_sha256(key, {bytes}));
}
BENCHMARK(mac_of_a_group_header)->Arg(96)->Arg(96 + 16 * 48);

void derive_a_key(benchmark::State& state) {
  const std::vector<std::byte> key(32, std::byte{1}), context(16);
  for (auto _ : state) benchmark::DoNotOptimize(ringpost::crypto::derive_key(key, context, "label", {context, context}));
}
BENCHMARK(derive_a_key);

}  // namespace

BENCHMARK_MAIN();
