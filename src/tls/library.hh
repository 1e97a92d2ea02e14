// wolfSSL's objects as values that free themselves, and its start.
#pragma once

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/error-ssl.h>

#include <memory>

#include "ringpost/base/assert.hh"

namespace ringpost::tls {

/// Before the first call of the library; from any thread, as often as you like.
inline void start_library() {
  static const int started = wolfSSL_Init();
  RP_ASSERT(started == WOLFSSL_SUCCESS);
}

struct FreeContext {
  void operator()(WOLFSSL_CTX* context) const { wolfSSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<WOLFSSL_CTX, FreeContext>;

struct FreeManager {
  void operator()(WOLFSSL_CERT_MANAGER* manager) const { wolfSSL_CertManagerFree(manager); }
};
using ManagerPtr = std::unique_ptr<WOLFSSL_CERT_MANAGER, FreeManager>;

}  // namespace ringpost::tls
