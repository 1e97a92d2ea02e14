#include "inode.hh"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace ringpost::sim {

namespace {

/// Chance, in eighths, that one unsynced thing survives; drawn once for each cut so that all-or-nothing cuts are common.
std::uint64_t survival_eighths(Prng& prng) {
  constexpr std::uint64_t kChances[] = {0, 1, 4, 7, 8};
  return kChances[prng.below(std::size(kChances))];
}

MutableBytes sector_of(MutableBytes page, std::size_t sector) {
  return page.subspan(sector * Contents::kSectorBytes, Contents::kSectorBytes);
}

}  // namespace

// ---- Contents

Contents::Page& Contents::page(std::uint64_t index) {
  auto [place, fresh] = pages_.try_emplace(index);
  if (fresh) ++page_count_;
  return place->second;
}

std::size_t Contents::read(std::uint64_t offset, MutableBytes into) const {
  if (offset >= size_) return 0;
  const std::size_t count = std::min<std::uint64_t>(into.size(), size_ - offset);
  for (std::size_t done = 0; done < count;) {
    const std::uint64_t at = offset + done;
    const std::size_t inside = at % kPageBytes, part = std::min(count - done, kPageBytes - inside);
    auto found = pages_.find(at / kPageBytes);
    if (found == pages_.end()) {
      std::fill_n(into.begin() + static_cast<std::ptrdiff_t>(done), part, std::byte{0});
    } else {
      copy_bytes(into.subspan(done), Bytes{found->second.seen}.subspan(inside, part));
    }
    done += part;
  }
  return count;
}

void Contents::write(std::uint64_t offset, Bytes bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t inside = at % kPageBytes, part = std::min(bytes.size() - done, kPageBytes - inside);
    Page& target = page(at / kPageBytes);
    copy_bytes(MutableBytes{target.seen}.subspan(inside), bytes.subspan(done, part));
    for (std::size_t sector = inside / kSectorBytes; sector <= (inside + part - 1) / kSectorBytes; ++sector) {
      mark_dirty(at / kPageBytes, target, sector);
    }
    done += part;
  }
  size_ = std::max(size_, offset + bytes.size());
}

void Contents::mark_dirty(std::uint64_t index, Page& page, std::size_t sector) {
  if (page.dirty == 0) dirty_.push_back(index);
  page.dirty |= static_cast<std::uint8_t>(1u << sector);
  page.lost &= static_cast<std::uint8_t>(~(1u << sector));
}

void Contents::resize(std::uint64_t size) {
  if (size < size_) zero(size, size_);
  size_ = size;
}

void Contents::zero(std::uint64_t from, std::uint64_t to) {
  for (auto place = pages_.lower_bound(from / kPageBytes); place != pages_.end() && place->first * kPageBytes < to; ++place) {
    const std::uint64_t begin = place->first * kPageBytes;
    const std::size_t first = from > begin ? from - begin : 0, last = std::min<std::uint64_t>(to - begin, kPageBytes);
    std::fill(place->second.seen.begin() + static_cast<std::ptrdiff_t>(first),
              place->second.seen.begin() + static_cast<std::ptrdiff_t>(last), std::byte{0});
    for (std::size_t sector = first / kSectorBytes; sector < kSectors && sector * kSectorBytes < last; ++sector) {
      mark_dirty(place->first, place->second, sector);
    }
  }
}

std::size_t Contents::room(std::uint64_t offset, std::size_t bytes, std::uint64_t pages_free) const {
  std::size_t fits = 0;
  while (fits < bytes) {
    const std::uint64_t at = offset + fits;
    if (!pages_.contains(at / kPageBytes)) {
      if (pages_free == 0) break;
      --pages_free;
    }
    fits += std::min(bytes - fits, kPageBytes - static_cast<std::size_t>(at % kPageBytes));
  }
  return fits;
}

void Contents::reserve(std::uint64_t offset, std::uint64_t bytes) {
  for (std::uint64_t index = offset / kPageBytes; index * kPageBytes < offset + bytes; ++index) page(index);
}

void Contents::sync() {
  for (std::uint64_t index : std::exchange(dirty_, {})) {
    Page& page = pages_.at(index);
    for (std::size_t sector = 0; sector < kSectors; ++sector) {
      if (page.dirty >> sector & 1) copy_bytes(sector_of(page.durable, sector), sector_of(page.seen, sector));
    }
    page.dirty = 0;
  }
  durable_size_ = size_;
}

