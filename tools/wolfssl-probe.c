/* Shows what the wolfSSL that tools/wolfssl just built can do: known answers, the speed of AES-256-GCM, and whether it has the hybrid
   key exchange with ML-KEM. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/random.h>

enum { kBlockBytes = 16384, kBlocks = 8192 };

/* What our build makes wolfSSL ask instead of the system. */
int ringpost_random(unsigned char* target, unsigned size) { return getrandom(target, size, 0) == (ssize_t)size ? 0 : -1; }

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

/* Public keys come out of a table, shared secrets out of the ladder: both ways must agree, and with RFC 7748 section 6.1. */
static int x25519_is_right(void) {
  static const unsigned char alice[32] = {0x70, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
                                          0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x6a};
  static const unsigned char hers[32] = {0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
                                         0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};
  static const unsigned char base[32] = {9};
  unsigned char secret[32], by_table[32], by_ladder[32];
  memcpy(secret, alice, sizeof secret);
  secret[0] &= 248, secret[31] = (secret[31] & 127) | 64;
  if (wc_curve25519_make_pub(32, by_table, 32, secret) != 0 || memcmp(by_table, hers, 32) != 0) return 0;
  for (int i = 0; i < 1000; ++i) {
    if (ringpost_random(secret, 32) != 0) return 0;
    secret[0] &= 248, secret[31] = (secret[31] & 127) | 64;
    if (wc_curve25519_make_pub(32, by_table, 32, secret) != 0 || wc_curve25519_generic(32, by_ladder, 32, secret, 32, base) != 0 ||
        memcmp(by_table, by_ladder, 32) != 0)
      return 0;
  }
  return 1;
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
  if (!x25519_is_right()) return puts("X25519 gives a wrong answer"), 1;
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
