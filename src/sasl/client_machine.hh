// What one mechanism says to a server.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ringpost/sasl/client.hh"

namespace ringpost::sasl {

/// Its owner keeps the order: each call below comes only when the last answer asked for it.
class ClientExchange::Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;
  virtual ~Machine() = default;

  virtual Next start() = 0;
  virtual Next take(Bytes challenge) = 0;
  virtual Next work(std::uint32_t) { RP_ASSERT(false); }
  virtual bool complete() const = 0;

  std::optional<SecretBytes> words;
  ClientFailure failure = ClientFailure::malformed;
  bool started = false, works = false, failed = false;

 protected:
  /// All of `parts`, one behind the other.
  Next say(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (std::string_view part : parts) size += part.size();
    std::vector<std::byte> bytes;
    bytes.reserve(size);  // a larger home later would leave a copy behind
    for (std::string_view part : parts) bytes.insert(bytes.end(), as_bytes(part).begin(), as_bytes(part).end());
    words.emplace(std::move(bytes));
    return Next::say;
  }
  Next fail(ClientFailure kind) {
    failure = kind;
    return Next::failed;
  }
};

std::unique_ptr<ClientExchange::Machine> make_client_scram(bool plus, const Login& login, const ClientCircumstances& circumstances);

}  // namespace ringpost::sasl
