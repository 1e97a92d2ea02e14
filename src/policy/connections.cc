#include "ringpost/policy/connections.hh"

#include <algorithm>

namespace ringpost::policy {

ConnectionBook::ConnectionBook(std::uint64_t seed)
    : seed_(seed), clients_(std::make_unique<Sketch>()), prefixes_(std::make_unique<Sketch>()) {}

// Adds (a negative delta wraps) to one cell of each row; the smallest new value bounds the key's own count from above.
std::uint64_t ConnectionBook::add(Sketch& sketch, const IpAddress& key, std::uint32_t delta) {
  std::uint32_t least = ~0u;
  for (std::size_t row = 0; row < kRows; ++row) {
    auto& cell = sketch.rows[row][key.hash(seed_ + row) % kWidth];
    least = std::min(least, cell.fetch_add(delta, std::memory_order_relaxed) + delta);
  }
  return least;
}

Admission ConnectionBook::admit(const IpAddress& client, const ConnectionLimits& limits) {
  Admission verdict = Admission::admitted;
  if (open_.fetch_add(1, std::memory_order_relaxed) >= limits.total) verdict = Admission::too_many;
  if (add(*clients_, client, 1) > limits.per_client && verdict == Admission::admitted) verdict = Admission::too_many_of_client;
  if (add(*prefixes_, client.prefix(), 1) > limits.per_prefix && verdict == Admission::admitted)
    verdict = Admission::too_many_of_prefix;
  if (verdict != Admission::admitted) release(client);
  return verdict;
}

void ConnectionBook::release(const IpAddress& client) {
  open_.fetch_sub(1, std::memory_order_relaxed);
  add(*clients_, client, ~0u);
  add(*prefixes_, client.prefix(), ~0u);
}

Admission ConnectionPlace::take(const IpAddress& client, const ConnectionLimits& limits) {
  give_back();
  const Admission admission = book_->admit(client, limits);
  if (admission == Admission::admitted) client_ = client;
  return admission;
}

void ConnectionPlace::give_back() {
  if (client_) book_->release(*client_);
  client_.reset();
}

}  // namespace ringpost::policy
