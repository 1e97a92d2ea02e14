#include "ringpost/sim/disk.hh"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "inode.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

namespace {

constexpr std::uint32_t kDirectory = 0040000, kRegular = 0100000, kSymlink = 0120000;

}  // namespace

Disk::Disk(World& world, std::uint64_t device) : world_(world), device_(device) { root_ = make_inode(kDirectory | 0755); }

Disk::~Disk() {
  // Parents hold children and nobody holds parents, but unsynced changes may hold anything: let go by hand.
  for (const auto& weak : inodes_) {
    if (auto inode = weak.lock()) {
      inode->unsynced.clear();
      inode->names.clear();
      inode->durable_names.clear();
    }
  }
}

std::shared_ptr<Inode> Disk::make_inode(std::uint32_t mode) {
  if (inodes_.size() == inodes_.capacity()) std::erase_if(inodes_, [](const auto& weak) { return weak.expired(); });
  auto inode = std::make_shared<Inode>();
  inode->mode = mode;
  if (inode->is_regular()) inode->contents = std::make_unique<Contents>(pages_used_);
  inodes_.push_back(inode);
  return inode;
}

// ---- paths

Disk::Place Disk::find(const FileHandle* base, std::string_view path, bool follow) const {
  if (base && !base->inode().is_directory()) return {.error = -ENOTDIR};
  if (!base && !path.starts_with('/')) return {.error = -EBADF};
  return find(base ? base->shared_inode() : root_, path, follow);
}

Disk::Place Disk::find(const std::shared_ptr<Inode>& base, std::string_view path, bool follow, int depth) const {
  constexpr int kLinksMax = 8;
  if (path.empty()) return {.error = -ENOENT};
  Place place{path.starts_with('/') ? root_ : base, ".", {}, 0};
  place.target = place.directory;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (name.empty() || name == ".") continue;
    if (!place.target) return {.error = -ENOENT};
    if (!place.target->is_directory()) return {.error = -ENOTDIR};
    if (name == "..") {
      if (auto parent = place.target->parent.lock()) place.target = parent;
      place.directory = place.target;
      place.name = ".";
      continue;
    }
    place.directory = place.target;
    place.name = name;
    auto found = place.directory->names.find(place.name);
    place.target = found == place.directory->names.end() ? nullptr : found->second;
    if (place.target && place.target->is_symlink() && (follow || !path.empty())) {
      if (depth >= kLinksMax) return {.error = -ELOOP};
      Place led = find(place.directory, place.target->link, true, depth + 1);
      if (led.error != 0) return led;
      place = std::move(led);
    }
  }
  return place;
}

// ---- system calls

int Disk::open(const FileHandle* base, std::string_view path, int flags, unsigned mode, std::shared_ptr<FileHandle>& out) {
  if (world_.faults().strike(Fault::disk_open_error)) return -EIO;
  const bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
  Place place = find(base, path, !(flags & O_NOFOLLOW) && !exclusive);
  if (place.error != 0) return place.error;
  const bool changes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
  if (!place.target) {
    if (!(flags & O_CREAT)) return -ENOENT;
    if (read_only_) return -EROFS;
    if (world_.faults().strike(Fault::disk_no_space)) return -ENOSPC;
    place.target = make_inode(kRegular | (mode & 07777));
    place.directory->change({place.name, place.target, {}});
  } else {
    if (exclusive) return -EEXIST;
    if (place.target->is_symlink()) return -ELOOP;
    if ((flags & O_DIRECTORY) && !place.target->is_directory()) return -ENOTDIR;
    if (place.target->is_directory() && (changes || (flags & O_CREAT))) return -EISDIR;
    if (changes && read_only_) return -EROFS;
    if (flags & O_TRUNC) place.target->contents->resize(0);
  }
  out = std::make_shared<FileHandle>(*this, place.target, flags);
  return 0;
}

bool Disk::misaligned(const FileHandle& file, Bytes bytes, std::uint64_t offset) const {
  if (!(file.flags() & O_DIRECT)) return false;
  const auto memory = reinterpret_cast<std::uintptr_t>(bytes.data());
  return (memory | offset | bytes.size()) % direct_alignment_ != 0;
}

int Disk::read(FileHandle& file, MutableBytes into, std::uint64_t offset) {
  if (!file.readable()) return -EBADF;
  if (file.inode().is_directory()) return -EISDIR;
  if (misaligned(file, into, offset)) return -EINVAL;
  if (world_.faults().strike(Fault::disk_read_error)) return -EIO;
  if (into.size() > kSectorBytes && world_.faults().strike(Fault::disk_short_read)) {
    into = into.first(kSectorBytes * (1 + world_.prng().below(into.size() / kSectorBytes)));
  }
  return static_cast<int>(file.inode().contents->read(offset, into));
}

