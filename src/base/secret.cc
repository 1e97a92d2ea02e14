#include "ringpost/base/secret.hh"

#include "ringpost/base/wipe_stack.hh"

#include <cstring>

namespace ringpost {

void wipe(MutableBytes bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

namespace {

#ifdef __x86_64__
// Copies go through vector registers, which keep what they held until somebody else uses them: the dynamic linker may write all of them
// to the stack much later.
[[gnu::noinline, gnu::target("avx512f")]] void wipe_high_registers() noexcept {
  asm volatile(
      "vpxorq %%zmm16, %%zmm16, %%zmm16\n vpxorq %%zmm17, %%zmm17, %%zmm17\n vpxorq %%zmm18, %%zmm18, %%zmm18\n"
      "vpxorq %%zmm19, %%zmm19, %%zmm19\n vpxorq %%zmm20, %%zmm20, %%zmm20\n vpxorq %%zmm21, %%zmm21, %%zmm21\n"
      "vpxorq %%zmm22, %%zmm22, %%zmm22\n vpxorq %%zmm23, %%zmm23, %%zmm23\n vpxorq %%zmm24, %%zmm24, %%zmm24\n"
      "vpxorq %%zmm25, %%zmm25, %%zmm25\n vpxorq %%zmm26, %%zmm26, %%zmm26\n vpxorq %%zmm27, %%zmm27, %%zmm27\n"
      "vpxorq %%zmm28, %%zmm28, %%zmm28\n vpxorq %%zmm29, %%zmm29, %%zmm29\n vpxorq %%zmm30, %%zmm30, %%zmm30\n"
      "vpxorq %%zmm31, %%zmm31, %%zmm31" ::
          : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29",
            "xmm30", "xmm31");
}

[[gnu::noinline, gnu::target("avx")]] void wipe_low_registers() noexcept {
  asm volatile("vzeroall" ::
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                     "xmm15");
}

void wipe_registers() noexcept {
  if (__builtin_cpu_supports("avx512f")) wipe_high_registers();
  if (__builtin_cpu_supports("avx")) wipe_low_registers();
}
#else
void wipe_registers() noexcept {}
#endif

}  // namespace

[[gnu::noinline]] void wipe_stack() noexcept {
  wipe_registers();
  std::byte below[kStackWipedBytes];
  wipe(below);
}

}  // namespace ringpost
