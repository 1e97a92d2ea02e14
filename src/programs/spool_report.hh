// What an examination of a spool found, for people or as JSON, on standard output.
#pragma once

#include <string_view>

#include "ringpost/rescue/finding.hh"
#include "ringpost/rescue/salvage.hh"
#include "ringpost/rescue/verify.hh"

namespace ringpost::programs {

class SpoolReport final : public rescue::SalvageReporter {
 public:
  SpoolReport(bool as_json, bool of_salvage) : as_json_(as_json), of_salvage_(of_salvage) {}

  void found(const rescue::Finding& finding) override;
  void lost(const PartitionId& partition, const MessageId& message, rescue::FindingKind why) override;
  void held(const PartitionId& partition, const MessageId& message, rescue::Doubt why) override;
  /// The last lines.
  void conclude() const;

  rescue::Totals& totals() { return totals_; }
  rescue::SalvageTotals& salvaged() { return salvaged_; }
  bool has_damage() const { return damages_ > 0 || salvaged_.lost > 0 || salvaged_.held > 0; }

 private:
  void tell(std::string_view what, const PartitionId& partition, const MessageId& message, std::string_view name,
            std::string_view words) const;

  bool as_json_, of_salvage_;
  rescue::Totals totals_;
  rescue::SalvageTotals salvaged_;
  std::uint64_t damages_ = 0, notes_ = 0;
};

}  // namespace ringpost::programs
