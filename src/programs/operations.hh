// What operators may ask of the whole daemon: status, metrics, settings, the end.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "programs/settings_board.hh"
#include "ringpost/config/configuration.hh"
#include "ringpost/control/backend.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/policy/logins.hh"

namespace ringpost::programs {

/// Facts of this start that do not change.
struct Facts {
  std::size_t shards = 0;
  std::size_t partitions = 0;
  bool separated = false;
  bool hardware_aes = false;
  bool helpers_are_services = false;  ///< started by the service manager, not by us
};

/// A start and each reload try to relay as a stranger.
void warn_of_open_relays(const config::Settings& settings, Log& log);

/// Threads: any; it locks inside.
class Operations final : public control::Daemon {
 public:
  Operations(config::Configuration configuration, std::string config_path, std::string config_opened,
             std::vector<IpAddress> own_addresses, SettingsBoard& board, const policy::LoginGuard& logins, Log& log);

  /// A helper has lost its nanny: status says so from now on.
  void note_unsupervised() { unsupervised_.store(true, std::memory_order_relaxed); }
  std::span<const metrics::ShardMetrics* const> shard_metrics() const { return metrics_; }
  void set_facts(const Facts& facts, std::vector<const metrics::ShardMetrics*> metrics);

  std::size_t shards() const override { return facts_.shards; }
  std::string status() override;
  std::string metrics() override;
  std::string bans() override;
  control::Answer get(std::string_view key) override;
  control::Answer set(std::string_view assignment, std::uint32_t user) override;
  control::Answer reload(std::uint32_t user) override;
  void stop() override { board_.ask_to_stop(); }
  /// The certificates' files have changed: takes up what is in them, or tells the log why not.
  void renew_certificates();

 private:
  std::size_t in_use() const;
  control::Answer apply(config::Configuration::Built built, std::uint32_t user);
  std::expected<std::shared_ptr<config::Settings>, std::string> completed(const config::Configuration& configuration);

  std::mutex mutex_;
  config::Configuration configuration_;
  std::string config_path_, config_opened_;
  std::vector<IpAddress> own_addresses_;
  SettingsBoard& board_;
  const policy::LoginGuard& logins_;
  Log& log_;
  Facts facts_;
  std::atomic<bool> unsupervised_{false};
  std::vector<const metrics::ShardMetrics*> metrics_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace ringpost::programs
