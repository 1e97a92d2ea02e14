// Tells senders what became of their mail: takes messages that owe a report from the queue, makes it, and puts it into the log in the
// same group as the outcome that settles the debt (docs/decisions/004).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/config/settings.hh"
#include "ringpost/deliver/report.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "shard/mail_source.hh"

namespace ringpost::shard {

/// Lifetime: start() once, await stop() before it dies and before what it works with.
class Reporter {
 public:
  Reporter(const SourceParts& parts, MailSource& source, const StoreId& store, std::shared_ptr<const config::Settings> settings);
  Reporter(const Reporter&) = delete;

  void start();
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }
  /// Reports that are not durable by now are made by the next start.
  runtime::Task<void> stop();

  /// A message may owe a report now.
  void kick() { owed_.notify_all(); }
  /// Keeps the next hop's words until the report is made: after a restart only its codes are known.
  void remember(const MessageId& message, std::size_t recipient, const event::Host& host, std::string_view text);

 private:
  struct Heard {
    event::Host host;
    std::string text;
  };
  /// What a report says, and what it changes.
  struct Content {
    deliver::MadeReport made;
    std::string sender;
    std::vector<std::size_t> closed;  ///< recipients it settles
    std::uint32_t recipients = 0;     ///< it tells of
    bool warns = false;
    smtp::TlsWish tls_wish = smtp::TlsWish::none;
  };
  runtime::Task<void> run();
  runtime::Task<void> report(queue::Message& message);
  runtime::Task<Result<Content>> make(const queue::Message& message, deliver::Outgoing& outgoing, const MessageId& id);
  void collect(const queue::Message& message, const deliver::Outgoing& outgoing, Content& content,
               std::vector<deliver::Reported>& reported) const;
  runtime::Task<Result<>> keep(queue::Message& message, const Content& content, const MessageId& id, std::uint32_t revision);
  void settle(queue::Message& message, const Content& content);

  SourceParts parts_;
  MailSource& source_;
  StoreId store_;
  std::shared_ptr<const config::Settings> settings_;
  std::map<std::pair<MessageId, std::size_t>, Heard> heard_;
  runtime::Scope scope_;
  runtime::Signal owed_, stop_;
  std::size_t running_ = 0;
  bool stopping_ = false;
};

}  // namespace ringpost::shard
