#include "ringpost/transport/sts_cache.hh"

#include <algorithm>

#include "transport/memory_reader.hh"
#include "transport/memory_writer.hh"

namespace ringpost::transport {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kDomainBytesMax = 255, kIdBytesMax = 32;
constexpr std::chrono::days kUsedLately{30};
constexpr std::chrono::hours kLookAfterAgain{1};

/// The document again, as far as it means anything.
std::string document_of(const Policy& policy) {
  std::string text;
  for (const std::string& line : policy.lines) text.append(line).append("\n");
  return text;
}

/// What it takes in memory, about: its lines, and some of them again as patterns.
std::size_t bytes_of(const std::string& domain, const CachedPolicy& cached) {
  constexpr std::size_t kOfEach = 64;
  std::size_t bytes = 4 * kOfEach + 2 * domain.size();
  for (const std::string& line : cached.policy.lines) bytes += kOfEach + line.size();
  for (const std::string& pattern : cached.policy.mx) bytes += kOfEach + pattern.size();
  return bytes;
}

}  // namespace

std::shared_ptr<const CachedPolicy> StsCache::find(const std::string& domain, Time now) {
  std::lock_guard lock{mutex_};
  const auto found = entries_.find(domain);
  if (found == entries_.end()) return nullptr;
  found->second.used = now;
  return found->second.policy;
}

void StsCache::put(const std::string& domain, CachedPolicy policy, Time now) {
  std::lock_guard lock{mutex_};
  put_locked(domain, std::move(policy), now);
  ++revision_;
}

void StsCache::put_locked(const std::string& domain, CachedPolicy policy, Time used) {
  const std::size_t bytes = bytes_of(domain, policy);
  Entry& entry = entries_[domain];
  bytes_ += bytes - entry.bytes;
  entry = {std::make_shared<const CachedPolicy>(std::move(policy)), used, {}, bytes};
  if (bytes_ > bytes_max_) make_room();
}

// Those that were used least lately, until a tenth is free.
void StsCache::make_room() {
  std::vector<std::pair<Time, std::string>> by_use;
  for (const auto& [domain, entry] : entries_) by_use.emplace_back(entry.used, domain);
  std::ranges::sort(by_use);
  for (std::size_t i = 0; i + 1 < by_use.size() && bytes_ > bytes_max_ / 10 * 9; ++i) {
    const auto oldest = entries_.find(by_use[i].second);
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
}

std::vector<std::string> StsCache::ageing(Time now, std::size_t limit) {
  std::lock_guard lock{mutex_};
  std::vector<std::string> domains;
  for (auto& [domain, entry] : entries_) {
    if (domains.size() >= limit) break;
    const CachedPolicy& cached = *entry.policy;
    const bool due = cached.is_valid(now) && now >= cached.fetched + std::chrono::seconds{cached.policy.max_age_s / 2};
    if (!due || now > entry.used + kUsedLately || now < entry.looked_after + kLookAfterAgain) continue;
    entry.looked_after = now;
    domains.push_back(domain);
  }
  return domains;
}

std::size_t StsCache::size() const {
  std::lock_guard lock{mutex_};
  return entries_.size();
}

std::uint64_t StsCache::revision() const {
  std::lock_guard lock{mutex_};
  return revision_;
}

std::vector<std::byte> StsCache::encode(Time now) const {
  MemoryWriter out;
  out.number(kVersion);
  std::lock_guard lock{mutex_};
  const auto holds = [now](const auto& entry) { return entry.second.policy->is_valid(now); };
  out.number(static_cast<std::uint32_t>(std::ranges::count_if(entries_, holds)));
  for (const auto& [domain, entry] : entries_) {
    const CachedPolicy& cached = *entry.policy;
    if (!cached.is_valid(now)) continue;
    out.text(domain);
    out.text(cached.id);
    out.time(cached.fetched);
    out.time(entry.used);
    out.text(document_of(cached.policy));
  }
  return out.take();
}

bool StsCache::decode(Bytes encoded, Time now) {
  MemoryReader in{encoded};
  if (in.number<std::uint8_t>() != kVersion) return false;
  std::lock_guard lock{mutex_};
  for (std::uint32_t left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    const std::string domain = in.text(kDomainBytesMax);
    CachedPolicy cached{.id = in.text(kIdBytesMax)};
    cached.fetched = std::min(in.time(), now);  // whatever the clock was then, it holds for no longer than max_age from now on
    const Time used = std::min(in.time(), now);
    auto policy = parse_policy(in.text(kPolicyBytesMax));
    if (in.failed() || !policy || domain.empty()) return false;
    cached.policy = std::move(*policy);
    if (cached.is_valid(now)) put_locked(domain, std::move(cached), used);
  }
  return in.done();
}

}  // namespace ringpost::transport
