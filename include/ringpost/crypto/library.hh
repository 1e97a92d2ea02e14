// Where wolfSSL gets its randomness and its time from.
#pragma once

#include "ringpost/base/bytes.hh"
#include "ringpost/base/units.hh"

namespace ringpost::crypto {

/// What wolfSSL asks of the world while it works: it asks nobody else, so that a simulated world gives the same every time.
class LibraryWorld {
 public:
  virtual ~LibraryWorld() = default;
  /// Cryptographic randomness.
  virtual void random(MutableBytes target) = 0;
  virtual WallTime wall_now() = 0;
};

/// While it lives, what this thread calls of wolfSSL asks `world`. Every call that may ask stands below one (asserted).
class LibraryCalls {
 public:
  explicit LibraryCalls(LibraryWorld& world);
  LibraryCalls(const LibraryCalls&) = delete;
  ~LibraryCalls();

 private:
  LibraryWorld* before_;
};

}  // namespace ringpost::crypto
