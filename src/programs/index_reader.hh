// Reads the index of a partition in a process of its own: LMDB on a damaged file may end the process that reads it.
#pragma once

#include <expected>
#include <string>

#include "ringpost/index/snapshot.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::programs {

class IndexReader {
 public:
  /// Starts the process. Call it before there are threads and rings. Errors: text for the operator.
  static std::expected<IndexReader, std::string> start(const std::string& index_directory);
  IndexReader(IndexReader&& other) noexcept;
  ~IndexReader();

  /// What it read; once. Unreadable when it died.
  runtime::Task<index::Snapshot> collect(runtime::Ring& ring);

 private:
  IndexReader(int process, int pipe) : process_(process), pipe_(pipe) {}
  int process_, pipe_;
};

}  // namespace ringpost::programs
