#include "bench/faults.hh"

#include <charconv>

namespace ringpost::bench {

namespace {

constexpr std::array<std::string_view, kStages> kStageNames = {"connect", "tls", "mail", "rcpt", "data", "content", "end", "reply"};

bool read_decimal(std::string_view text, double& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_time(std::string_view text, Duration& time) {
  double unit = 1e9;
  if (text.ends_with("ms")) {
    unit = 1e6;
    text.remove_suffix(2);
  } else if (text.ends_with("s")) {
    text.remove_suffix(1);
  } else {
    return false;
  }
  double value = 0;
  if (!read_decimal(text, value) || !(value >= 0 && value <= 86'400)) return false;
  time = Duration{static_cast<Duration::rep>(value * unit)};
  return true;
}

std::unexpected<std::string> wrong(std::string_view item, std::string_view why) {
  return std::unexpected(std::string{"\""}.append(item).append("\": ").append(why));
}

}  // namespace

std::string_view stage_name(Stage stage) { return kStageNames[static_cast<std::size_t>(stage)]; }

std::expected<FaultPlan, std::string> FaultPlan::parse(std::string_view text) {
  FaultPlan plan;
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    std::string_view name = item.substr(0, item.find('='));
    std::string_view value = name.size() < item.size() ? item.substr(name.size() + 1) : std::string_view{};
    if (name == "slow" || name == "greylist") {
      if (!read_time(value, name == "slow" ? plan.slow_ : plan.greylist_)) return wrong(item, "needs a time, such as 50ms or 2s");
      continue;
    }
    std::string_view action = name.substr(0, name.find('@'));
    if (action.size() == name.size()) return wrong(item, "is not ACTION@STAGE[=RATE], slow=TIME or greylist=TIME");
    std::string_view where = name.substr(action.size() + 1);
    std::size_t stage = 0;
    while (stage < kStages && kStageNames[stage] != where) ++stage;
    if (stage == kStages) return wrong(item, "stages are connect, tls, mail, rcpt, data, content, end, reply");
    double rate = 1;
    if (name.size() < item.size() && (!read_decimal(value, rate) || !(rate >= 0 && rate <= 1)))
      return wrong(item, "a rate is 0..1");
    bool drop_only = stage == static_cast<std::size_t>(Stage::content) || stage == static_cast<std::size_t>(Stage::reply);
    Rates& rates = plan.rates_[stage];
    if (action == "drop") {
      rates.drop = rate;
    } else if (drop_only) {
      return wrong(item, "at this stage a connection can only be dropped");
    } else if (action == "tempfail") {
      rates.tempfail = rate;
    } else if (action == "permfail") {
      rates.permfail = rate;
    } else {
      return wrong(item, "actions are tempfail, permfail, drop");
    }
    plan.any_ = true;
  }
  return plan;
}

Fault FaultPlan::draw(Stage stage, Prng& prng) const {
  if (!any_) return Fault::none;
  const Rates& rates = rates_[static_cast<std::size_t>(stage)];
  double draw = static_cast<double>(prng.next() >> 11) * 0x1p-53;  // [0, 1)
  if (draw < rates.drop) return Fault::drop;
  draw -= rates.drop;
  if (draw < rates.permfail) return Fault::permfail;
  draw -= rates.permfail;
  return draw < rates.tempfail ? Fault::tempfail : Fault::none;
}

bool Greylist::passes(std::string_view sender, std::string_view recipient, Duration delay, Instant now) {
  std::string pair = std::string{sender}.append(1, ' ').append(recipient);
  std::lock_guard lock{mutex_};
  auto seen = first_seen_.find(pair);
  if (seen != first_seen_.end()) return now - seen->second >= delay;
  if (first_seen_.size() >= kPairsMax) return true;
  first_seen_.emplace(std::move(pair), now);
  return false;
}

}  // namespace ringpost::bench
