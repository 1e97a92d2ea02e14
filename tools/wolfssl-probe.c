/* Shows what the wolfSSL that tools/wolfssl just built can do: one known answer, the speed of AES-256-GCM, and whether it has the
   hybrid key exchange with ML-KEM. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

enum { kBlockBytes = 16384, kBlocks = 8192 };

/* What our build makes wolfSSL ask instead of the system. */
int ringpost_random(unsigned char* target, unsigned size) { return getrandom(target, size, 0) == (ssize_t)size ? 0 : -1; }

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

int main(void) {
  static unsigned char plain[kBlockBytes], sealed[kBlockBytes];
  unsigned char key[32] = {0}, nonce[12] = {0}, tag[16];
  /* The GCM specification's test case 14: key, nonce and one block of plaintext all zero. */
  static const unsigned char wanted[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5,
                                           0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99,
                                           0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
  Aes aes;
  WC_RNG rng;
  if (wc_InitRng(&rng) != 0 || wc_RNG_GenerateBlock(&rng, sealed, sizeof sealed) != 0) return puts("no randomness"), 1;
  if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0 || wc_AesGcmSetKey(&aes, key, sizeof key) != 0) return puts("no AES"), 1;
  if (wc_AesGcmEncrypt(&aes, sealed, plain, 16, nonce, sizeof nonce, tag, sizeof tag, NULL, 0) != 0 ||
      memcmp(sealed, wanted, 16) != 0 || memcmp(tag, wanted + 16, 16) != 0)
    return puts("AES-256-GCM gives a wrong answer"), 1;
  const double start = seconds();
  for (int block = 0; block < kBlocks; ++block) {
    memcpy(nonce, &block, sizeof block);
    wc_AesGcmEncrypt(&aes, sealed, plain, kBlockBytes, nonce, sizeof nonce, tag, sizeof tag, NULL, 0);
  }
  printf("wolfSSL: AES-256-GCM seals %.0f MB/s on one core\n", (double)kBlocks * kBlockBytes / 1e6 / (seconds() - start));
#if defined(WOLFSSL_HAVE_MLKEM)
  puts("wolfSSL: key exchange X25519MLKEM768 is offered");
#else
  puts("wolfSSL: this version has no X25519MLKEM768");
#endif
  return 0;
}