int Disk::write(FileHandle& file, Bytes bytes, std::uint64_t offset) {
  if (!file.writable()) return -EBADF;
  if (misaligned(file, bytes, offset)) return -EINVAL;
  if (read_only_) return -EROFS;
  for (const auto& needle : watched_) {
    if (std::search(bytes.begin(), bytes.end(), needle.begin(), needle.end()) != bytes.end()) ++watched_hits_;
  }
  if (bytes.empty()) return 0;
  Contents& contents = *file.inode().contents;
  if (file.flags() & O_APPEND) offset = contents.size();
  if (world_.faults().strike(Fault::disk_write_error)) {
    const std::size_t part = world_.prng().below(bytes.size() / kSectorBytes + 1) * kSectorBytes;
    contents.write(offset, bytes.first(part));
    return -EIO;
  }
  if (world_.faults().strike(Fault::disk_no_space)) return -ENOSPC;
  const std::uint64_t pages = capacity_ / kPageBytes;
  bytes = bytes.first(contents.room(offset, bytes.size(), pages > pages_used_ ? pages - pages_used_ : 0));
  if (bytes.empty()) return -ENOSPC;
  const std::size_t unit = file.flags() & O_DIRECT ? direct_alignment_ : 1;
  if (bytes.size() > unit && world_.faults().strike(Fault::disk_short_write)) {
    bytes = bytes.first(unit * (1 + world_.prng().below(bytes.size() / unit - 1)));
  }
  contents.write(offset, bytes);
  return static_cast<int>(bytes.size());
}

int Disk::sync(FileHandle& file) {
  if (world_.faults().strike(Fault::disk_sync_error)) {
    if (file.inode().contents) file.inode().contents->fail_sync(world_.prng());
    return -EIO;
  }
  file.inode().sync();
  return 0;
}

int Disk::allocate(FileHandle& file, int mode, std::uint64_t offset, std::uint64_t bytes) {
  if (!file.writable()) return -EBADF;
  if (bytes == 0) return -EINVAL;
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) return -EOPNOTSUPP;
  if (read_only_) return -EROFS;
  if (world_.faults().strike(Fault::disk_no_space)) return -ENOSPC;
  Contents& contents = *file.inode().contents;
  const std::uint64_t pages = capacity_ / kPageBytes;
  if (contents.room(offset, bytes, pages > pages_used_ ? pages - pages_used_ : 0) < bytes) return -ENOSPC;
  contents.reserve(offset, bytes);
  if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + bytes > contents.size()) contents.resize(offset + bytes);
  return 0;
}

int Disk::unlink(const FileHandle* base, std::string_view path, bool directory) {
  Place place = find(base, path, false);
  if (place.error != 0) return place.error;
  if (read_only_) return -EROFS;
  if (world_.faults().strike(Fault::disk_name_error)) return -EIO;
  if (!place.target) return -ENOENT;
  if (directory && !place.target->is_directory()) return -ENOTDIR;
  if (!directory && place.target->is_directory()) return -EISDIR;
  if (directory && !place.target->names.empty()) return -ENOTEMPTY;
  place.directory->change({place.name, nullptr, {}});
  return 0;
}

int Disk::rename(const FileHandle* base, std::string_view from, std::string_view to) {
  Place source = find(base, from, false), target = find(base, to, false);
  if (source.error != 0) return source.error;
  if (target.error != 0) return target.error;
  if (read_only_) return -EROFS;
  if (world_.faults().strike(Fault::disk_name_error)) return -EIO;
  if (!source.target) return -ENOENT;
  if (target.target == source.target) return 0;
  if (target.target) {
    if (target.target->is_directory() && !source.target->is_directory()) return -EISDIR;
    if (!target.target->is_directory() && source.target->is_directory()) return -ENOTDIR;
    if (!target.target->names.empty()) return -ENOTEMPTY;
  }
  if (source.directory == target.directory) {
    source.directory->change({target.name, source.target, source.name});
  } else {  // two directories, two fsyncs: the target's first, or the file may be in neither
    target.directory->change({target.name, source.target, {}});
    source.directory->change({source.name, nullptr, {}});
    if (source.target->is_directory()) source.target->parent = target.directory;
  }
  return 0;
}

int Disk::make_directory(const FileHandle* base, std::string_view path, unsigned mode) {
  Place place = find(base, path, false);
  if (place.error != 0) return place.error;
  if (place.target) return -EEXIST;
  if (read_only_) return -EROFS;
  if (world_.faults().strike(Fault::disk_name_error)) return -EIO;
  if (world_.faults().strike(Fault::disk_no_space)) return -ENOSPC;
  auto inode = make_inode(kDirectory | (mode & 07777));
  inode->parent = place.directory;
  place.directory->change({place.name, inode, {}});
  return 0;
}

int Disk::lock(FileHandle& file) {
  const FileHandle*& holder = file.inode().locked_by;
  if (holder && holder != &file) return -EAGAIN;
  holder = &file;
  return 0;
}

