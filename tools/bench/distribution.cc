#include "bench/distribution.hh"

#include <fmt/core.h>

#include <charconv>

#include "ringpost/base/units.hh"

namespace ringpost::bench {

namespace {
constexpr std::uint64_t kNumberMax = 1ull << 40, kWeightMax = 1'000'000;
}

std::expected<std::uint64_t, std::string> parse_number(std::string_view text) {
  std::uint64_t scale = 1, value = 0;
  if (text.ends_with('k') || text.ends_with('K')) scale = 1_KiB;
  if (text.ends_with('M')) scale = 1_MiB;
  if (scale > 1) text.remove_suffix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || value > kNumberMax / scale)
    return std::unexpected("needs a number, with k or M if it is a size");
  return value * scale;
}

std::expected<Range, std::string> Range::parse(std::string_view text, std::uint64_t min, std::uint64_t max) {
  const std::size_t dash = text.find('-');
  auto low = parse_number(text.substr(0, dash));
  auto high = dash == text.npos ? low : parse_number(text.substr(dash + 1));
  if (!low || !high) return std::unexpected(low ? high.error() : low.error());
  if (*low < min || *high > max || *low > *high)
    return std::unexpected(fmt::format("needs NUMBER or MIN-MAX within {} and {}", min, max));
  return Range{*low, *high};
}

std::expected<Distribution, std::string> Distribution::parse(std::string_view text, std::uint64_t min, std::uint64_t max) {
  Distribution all;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    more = comma != text.npos;
    if (more) text.remove_prefix(comma + 1);
    std::uint64_t weight = 1;
    if (const std::size_t colon = part.find(':'); colon != part.npos) {
      auto given = parse_number(part.substr(colon + 1));
      if (!given || *given == 0 || *given > kWeightMax) return std::unexpected(fmt::format("a weight is 1 to {}", kWeightMax));
      weight = *given;
      part = part.substr(0, colon);
    }
    auto range = Range::parse(part, min, max);
    if (!range) return std::unexpected(range.error());
    all.parts_.push_back({*range, weight});
    all.weight_ += weight;
  }
  return all;
}

std::uint64_t Distribution::draw(Prng& prng) const {
  if (parts_.size() == 1) return parts_.front().range.draw(prng);
  std::uint64_t at = prng.below(weight_);
  for (const Part& part : parts_) {
    if (at < part.weight) return part.range.draw(prng);
    at -= part.weight;
  }
  return parts_.back().range.draw(prng);
}

std::string Distribution::text() const {
  std::string text;
  for (const Part& part : parts_) {
    if (!text.empty()) text.push_back(',');
    text += std::to_string(part.range.min);
    if (part.range.max != part.range.min) text += "-" + std::to_string(part.range.max);
    if (parts_.size() > 1) text += ":" + std::to_string(part.weight);
  }
  return text;
}

}  // namespace ringpost::bench
