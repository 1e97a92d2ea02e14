// Where an SMTP session puts a message: the seam between the conversation and the spool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/event/event.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/smtp/require_tls.hh"
#include "ringpost/spool/terms.hh"

namespace ringpost::receive {

/// Sender and recipients of one transaction. Reused from message to message, so that it stops allocating.
class Envelope {
 public:
  void clear();
  void set_reverse_path(std::string_view address) { reverse_path_.assign(address); }
  /// `parameters`: of RCPT, as they are to be kept and relayed (smtp/notification.hh); mostly empty.
  void add_recipient(std::string_view address, std::string_view parameters = {});
  /// Of MAIL, likewise.
  void set_parameters(std::string_view parameters) { parameters_.assign(parameters); }

  /// Without brackets; empty: the null sender.
  std::string_view reverse_path() const { return reverse_path_; }
  std::string_view parameters() const { return parameters_; }
  std::size_t recipients() const { return entries_.size(); }
  std::string_view recipient(std::size_t index) const;
  std::string_view recipient_parameters(std::size_t index) const;

  bool smtputf8 = false;        ///< MAIL had SMTPUTF8: the next hop needs it too
  bool eight_bit_body = false;  ///< MAIL had BODY=8BITMIME
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  IpAddress client;
  std::string login;  ///< who has authenticated; empty: nobody
  std::optional<event::Authentication> authentication;  ///< how, or what else than its address the client relays by
  bool held = false;  ///< it is kept for an operator to look at: its login has sent too much
  std::optional<Instant> release;  ///< it is not to be tried before (RFC 4865)
  spool::Terms terms;

 private:
  std::string reverse_path_;
  struct Entry {
    std::uint32_t begin, address_end, end;  // of the address, and of the parameters right behind it
  };
  std::string parameters_;
  std::string text_;
  std::vector<Entry> entries_;
};

/// Why a message was not kept, in the terms of the audit log and of the reply.
struct Refusal {
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;
};

/// One message on its way in. Made by Intake; dies without a trace unless commit() succeeded.
///
/// Lifetime: no call may be in flight when it dies.
class Incoming {
 public:
  virtual ~Incoming() = default;
  virtual const MessageId& id() const = 0;
  /// Takes the next bytes of the message as it will be relayed. May wait for memory or disk.
  /// Errors: no_space, io, unavailable, no_memory: the message cannot be kept; give up on it.
  virtual runtime::Task<Result<>> write(Bytes content) = 0;
  /// Makes the message durable together with its audit record, and hands it to delivery.
  /// Order: returns success only when every byte and the sync succeeded: now 250 may be said.
  virtual runtime::Task<Result<>> commit(const Envelope& envelope, bool eight_bit) = 0;
};

class Intake;

/// A place for a message whose first bytes are still to come: begin() will not have to wait. Move-only; given up when it dies.
class MessagePlace {
 public:
  MessagePlace() = default;
  explicit MessagePlace(Intake& intake) : intake_(&intake) {}
  MessagePlace(MessagePlace&& other) noexcept : intake_(std::exchange(other.intake_, nullptr)) {}
  MessagePlace& operator=(MessagePlace&& other) noexcept {
    std::swap(intake_, other.intake_);
    return *this;
  }
  ~MessagePlace();

  explicit operator bool() const { return intake_ != nullptr; }

 private:
  Intake* intake_ = nullptr;
};

/// What all sessions of one shard put their mail into.
class Intake {
 public:
  virtual ~Intake() = default;
  /// May a message of `size` bytes (0: unknown) come in now? Errors: no_space (452), unavailable: keys or audit are away (451),
  /// no_memory (451).
  virtual Result<> admit(std::uint64_t size) = 0;
  /// Waits, until `deadline`, for what a message needs to begin: a key and memory. None of it is touched before begin(), so that a client
  /// who was told to go on and says nothing costs next to nothing. Errors: as Incoming::write().
  virtual runtime::Task<Result<MessagePlace>> reserve(Instant deadline) = 0;
  /// Starts a message whose first bytes are here. Errors: no_memory.
  virtual Result<std::unique_ptr<Incoming>> begin(MessagePlace place) = 0;
  /// Tells the audit log that somebody could not prove to be `login` (an observational event).
  virtual void login_refused(const IpAddress& client, std::string_view login, event::Authentication authentication) = 0;
  /// Tells the audit log about a message that was refused (an observational event).
  virtual void refused(const Envelope& envelope, std::uint64_t size, const Refusal& refusal) = 0;

 private:
  friend class MessagePlace;
  /// A place of reserve() is free again, or its message begins.
  virtual void give_up_place() = 0;
};

inline MessagePlace::~MessagePlace() {
  if (intake_) intake_->give_up_place();
}

}  // namespace ringpost::receive
