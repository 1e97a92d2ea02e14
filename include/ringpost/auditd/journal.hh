// The audit log on disk: JSON lines, appended and synced, each event once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "ringpost/base/error.hh"
#include "ringpost/base/log.hh"
#include "ringpost/event/event.hh"
#include "ringpost/event/frame.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::auditd {

/// Files audit-00000001.jsonl, audit-00000002.jsonl, ... in one directory. A new one is begun at each start and after each error,
/// so that nothing a crash or a fault may have torn is written over, and when one has grown to kFileBytesMax.
///
/// What it already has it knows from its own synced lines only: the first lines of each file ({"marks":...}) repeat the highest
/// sequence of every incarnation, so that a start reads one file, and say how much of the files before it counts, so that an
/// event that had to be written again counts once. docs/formats/audit-log.md.
class Journal {
 public:
  static constexpr std::uint64_t kFileBytesMax = 256_MiB;

  Journal(runtime::Ring& ring, Log& log, std::string directory, std::uint64_t file_bytes_max = kFileBytesMax);
  Journal(const Journal&) = delete;

  /// Locks the directory, reads the marks and begins a file. Errors: busy: another auditd runs; io and the like.
  runtime::Task<Result<>> open();
  /// Appends the events of `batch` that are new, and syncs. One call at a time.
  /// Returns the sequence up to which it may be acknowledged: the batch's last. A hole becomes an audit_gap event of ours.
  /// Errors: no_space, io: nothing may be acknowledged. Called again, it goes on in a new file.
  runtime::Task<Result<std::uint64_t>> append(const event::Batch& batch);
  /// Appends an event of auditd itself.
  runtime::Task<Result<>> note(event::Event event);
  runtime::Task<void> close();

  const IncarnationId& incarnation() const { return incarnation_; }

 private:
  runtime::Task<Result<>> read_marks(std::uint64_t number);
  bool take_line(std::string_view line);
  runtime::Task<Result<>> begin_file();
  runtime::Task<Result<>> write_opening(const std::string& name);
  runtime::Task<Result<>> flush();
  runtime::Task<Result<>> write_all(Fd file, Bytes bytes, std::uint64_t offset);
  void add_own(event::Event event);

  runtime::Ring& ring_;
  Log& log_;
  std::string directory_;
  std::uint64_t file_bytes_max_;
  Fd directory_fd_, lock_fd_, file_;
  std::uint64_t number_ = 0, size_ = 0;  // of the file: its number, and how much of it is synced
  std::map<std::uint64_t, std::uint64_t> left_;  // files that were left and how much of each counts, until a file says so
  std::map<IncarnationId, std::uint64_t> marks_;
  IncarnationId incarnation_;
  std::uint64_t own_sequence_ = 0;
  std::string buffer_;
};

}  // namespace ringpost::auditd
