// Where an examination gets message keys from.
#pragma once

#include <span>

#include "ringpost/keys/client.hh"

namespace ringpost::rescue {

class KeySource {
 public:
  virtual ~KeySource() = default;
  /// As keys::Client::unwrap: 1..kUnwrapItemsMax items; each of `keys` then holds a key or that item's status.
  /// Errors: those after which nothing more can be opened.
  virtual runtime::Task<Result<>> unwrap(std::span<const keys::UnwrapItem> items,
                                         std::span<keys::protocol::UnwrappedItem> keys) = 0;
};

/// keyd's. Over its budget, it waits for the next minute.
class KeydKeys final : public KeySource {
 public:
  KeydKeys(runtime::Ring& ring, keys::Client& client) : ring_(ring), client_(client) {}
  runtime::Task<Result<>> unwrap(std::span<const keys::UnwrapItem> items, std::span<keys::protocol::UnwrappedItem> keys) override;

 private:
  runtime::Ring& ring_;
  keys::Client& client_;
};

}  // namespace ringpost::rescue
