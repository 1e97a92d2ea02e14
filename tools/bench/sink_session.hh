// One conversation of the sink with a client.
#pragma once

#include <optional>
#include <string>

#include "bench/content_digest.hh"
#include "bench/sink.hh"
#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/line_reader.hh"
#include "ringpost/smtp/transaction.hh"

namespace ringpost::bench {

class SinkSession {
 public:
  SinkSession(SinkWorker& worker, Fd socket);
  runtime::Task<void> run();
  Fd socket() const { return socket_; }

 private:
  runtime::Task<void> converse();
  runtime::Task<void> linger();
  runtime::Task<bool> shake_hands();
  runtime::Task<void> start_tls();
  runtime::Task<void> handle(const smtp::Command& command);
  void greet(const smtp::Command& command);
  void on_mail(const smtp::Command& command);
  void on_rcpt(const smtp::Command& command);
  runtime::Task<void> receive_data();
  runtime::Task<void> receive_chunk(smtp::ChunkArgument chunk);
  runtime::Task<bool> take(std::uint64_t bytes, bool keep);

  void begin_message(bool chunked);
  void keep(Bytes content);
  void end_message(const smtp::Reply& faults);
  void end_transaction();

  /// Draws for `stage`. True: the fault's reply is given, or the connection dropped; the caller returns.
  bool misbehaves(Stage stage);
  smtp::Reply fault_reply(Stage stage, Fault fault);
  void refuse(const smtp::Reply& reply);
  void answer(smtp::Reply reply);
  void drop();
  void cut() { open_ = false, cut_ = true; }
  runtime::Task<bool> fill();
  runtime::Task<bool> flush();

  SinkWorker& worker_;
  const SinkOptions& options_;
  runtime::Ring& ring_;
  Fd socket_;
  tls::Channel channel_;
  runtime::Chunk input_;
  smtp::LineReader reader_{smtp::kExtendedLineBytesMax};
  smtp::TransactionState state_{options_.security == Security::starttls ? smtp::TlsOffer::offered : smtp::TlsOffer::none};
  std::string out_;
  std::size_t replies_ = 0;  ///< in out_
  bool open_ = true;         ///< false: flush, then close
  bool dropped_ = false;     ///< flush, then close without any manners
  bool cut_ = false;         ///< the connection is broken: nothing more is said

  Envelope envelope_;
  ContentDigest digest_;
  smtp::ChunkChecker chunk_checker_;
  std::string content_;  ///< only for the store
  std::uint64_t wire_bytes_ = 0;
};

}  // namespace ringpost::bench
