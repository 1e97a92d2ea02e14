// Keeps what a sink receives, for comparisons byte by byte: NUMBER.eml as it came in, NUMBER.json for its envelope.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/content_digest.hh"
#include "ringpost/base/error.hh"

namespace ringpost::bench {

struct Envelope {
  std::string client, helo;
  std::string reverse_path;
  std::vector<std::string> recipients;
  bool eight_bit = false, smtputf8 = false;
  bool chunked = false;  ///< came by BDAT
};

/// Any thread may add.
class MessageStore {
 public:
  /// No store: add() does nothing.
  MessageStore() = default;
  /// `directory` is made when it is missing; numbers go on behind those that are there. Errors: from errno.
  Result<> open(const std::string& directory);

  explicit operator bool() const { return !directory_.empty(); }
  /// The .json appears last and whole: a reader who sees it sees the message. Errors: from errno.
  Result<> add(const Envelope& envelope, std::string_view content, const ContentFacts& facts);

 private:
  std::string directory_;
  std::atomic<std::uint64_t> next_{1};
};

}  // namespace ringpost::bench
