// What a simulated disk stores: contents by sectors, directories by entries, each as seen and as durable.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "description.hh"
#include "ringpost/base/bytes.hh"
#include "ringpost/base/prng.hh"
#include "ringpost/sim/disk.hh"

namespace ringpost::sim {

/// The bytes of one file.
class Contents {
 public:
  static constexpr std::size_t kPageBytes = 4096, kSectorBytes = Disk::kSectorBytes;

  /// `page_count`: the disk's tally of pages in use.
  explicit Contents(std::uint64_t& page_count) : page_count_(page_count) {}
  Contents(const Contents&) = delete;
  ~Contents() { page_count_ -= pages_.size(); }

  std::uint64_t size() const { return size_; }
  std::size_t read(std::uint64_t offset, MutableBytes into) const;
  void write(std::uint64_t offset, Bytes bytes);
  void resize(std::uint64_t size);
  /// How many of `bytes` from `offset` on fit when only `pages_free` more pages may be used.
  std::size_t room(std::uint64_t offset, std::size_t bytes, std::uint64_t pages_free) const;
  /// Makes pages exist without changing what is read.
  void reserve(std::uint64_t offset, std::uint64_t bytes);

  void sync();
  /// A flush that failed: each dirty sector is durable or lost, and all are marked clean.
  void fail_sync(Prng& prng);
  /// Each dirty sector is as seen or as durable.
  void power_cut(Prng& prng);

  void append_seen(std::vector<std::byte>& out) const;
  bool contains(Bytes bytes) const;

 private:
  static constexpr std::size_t kSectors = kPageBytes / kSectorBytes;
  struct Page {
    std::array<std::byte, kPageBytes> seen{}, durable{};
    std::uint8_t dirty = 0;  // sectors that an fsync would write
    std::uint8_t lost = 0;   // sectors that are neither durable nor known to be dirty
  };
  Page& page(std::uint64_t index);
  void mark_dirty(std::uint64_t index, Page& page, std::size_t sector);
  void zero(std::uint64_t from, std::uint64_t to);

  std::uint64_t& page_count_;
  std::uint64_t size_ = 0, durable_size_ = 0;
  std::map<std::uint64_t, Page> pages_;
  std::vector<std::uint64_t> dirty_;  // pages with a dirty sector, once each
};

/// One change of a directory that is not durable yet. Atomic, as in a journal.
struct NameChange {
  std::string name;  // what appears, or vanishes when `target` is empty
  std::shared_ptr<Inode> target;
  std::string vanishing;  // rename: the old name
};

struct Inode {
  std::uint32_t mode = 0, owner = 0;
  std::unique_ptr<Contents> contents;  // regular files
  std::string link;                    // symbolic links
  std::weak_ptr<Inode> parent;         // directories
  std::map<std::string, std::shared_ptr<Inode>> names, durable_names;
  std::vector<NameChange> unsynced;
  const FileHandle* locked_by = nullptr;

  bool is_directory() const { return (mode & 0170000) == 0040000; }
  bool is_regular() const { return (mode & 0170000) == 0100000; }
  bool is_symlink() const { return (mode & 0170000) == 0120000; }

  void change(NameChange change);
  void sync();
  void power_cut(Prng& prng);
};

/// An open file or directory.
class FileHandle final : public Description {
 public:
  FileHandle(Disk& disk, std::shared_ptr<Inode> inode, int flags) : disk_(disk), inode_(std::move(inode)), flags_(flags) {}
  ~FileHandle() override {
    if (inode_->locked_by == this) inode_->locked_by = nullptr;
  }
  FileHandle* as_file() override { return this; }

  Disk& disk() const { return disk_; }
  Inode& inode() const { return *inode_; }
  const std::shared_ptr<Inode>& shared_inode() const { return inode_; }
  int flags() const { return flags_; }
  bool writable() const;
  bool readable() const;

 private:
  Disk& disk_;
  std::shared_ptr<Inode> inode_;
  int flags_;
};

}  // namespace ringpost::sim
