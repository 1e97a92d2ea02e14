// The running hash over everything that happened, which makes two runs comparable.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "ringpost/base/units.hh"

namespace ringpost::sim {

class Trace {
 public:
  Trace();
  ~Trace();
  Trace(const Trace&) = delete;

  void add(Instant at, std::string_view what, std::uint64_t who, std::int64_t value);
  std::uint64_t hash() const { return XXH3_64bits_digest(state_); }
  void print(bool on) { print_ = on; }

 private:
  XXH3_state_t* state_;
  bool print_ = false;
};

}  // namespace ringpost::sim
