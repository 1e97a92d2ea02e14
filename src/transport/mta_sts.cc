#include "ringpost/transport/mta_sts.hh"

#include <algorithm>
#include <charconv>

#include "ringpost/base/ascii.hh"
#include "ringpost/base/assert.hh"
#include "ringpost/smtp/address.hh"
#include "transport/fields.hh"

namespace ringpost::transport {

namespace {

constexpr std::string_view kVersion = "v=STSv1", kWildcard = "*.";

std::string lower_case(std::string_view text) {
  std::string lower{text};
  std::ranges::transform(lower, lower.begin(), ascii_lower);
  return lower;
}

bool is_pattern(std::string_view text) {
  if (text.starts_with(kWildcard)) text.remove_prefix(kWildcard.size());
  return smtp::parse_domain(text) == smtp::AddressFault::none;
}

std::optional<Mode> mode_named(std::string_view text) {
  for (Mode mode : {Mode::none, Mode::testing, Mode::enforce})
    if (text == name_of(mode)) return mode;
  return std::nullopt;
}

/// 1 to 10 digits, within the bound.
std::optional<std::uint32_t> parse_max_age(std::string_view text) {
  std::uint64_t seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.size() > 10 || fault != std::errc{} || end != text.data() + text.size() || seconds > kMaxAgeMax_s) return std::nullopt;
  return static_cast<std::uint32_t>(seconds);
}

bool has_odd_octet(std::string_view line) {
  return std::ranges::any_of(line, [](char c) { return is_control(c) && c != '\t'; });
}

}  // namespace

std::expected<std::string, RecordFault> parse_sts_records(std::span<const std::string> records) {
  const auto fields = only_record(records, kVersion);
  if (!fields) return std::unexpected(fields.error());
  std::string id;
  for (const Field& field : *fields) {
    if (field.value.find_first_of("= \t") != field.value.npos) return std::unexpected(RecordFault::syntax);
    if (field.key != "id") continue;
    // Letters and digits: what a key may be, without its other characters.
    if (!id.empty() || !is_key(field.value) || field.value.find_first_of("_-.") != field.value.npos)
      return std::unexpected(RecordFault::syntax);
    id = field.value;
  }
  if (id.empty()) return std::unexpected(RecordFault::syntax);
  return id;
}

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::none: return "none";
    case Mode::testing: return "testing";
    case Mode::enforce: return "enforce";
  }
  RP_ASSERT(false);
}

std::string_view name_of(PolicyFault fault) {
  switch (fault) {
    case PolicyFault::status: return "status";
    case PolicyFault::content_type: return "content_type";
    case PolicyFault::too_large: return "too_large";
    case PolicyFault::syntax: return "syntax";
    case PolicyFault::version: return "version";
    case PolicyFault::mode: return "mode";
    case PolicyFault::max_age: return "max_age";
    case PolicyFault::mx: return "mx";
  }
  RP_ASSERT(false);
}

std::expected<Policy, PolicyFault> parse_policy(std::string_view text) {
  if (text.size() > kPolicyBytesMax) return std::unexpected(PolicyFault::too_large);
  Policy policy;
  std::optional<std::string_view> version, mode, max_age;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (has_odd_octet(line)) return std::unexpected(PolicyFault::syntax);
    if (trimmed(line).empty()) continue;
    policy.lines.emplace_back(line);
    const std::size_t colon = line.find(':');
    if (colon == line.npos || !is_key(line.substr(0, colon))) return std::unexpected(PolicyFault::syntax);
    const std::string_view key = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (key == "version" && !version) version = value;
    if (key == "mode" && !mode) mode = value;
    if (key == "max_age" && !max_age) max_age = value;
    if (key == "mx") {
      if (!is_pattern(value)) return std::unexpected(PolicyFault::mx);
      policy.mx.push_back(lower_case(value));
    }
  }
  if (version != "STSv1") return std::unexpected(PolicyFault::version);
  const std::optional<Mode> known_mode = mode_named(mode.value_or(""));
  if (!known_mode) return std::unexpected(PolicyFault::mode);
  const std::optional<std::uint32_t> seconds = parse_max_age(max_age.value_or(""));
  if (!seconds) return std::unexpected(PolicyFault::max_age);
  if (policy.mx.empty() && *known_mode != Mode::none) return std::unexpected(PolicyFault::mx);
  policy.mode = *known_mode;
  policy.max_age_s = *seconds;
  return policy;
}

std::expected<Policy, PolicyFault> parse_policy_response(int status, std::string_view content_type, std::string_view body) {
  if (status != 200) return std::unexpected(PolicyFault::status);
  if (!equal_ignoring_case(trimmed(cut(content_type, ';')), "text/plain")) return std::unexpected(PolicyFault::content_type);
  return parse_policy(body);
}

bool matches(const Policy& policy, std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::size_t dot = host.find('.');
  return std::ranges::any_of(policy.mx, [&](std::string_view pattern) {
    if (!pattern.starts_with(kWildcard)) return equal_ignoring_case(pattern, host);
    return dot != host.npos && dot > 0 && equal_ignoring_case(pattern.substr(kWildcard.size()), host.substr(dot + 1));
  });
}

Lookup look_up(const CachedPolicy* cached, const std::optional<std::string>& record, std::chrono::sys_seconds now) {
  if (!cached || !cached->is_valid(now)) return {.use_cached = false, .fetch = record.has_value()};
  const bool ageing = now >= cached->fetched + std::chrono::seconds{cached->policy.max_age_s / 2};
  return {.use_cached = true, .fetch = record && (ageing || *record != cached->id)};
}

}  // namespace ringpost::transport
