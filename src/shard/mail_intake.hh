// The receiving half of a shard's mail: from a session's bytes to a durable message in the queue.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ringpost/config/settings.hh"
#include "ringpost/crypto/message_key.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/keys/client.hh"
#include "ringpost/mime/index.hh"
#include "ringpost/mime/notice.hh"
#include "ringpost/queue/queue.hh"
#include "ringpost/receive/intake.hh"
#include "ringpost/spool/log.hh"
#include "shard/audit_trail.hh"
#include "shard/partition.hh"
#include "shard/staging.hh"

namespace ringpost::shard {

/// A message just received, as its first delivery needs it: nothing is read back from the disk.
struct HotMessage final : queue::Hot {
  std::string reverse_path;
  std::vector<std::string> recipients;
  std::string parameters;                          ///< of MAIL, to be relayed
  std::vector<std::string> recipient_parameters;  ///< of RCPT; empty when none has any
  bool smtputf8 = false, declared_eight_bit = false, eight_bit = false;
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  std::vector<StagingBuffer> pieces;  ///< of the content, but for its last one
  StagingBuffer last_piece;
  Key256 detail_key;
};

/// What intake works with. Everything outlives it.
struct IntakeParts {
  runtime::Ring& ring;
  Partition& partition;  ///< that takes new mail
  keys::Client& keys;
  queue::Queue& queue;
  AuditTrail& trail;
  outbox::Outbox& outbox;
  Staging& staging;
  deliver::Deliverer& deliverer;
  metrics::ShardMetrics& metrics;
  Log& log;
  StoreId store;
  const Key256& hash_key;  ///< for keyed hashes of addresses
  std::uint64_t disk_share_bytes;  ///< this partition's part of the spool's filesystem; 0: its size is not known
};

class MailIntake final : public receive::Intake {
 public:
  MailIntake(const IntakeParts& parts, std::shared_ptr<const config::Settings> settings);
  ~MailIntake() override;

  /// Gives back what lies idle.
  void trim() { idle_indexers_.clear(); }
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }

  Result<> admit(std::uint64_t size) override;
  runtime::Task<Result<receive::MessagePlace>> reserve(Instant deadline) override;
  Result<std::unique_ptr<receive::Incoming>> begin(receive::MessagePlace place) override;
  void refused(const receive::Envelope& envelope, std::uint64_t size, const receive::Refusal& refusal) override;
  void login_refused(const IpAddress& client, std::string_view login, event::Authentication authentication) override;

 private:
  friend class MailIncoming;
  void give_up_place() override { parts_.staging.put_back(); }
  std::unique_ptr<mime::Indexer> take_indexer();
  void give_back(std::unique_ptr<mime::Indexer> indexer);
  runtime::Task<Result<StagingBuffer>> take_buffer(std::size_t bytes, Instant deadline);
  queue::Destination destination_of(const receive::Envelope& envelope);
  void count(mime::Notice notice);
  void warn_of_budget();
  void report_sampled(const event::Event& event);

  IntakeParts parts_;
  std::shared_ptr<const config::Settings> settings_;
  std::vector<std::unique_ptr<mime::Indexer>> idle_indexers_;
  LogLimit refusal_samples_, budget_log_{2, std::chrono::minutes{1}};
  std::uint64_t refusals_without_room_ = 0;  // beside those that were left out of the samples
  // The last domain mail was for: most often it is the next one's, too.
  std::string last_domain_;
  queue::Destination last_destination_{};
};

}  // namespace ringpost::shard