void Contents::fail_sync(Prng& prng) {
  const std::uint64_t eighths = survival_eighths(prng);
  for (std::uint64_t index : std::exchange(dirty_, {})) {
    Page& page = pages_.at(index);
    for (std::size_t sector = 0; sector < kSectors; ++sector) {
      if (!(page.dirty >> sector & 1)) continue;
      if (prng.below(8) < eighths) {
        copy_bytes(sector_of(page.durable, sector), sector_of(page.seen, sector));
      } else {
        page.lost |= static_cast<std::uint8_t>(1u << sector);
      }
    }
    page.dirty = 0;
  }
}

void Contents::power_cut(Prng& prng) {
  const std::uint64_t eighths = survival_eighths(prng);
  for (auto& [index, page] : pages_) {
    for (std::size_t sector = 0; sector < kSectors; ++sector) {
      const MutableBytes seen = sector_of(page.seen, sector), durable = sector_of(page.durable, sector);
      const bool lost = page.lost >> sector & 1, dirty = page.dirty >> sector & 1;
      if (lost || (dirty && prng.below(8) >= eighths)) {
        copy_bytes(seen, durable);
      } else if (dirty) {
        copy_bytes(durable, seen);
      }
    }
    page.dirty = page.lost = 0;
  }
  dirty_.clear();
  if (size_ != durable_size_ && prng.below(8) >= eighths) size_ = durable_size_;
  durable_size_ = size_;
  std::uint64_t end = round_up(size_, kPageBytes) / kPageBytes;
  const std::size_t before = pages_.size();
  pages_.erase(pages_.lower_bound(end), pages_.end());
  page_count_ -= before - pages_.size();
  if (size_ % kPageBytes != 0) {  // what stood behind the end of the file is not seen again when it grows
    zero(size_, end * kPageBytes);
    sync();
  }
}

void Contents::append_seen(std::vector<std::byte>& out) const {
  out.resize(size_);
  read(0, out);
}

bool Contents::contains(Bytes bytes) const {
  // Neighbouring pages are joined, so that nothing hides across a page's edge.
  for (bool durable : {false, true}) {
    std::vector<std::byte> run;
    std::uint64_t next = 0;
    auto holds = [&] { return std::search(run.begin(), run.end(), bytes.begin(), bytes.end()) != run.end(); };
    for (const auto& [index, page] : pages_) {
      if (index != next) {
        if (holds()) return true;
        run.clear();
      }
      const auto& source = durable ? page.durable : page.seen;
      run.insert(run.end(), source.begin(), source.end());
      next = index + 1;
    }
    if (holds()) return true;
  }
  return false;
}

// ---- Inode

void Inode::change(NameChange change) {
  if (!change.vanishing.empty()) names.erase(change.vanishing);
  if (change.target) {
    names[change.name] = change.target;
  } else {
    names.erase(change.name);
  }
  unsynced.push_back(std::move(change));
}

void Inode::sync() {
  if (contents) contents->sync();
  durable_names = names;
  unsynced.clear();
}

void Inode::power_cut(Prng& prng) {
  if (contents) contents->power_cut(prng);
  // A journal keeps changes up to some point; without one any of them may be missing. Both are tried.
  const bool journal = prng.one_in(2);
  const std::uint64_t eighths = survival_eighths(prng);
  const std::size_t kept = prng.below(unsynced.size() + 1);
  for (std::size_t i = 0; i < unsynced.size(); ++i) {
    if (journal ? i >= kept : prng.below(8) >= eighths) continue;
    const NameChange& change = unsynced[i];
    if (!change.vanishing.empty()) durable_names.erase(change.vanishing);
    if (change.target) {
      durable_names[change.name] = change.target;
    } else {
      durable_names.erase(change.name);
    }
  }
  unsynced.clear();
  names = durable_names;
  locked_by = nullptr;
}

// ---- FileHandle

bool FileHandle::writable() const { return (flags_ & O_ACCMODE) != O_RDONLY; }
bool FileHandle::readable() const { return (flags_ & O_ACCMODE) != O_WRONLY; }

}  // namespace ringpost::sim
