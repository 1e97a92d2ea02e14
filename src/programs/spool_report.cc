#include "programs/spool_report.hh"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace ringpost::programs {

namespace {

using nlohmann::ordered_json;

void print(const ordered_json& object) { std::printf("%s\n", object.dump().c_str()); }

std::string count(std::uint64_t number, const char* one, const char* many) {
  return std::to_string(number) + ' ' + (number == 1 ? one : many);
}

}  // namespace

void SpoolReport::found(const rescue::Finding& finding) {
  const bool damage = rescue::is_damage(finding.kind);
  ++(damage ? damages_ : notes_);
  if (as_json_) {
    ordered_json line{{"finding", rescue::name_of(finding.kind)}, {"damage", damage}};
    if (!finding.partition.is_zero()) line["partition"] = hex(finding.partition);
    if (finding.segment != 0) line["segment"] = finding.segment;
    if (finding.generation != 0) {
      line["generation"] = finding.generation;
      line["offset"] = finding.offset;
      line["bytes"] = finding.bytes;
    }
    if (finding.message) line["message"] = hex(*finding.message);
    return print(line);
  }
  std::string line = damage ? "damage " : "note   ";
  line += rescue::name_of(finding.kind);
  if (!finding.partition.is_zero()) line += " partition " + hex(finding.partition);
  if (finding.segment != 0) line += " segment " + std::to_string(finding.segment);
  if (finding.generation != 0) {
    line += " generation " + std::to_string(finding.generation) + " offset " + std::to_string(finding.offset);
    if (finding.bytes != 0) line += " bytes " + std::to_string(finding.bytes);
  }
  if (finding.message) line += " message " + hex(*finding.message);
  std::printf("%s: %.*s\n", line.c_str(), static_cast<int>(rescue::explain(finding.kind).size()),
              rescue::explain(finding.kind).data());
}

void SpoolReport::tell(std::string_view what, const PartitionId& partition, const MessageId& message, std::string_view name,
                       std::string_view words) const {
  if (as_json_) return print({{"salvage", what}, {"partition", hex(partition)}, {"message", hex(message)}, {"why", name}});
  const std::string line = std::string{what} + "   " + std::string{name} + " message " + hex(message) + ": " + std::string{words};
  std::printf("%s\n", line.c_str());
}

void SpoolReport::lost(const PartitionId& partition, const MessageId& message, rescue::FindingKind why) {
  tell("lost", partition, message, rescue::name_of(why), rescue::explain(why));
}

void SpoolReport::held(const PartitionId& partition, const MessageId& message, rescue::Doubt why) {
  tell("held", partition, message, rescue::name_of(why), rescue::explain(why));
}

void SpoolReport::conclude() const {
  if (of_salvage_) {
    if (as_json_)
      return print({{"summary",
                     {{"damages", damages_},
                      {"notes", notes_},
                      {"saved", salvaged_.saved},
                      {"held", salvaged_.held},
                      {"lost", salvaged_.lost},
                      {"over", salvaged_.over},
                      {"events", salvaged_.events}}}});
    std::printf("%s saved, of which %llu are held; %llu lost; %llu were delivered; %s\n",
                count(salvaged_.saved, "message", "messages").c_str(), static_cast<unsigned long long>(salvaged_.held),
                static_cast<unsigned long long>(salvaged_.lost), static_cast<unsigned long long>(salvaged_.over),
                count(damages_, "finding of damage", "findings of damage").c_str());
    return;
  }
  if (as_json_) {
    print({{"summary",
            {{"damages", damages_},
             {"notes", notes_},
             {"partitions", totals_.partitions},
             {"segments", totals_.segments},
             {"groups", totals_.groups},
             {"records", totals_.records},
             {"messages", totals_.messages},
             {"messages_over", totals_.messages_over},
             {"messages_opened", totals_.messages_opened},
             {"index_entries", totals_.index_entries},
             {"bytes_read", totals_.bytes_read}}}});
    return;
  }
  std::printf("%s, %s, %s, %s; %s (and %llu delivered), %llu opened; %s in the index\n",
              count(totals_.partitions, "partition", "partitions").c_str(),
              count(totals_.segments, "segment", "segments").c_str(), count(totals_.groups, "group", "groups").c_str(),
              count(totals_.records, "record", "records").c_str(), count(totals_.messages, "message", "messages").c_str(),
              static_cast<unsigned long long>(totals_.messages_over), static_cast<unsigned long long>(totals_.messages_opened),
              count(totals_.index_entries, "entry", "entries").c_str());
  if (damages_ == 0)
    std::printf("no damage%s\n", notes_ == 0 ? "" : (", " + count(notes_, "note", "notes")).c_str());
  else
    std::printf("DAMAGED: %s\n", count(damages_, "finding", "findings").c_str());
}

}  // namespace ringpost::programs
