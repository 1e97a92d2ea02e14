// auditd's journal and server in a simulated world.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/auditd/journal.hh"
#include "ringpost/event/codec.hh"
#include "ringpost/event/frame.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::auditd {

using runtime::Task;
inline constexpr char kDirectory[] = "/audit";

inline IncarnationId incarnation(unsigned which) {
  IncarnationId id;
  id.bytes[0] = std::byte{0xaa};
  id.bytes[15] = static_cast<std::byte>(which);
  return id;
}

/// A batch as it comes over the socket: events `first`..`last` of a source.
inline std::vector<std::byte> batch_of(const IncarnationId& source, std::uint64_t first, std::uint64_t last) {
  std::vector<std::byte> buffer(event::kBatchBytesMax);
  event::BatchWriter writer{buffer, source, first};
  for (std::uint64_t sequence = first; sequence <= last; ++sequence) {
    event::Event event{.kind = event::Kind::process_started};
    event.stamp = {source, sequence, WallTime{std::chrono::seconds{1}}, event::Process::ringpostd, 0};
    std::array<std::byte, event::kEventBytesMax> bytes;
    std::size_t size = event::encode(event, bytes);
    RP_ASSERT(writer.add(Bytes{bytes}.first(size)));
  }
  Bytes packet = writer.finish();
  return {packet.begin(), packet.end()};
}

/// One life of a journal.
struct JournalLife {
  JournalLife(sim::World& world, std::uint64_t file_bytes_max)
      : ring(world.make_ring("auditd")), log(LogLevel::error), journal(ring, log, kDirectory, file_bytes_max) {}
  sim::SimRing& ring;
  Log log;
  Journal journal;
};

class JournalWorld {
 public:
  explicit JournalWorld(std::uint64_t seed = 1) : world_(seed) { world_.disk().make_directory(kDirectory); }
  ~JournalWorld() {
    if (life_) stop();
  }

  sim::World& world() { return world_; }
  sim::Disk& disk() { return world_.disk(); }
  Journal& journal() { return life_->journal; }
  JournalLife& life() { return *life_; }

  Result<> start(std::uint64_t file_bytes_max = Journal::kFileBytesMax) {
    life_ = std::make_unique<JournalLife>(world_, file_bytes_max);
    return run(life_->journal.open());
  }
  void stop() {
    run_on(life_->ring, life_->journal.close());
    sim::SimRing& ring = life_->ring;
    life_.reset();
    world_.retire(ring);
  }
  /// As SIGKILL does it; with a power cut, what was not synced may be gone or torn.
  void kill(bool power_cut = false) {
    world_.kill(life_->ring);
    bury_killed();
    if (power_cut) disk().power_cut();
  }
  void bury_killed() {
    {
      runtime::CrashGuard guard;
      life_.reset();
    }
    world_.bury();
  }

  Result<std::uint64_t> append(const IncarnationId& source, std::uint64_t first, std::uint64_t last) {
    std::vector<std::byte> packet = batch_of(source, first, last);
    auto batch = event::Batch::decode(packet);
    RP_ASSERT(batch);
    return run(life_->journal.append(*batch));
  }

  template <typename T>
  T run(Task<T> task) {
    std::optional<T> result;
    run_on(life_->ring, store_result(std::move(task), result));
    return std::move(*result);
  }
  void run_on(sim::SimRing& ring, Task<void> task) {
    runtime::Scope scope(ring);
    scope.spawn(std::move(task));
    RP_ASSERT(world_.run_until([&] { return scope.running() == 0; }, std::chrono::hours{1}) == sim::Stop::reached);
  }

  static std::string name(unsigned number) { return std::string{kDirectory} + "/audit-0000000" + std::to_string(number) + ".jsonl"; }
  std::string text(unsigned number) {
    auto content = disk().content(name(number));
    return content ? std::string{as_text(*content)} : std::string{};
  }
  /// Every line that counts, by the readers' rule: of each file as much as a later one says, else its whole lines.
  std::vector<std::string> lines() {
    std::map<std::uint64_t, std::size_t> counts;
    for (unsigned number = 1; number < 10; ++number) {
      std::string opening = text(number);
      for (std::size_t at = 0; (at = opening.find("{\"marks\":\"counts\",\"file\":", at)) != std::string::npos; ++at) {
        std::uint64_t file = std::stoull(opening.substr(opening.find("\"file\":", at) + 7));
        counts[file] = std::stoull(opening.substr(opening.find("\"bytes\":", at) + 8));
      }
    }
    std::vector<std::string> found;
    for (unsigned number = 1; number < 10; ++number) {
      std::string content = text(number);
      if (counts.contains(number)) content.resize(counts[number]);
      for (std::size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1)
        if (!content.substr(begin).starts_with("{\"marks\"")) found.push_back(content.substr(begin, end - begin));
    }
    return found;
  }
  /// The sequences of one source in the order in which they count.
  std::vector<std::uint64_t> sequences(const IncarnationId& source) {
    std::vector<std::uint64_t> found;
    for (const std::string& line : lines())
      if (line.contains("\"incarnation\":\"" + hex(source) + "\""))
        found.push_back(std::stoull(line.substr(line.find("\"sequence\":") + 11)));
    return found;
  }
  std::vector<std::string> gaps() {
    std::vector<std::string> found;
    for (const std::string& line : lines())
      if (line.contains("\"event\":\"audit_gap\"")) found.push_back(line);
    return found;
  }

 private:
  template <typename T>
  static Task<void> store_result(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await task);
  }
  sim::World world_;
  std::unique_ptr<JournalLife> life_;
};

inline std::vector<std::uint64_t> up_to(std::uint64_t last) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t i = 1; i <= last; ++i) all.push_back(i);
  return all;
}

}  // namespace ringpost::auditd
