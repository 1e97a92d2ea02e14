// A whole generation, damaged as the input says: nothing is believed that was not written, and nothing hangs or breaks.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "../../../src/spool/scan.hh"
#include "ringpost/spool/log.hh"

using namespace ringpost;
using namespace ringpost::spool;

namespace {

struct Written : ScanSink {
  std::set<std::string> records;
  void group(const crypto::GroupHeader&, std::uint64_t) override {}
  void record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) override {
    records.insert(std::to_string(offset) + ' ' + hex(record.bytes().first(crypto::RecordFrame::kBytes)) + ' ' + hex(plaintext));
  }
  void damage(DamageKind, std::uint64_t, std::uint64_t, const std::optional<MessageId>&) override {}
};

const crypto::GenerationKeys& keys() {
  static const crypto::GenerationKeys keys(std::vector<std::byte>(32, std::byte{1}), {}, {}, 7, {});
  return keys;
}

/// Six groups of a few records, on blocks 1 to 7, and two blocks of zeros.
const std::vector<std::byte>& generation() {
  static const std::vector<std::byte> bytes = [] {
    std::vector<std::byte> segment(crypto::kBlockBytes);
    crypto::Digest256 previous{};
    std::uint64_t sequence = 0;
    for (std::uint64_t number = 1; number <= 6; ++number) {
      std::vector<std::byte> buffer(2 * crypto::kBlockBytes);
      crypto::Sealer sealer(buffer);
      for (std::uint64_t i = 0; i < number; ++i) {
        const std::size_t plaintext = number == 4 ? 1500 : 100 * i;
        crypto::RecordSealer record(sealer.slot(crypto::record_bytes(0, {}, {}, plaintext)), i % 2 ? 5 : 2, 1, 0, {}, ++sequence);
        std::ranges::fill(record.metadata_room(plaintext), static_cast<std::byte>(i));
        sealer.add(record.finish(keys().metadata));
      }
      crypto::GroupHeader header{.generation = 7, .number = number, .previous_mac = previous};
      const Bytes group = sealer.finish(header, keys()).view();
      previous = header.mac;
      segment.insert(segment.end(), group.begin(), group.end());
    }
    segment.resize(segment.size() + 2 * crypto::kBlockBytes);
    return segment;
  }();
  return bytes;
}

Written scan(Bytes segment, const std::set<std::uint64_t>& abandoned, std::uint64_t unreadable) {
  Written found;
  SegmentScan scan(keys(), 7, segment.size(), abandoned, SegmentScan::Extent::whole, found);
  std::size_t steps = 0;
  while (const auto want = scan.want()) {
    RP_ASSERT(++steps < 1000);
    RP_ASSERT(want->size > 0 && want->offset + want->size <= segment.size());
    if (unreadable >= want->offset && unreadable < want->offset + want->size)
      scan.feed_unreadable();
    else
      scan.feed(segment.subspan(want->offset, want->size));
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Written whole = scan(generation(), {}, ~std::uint64_t{0});
  RP_ASSERT(whole.records.size() == 21);
  if (size < 2) return 0;
  std::vector<std::byte> segment = generation();
  const std::set<std::uint64_t> abandoned = data[0] & 1 ? std::set<std::uint64_t>{data[0] % 7u} : std::set<std::uint64_t>{};
  const std::uint64_t unreadable = data[1] & 1 ? std::uint64_t{data[1]} * 128 : ~std::uint64_t{0};
  // Each change: where (3 bytes), how. Some move whole blocks.
  for (std::size_t at = 2; at + 4 <= size; at += 4) {
    const std::size_t where = (data[at] | data[at + 1] << 8 | data[at + 2] << 16) % segment.size();
    if (data[at + 3] == 0) {
      const std::size_t block = where & ~(crypto::kBlockBytes - 1), from = (data[at + 2] % 8) * crypto::kBlockBytes;
      if (from + crypto::kBlockBytes <= segment.size())
        std::copy_n(generation().begin() + static_cast<std::ptrdiff_t>(from), crypto::kBlockBytes,
                    segment.begin() + static_cast<std::ptrdiff_t>(block));
    } else {
      segment[where] ^= static_cast<std::byte>(data[at + 3]);
    }
  }
  const Written found = scan(segment, abandoned, unreadable);
  for (const std::string& record : found.records) {
    const std::string behind_offset = record.substr(record.find(' '));
    RP_ASSERT(std::ranges::any_of(whole.records, [&](const std::string& known) { return known.ends_with(behind_offset); }));
  }
  return 0;
}
