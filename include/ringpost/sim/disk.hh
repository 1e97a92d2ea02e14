// Disk: one simulated filesystem that keeps apart what programs see and what would survive a power cut.
//
// Durable are: 512-byte sectors and the size of a file after a successful fsync or fdatasync of it; names after an fsync of their
// directory. Nothing else is promised, and power_cut() makes use of that. A killed process changes nothing here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/runtime/ring.hh"

namespace ringpost::sim {

class FileHandle;
class World;
struct Inode;

class Disk {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  Disk(World& world, std::uint64_t device);
  Disk(const Disk&) = delete;
  ~Disk();

  // ---- knobs
  /// Bytes of file contents it can hold, counted in 4 KiB pages.
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  /// Alignment that O_DIRECT asks of memory, offset and size: 512 or 4096.
  void set_direct_alignment(std::size_t bytes) { direct_alignment_ = bytes; }
  /// As after a read-only remount: EROFS for every change.
  void set_read_only(bool on) { read_only_ = on; }

  // ---- power
  /// Cuts the power: of what was not synced any subset survives, by sectors, sizes and names. All processes on it must be dead.
  void power_cut();

  // ---- looking from outside (tests, oracles); paths are absolute, nothing here fails by chance
  bool exists(std::string_view path) const;
  /// What a program would read now; empty when there is no such file.
  std::optional<std::vector<std::byte>> content(std::string_view path) const;
  /// True when `bytes` stand in any file or deleted file, as seen or as durable.
  bool contains(Bytes bytes) const;
  /// From now on counts writes that carry `bytes` (planted plaintext), whatever becomes of them.
  void watch(Bytes bytes) { watched_.emplace_back(bytes.begin(), bytes.end()); }
  std::uint64_t watched_hits() const { return watched_hits_; }
  std::uint64_t bytes_used() const { return pages_used_ * kPageBytes; }

  // ---- tampering; everything is durable at once
  void put(std::string_view path, Bytes bytes);
  void make_directory(std::string_view path);
  void make_symlink(std::string_view path, std::string_view target);
  void remove(std::string_view path);
  void flip_bit(std::string_view path, std::uint64_t offset, int bit);
  void truncate(std::string_view path, std::uint64_t size);
  void set_owner(std::string_view path, std::uint32_t owner, std::uint32_t mode);

  // ---- system calls, for SimRing. Results: as the kernel's, negative errno. `base`: the directory of a relative path, or
  // nullptr.
  int open(const FileHandle* base, std::string_view path, int flags, unsigned mode, std::shared_ptr<FileHandle>& out);
  int read(FileHandle& file, MutableBytes into, std::uint64_t offset);
  int write(FileHandle& file, Bytes bytes, std::uint64_t offset);
  int sync(FileHandle& file);
  int allocate(FileHandle& file, int mode, std::uint64_t offset, std::uint64_t bytes);
  int unlink(const FileHandle* base, std::string_view path, bool directory);
  int rename(const FileHandle* base, std::string_view from, std::string_view to);
  int make_directory(const FileHandle* base, std::string_view path, unsigned mode);
  int lock(FileHandle& file);
  int list(std::string_view path, std::vector<runtime::DirectoryEntry>& out) const;
  int info(std::string_view path, runtime::FileInfo& out) const;
  runtime::FileInfo info(const FileHandle& file) const;
  runtime::DiskInfo disk_info() const;

 private:
  friend class FileHandle;
  static constexpr std::size_t kPageBytes = 4096;
  struct Place {  // where a path leads: the directory and the last name
    std::shared_ptr<Inode> directory;
    std::string name;
    std::shared_ptr<Inode> target;  // nullptr when there is none yet
    int error = 0;
  };
  Place find(const std::shared_ptr<Inode>& base, std::string_view path, bool follow, int depth = 0) const;
  Place find(const FileHandle* base, std::string_view path, bool follow) const;
  std::shared_ptr<Inode> make_inode(std::uint32_t mode);
  std::shared_ptr<Inode> make_entry(std::string_view path, std::uint32_t mode);
  runtime::FileInfo info(const Inode& inode) const;
  bool misaligned(const FileHandle& file, Bytes bytes, std::uint64_t offset) const;

  World& world_;
  std::uint64_t device_;
  std::uint64_t capacity_ = std::uint64_t{1} << 40;
  std::uint64_t pages_used_ = 0;
  std::size_t direct_alignment_ = kSectorBytes;
  bool read_only_ = false;
  std::shared_ptr<Inode> root_;
  std::vector<std::weak_ptr<Inode>> inodes_;
  std::vector<std::vector<std::byte>> watched_;
  std::uint64_t watched_hits_ = 0;
};

}  // namespace ringpost::sim