int Disk::list(std::string_view path, std::vector<runtime::DirectoryEntry>& out) const {
  Place place = find(root_, path, true);
  if (place.error != 0) return place.error;
  if (!place.target) return -ENOENT;
  if (!place.target->is_directory()) return -ENOTDIR;
  for (const auto& [name, inode] : place.target->names) out.push_back({name, inode->is_directory()});
  return 0;
}

int Disk::info(std::string_view path, runtime::FileInfo& out) const {
  Place place = find(root_, path, false);
  if (place.error != 0) return place.error;
  if (!place.target) return -ENOENT;
  out = info(*place.target);
  return 0;
}

runtime::FileInfo Disk::info(const FileHandle& file) const { return info(file.inode()); }

runtime::FileInfo Disk::info(const Inode& inode) const {
  std::uint32_t links = inode.is_directory() ? 2 : 0;
  for (const auto& weak : inodes_) {
    auto directory = weak.lock();
    if (!directory || !directory->is_directory()) continue;
    for (const auto& [name, entry] : directory->names) {
      if (entry.get() == &inode && !inode.is_directory()) ++links;
    }
  }
  return {.size = inode.contents       ? inode.contents->size()
                  : inode.is_symlink() ? inode.link.size()
                                       : kPageBytes,
          .mode = inode.mode,
          .owner = inode.owner,
          .links = links,
          .device = device_,
          .is_regular = inode.is_regular(),
          .is_directory = inode.is_directory(),
          .is_symlink = inode.is_symlink()};
}

runtime::DiskInfo Disk::disk_info() const {
  return {.bytes_total = capacity_, .bytes_free = capacity_ > bytes_used() ? capacity_ - bytes_used() : 0, .device = device_};
}

// ---- from outside

void Disk::power_cut() {
  std::vector<std::shared_ptr<Inode>> all;  // what the cut unlinks dies at the end of this function
  for (const auto& weak : inodes_) {
    if (auto inode = weak.lock()) all.push_back(std::move(inode));
  }
  for (const auto& inode : all) inode->power_cut(world_.prng());
  for (const auto& inode : all) {
    for (const auto& [name, entry] : inode->names) {
      if (entry->is_directory()) entry->parent = inode;
    }
  }
  world_.trace("power cut", device_, static_cast<std::int64_t>(all.size()));
}

bool Disk::exists(std::string_view path) const { return find(root_, path, false).target != nullptr; }

std::optional<std::vector<std::byte>> Disk::content(std::string_view path) const {
  Place place = find(root_, path, true);
  if (!place.target || !place.target->contents) return std::nullopt;
  std::vector<std::byte> bytes;
  place.target->contents->append_seen(bytes);
  return bytes;
}

bool Disk::contains(Bytes bytes) const {
  return std::any_of(inodes_.begin(), inodes_.end(), [&](const auto& weak) {
    auto inode = weak.lock();
    return inode && inode->contents && inode->contents->contains(bytes);
  });
}

std::shared_ptr<Inode> Disk::make_entry(std::string_view path, std::uint32_t mode) {
  Place place = find(root_, path, false);
  RP_ASSERT(place.error == 0 && place.directory);
  auto inode = make_inode(mode);
  if (inode->is_directory()) inode->parent = place.directory;
  place.directory->change({place.name, inode, {}});
  place.directory->sync();
  return inode;
}

void Disk::put(std::string_view path, Bytes bytes) {
  auto inode = make_entry(path, kRegular | 0600);
  inode->contents->write(0, bytes);
  inode->sync();
}

void Disk::make_directory(std::string_view path) { make_entry(path, kDirectory | 0700); }
void Disk::make_symlink(std::string_view path, std::string_view target) { make_entry(path, kSymlink | 0777)->link = target; }

void Disk::remove(std::string_view path) {
  Place place = find(root_, path, false);
  RP_ASSERT(place.target != nullptr);
  place.directory->change({place.name, nullptr, {}});
  place.directory->sync();
}

void Disk::flip_bit(std::string_view path, std::uint64_t offset, int bit) {
  Place place = find(root_, path, true);
  RP_ASSERT(place.target && place.target->contents && offset < place.target->contents->size());
  std::byte value;
  place.target->contents->read(offset, {&value, 1});
  value ^= std::byte{1} << bit;
  place.target->contents->write(offset, {&value, 1});
  place.target->sync();
}

void Disk::truncate(std::string_view path, std::uint64_t size) {
  Place place = find(root_, path, true);
  RP_ASSERT(place.target && place.target->contents);
  place.target->contents->resize(size);
  place.target->sync();
}

void Disk::set_owner(std::string_view path, std::uint32_t owner, std::uint32_t mode) {
  Place place = find(root_, path, false);
  RP_ASSERT(place.target != nullptr);
  place.target->owner = owner;
  place.target->mode = (place.target->mode & 0170000) | (mode & 07777);
}

}  // namespace ringpost::sim
