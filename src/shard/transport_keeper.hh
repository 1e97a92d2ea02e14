// Brings what shards share about TLS over a restart: one shard reads it at its start, and writes it down when it changed.
#pragma once

#include "ringpost/base/log.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/shard/transport_memory.hh"
#include "shard/sealed_file.hh"

namespace ringpost::shard {

/// Without its file everything works, and begins anew at each start.
///
/// Lifetime: await read() and start() once; await stop() before it dies.
class TransportKeeper {
 public:
  TransportKeeper(runtime::Ring& ring, Log& log, TransportMemory& memory, const std::string& directory, const StoreId& store, Bytes metadata_key32)
      : ring_(ring), log_(log), memory_(memory), policies_(ring, directory, SealedFile::Content::mta_sts, store, metadata_key32),
        sessions_(ring, directory, SealedFile::Content::tls_reports, store, metadata_key32), scope_(ring), stop_(ring) {}

  runtime::Task<void> read();
  void start() { scope_.spawn(keep()); }
  /// Writes what is not written yet.
  runtime::Task<void> stop();

 private:
  runtime::Task<void> keep();
  runtime::Task<void> write_policies();
  runtime::Task<void> write_sessions();
  std::chrono::sys_seconds now() const { return std::chrono::floor<std::chrono::seconds>(ring_.wall_now()); }
  void complain(Literal about, Error why);

  runtime::Ring& ring_;
  Log& log_;
  TransportMemory& memory_;
  SealedFile policies_, sessions_;
  std::uint64_t policies_written_ = 0, sessions_written_ = 0;  // revisions
  runtime::Scope scope_;
  runtime::Signal stop_;
  bool stopping_ = false;
  LogLimit trouble_log_{3, std::chrono::minutes{10}};
};

}  // namespace ringpost::shard
