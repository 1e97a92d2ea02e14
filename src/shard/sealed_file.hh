// A small file of the spool that one shard rewrites whole: sealed, because it names domains. Format: docs/formats/transport-memory.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::shard {

/// Lifetime: its tasks end before it dies; one at a time.
class SealedFile {
 public:
  enum class Content : std::uint16_t { mta_sts = 1, tls_reports = 2 };

  /// `metadata_key32`: the store's.
  SealedFile(runtime::Ring& ring, std::string directory, Content content, const StoreId& store, Bytes metadata_key32);

  /// What was written last. Errors: not_found; corrupt: it does not authenticate; from errno.
  runtime::Task<Result<std::vector<std::byte>>> read();
  /// Durable on return; at an error the old one is still there.
  runtime::Task<Result<>> replace(Bytes plaintext);

 private:
  runtime::Ring& ring_;
  std::string directory_;
  Content content_;
  crypto::AeadKey key_;
};

}  // namespace ringpost::shard
