#include "ringpost/crypto/sealer.hh"

#include <xxh_x86dispatch.h>

#include <algorithm>

#include "ringpost/base/units.hh"

namespace ringpost::crypto {

namespace {

constexpr std::string_view kSegmentMagic = "RPSEGMNT", kGroupMagic = "RPGROUP1";
constexpr std::uint16_t kVersion = 1;

alignas(kBlockBytes) constinit const std::byte zero_bytes[Sealer::kZerosMax] = {};

bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{}; });
}

std::array<std::byte, 16> checksum(Bytes records) {
  const XXH128_hash_t hash = XXH3_128bits(records.data(), records.size());
  std::array<std::byte, 16> bytes;
  store_le(bytes.data(), hash.low64);
  store_le(bytes.data() + 8, hash.high64);
  return bytes;
}

Digest256 group_mac(Bytes group, const GroupHeader& header, const GenerationKeys& keys) {
  HmacSha256 mac(keys.mac.view());
  mac.update(group.first(GroupHeader::kMacOffset));
  for_each_record(group, header, [&](Bytes record, std::uint32_t) {
    mac.update(record.first(RecordFrame::kBytes));
    mac.update(record.last(kTagBytes));
  });
  return mac.finish();
}

}  // namespace

GenerationKeys::GenerationKeys(Bytes metadata_key, const StoreId& store, const PartitionId& partition, std::uint64_t generation,
                               const Salt& salt)
    : mac(derive_key(metadata_key, salt, "ringpost generation",
                     {store.bytes, partition.bytes, std::as_bytes(std::span{&generation, 1})})),
      metadata(derive_key(metadata_key, salt, "ringpost metadata",
                          {store.bytes, partition.bytes, std::as_bytes(std::span{&generation, 1})})
                   .view()) {}

Result<SegmentHeader> parse_segment_header(Bytes block) {
  const std::unexpected corrupt{Error{Errc::corrupt}};
  if (block.size() != kBlockBytes || as_text(block.first(8)) != kSegmentMagic) return corrupt;
  if (load_le<std::uint16_t>(block.data() + 8) != kVersion || load_le<std::uint16_t>(block.data() + 10) != 0) return corrupt;
  if (load_le<std::uint32_t>(block.data() + 12) != kBlockBytes) return corrupt;
  SegmentHeader header;
  copy_bytes(header.store.bytes, block.subspan(16, 16));
  copy_bytes(header.partition.bytes, block.subspan(32, 16));
  copy_bytes(header.incarnation.bytes, block.subspan(48, 16));
  header.generation = load_le<std::uint64_t>(block.data() + 64);
  copy_bytes(header.salt, block.subspan(72, 16));
  header.segment_bytes = load_le<std::uint64_t>(block.data() + 88);
  header.previous = load_le<std::uint64_t>(block.data() + 96);
  if (header.generation == 0 || header.previous >= header.generation || header.segment_bytes % kBlockBytes != 0) return corrupt;
  return header;
}

bool verify_segment_header(Bytes block, const GenerationKeys& keys) {
  const std::size_t behind = SegmentHeader::kMacOffset + sizeof(Digest256);
  const Digest256 mac = hmac_sha256(keys.mac.view(), {block.first(SegmentHeader::kMacOffset), block.subspan(behind)});
  return equal_constant_time(mac, block.subspan(SegmentHeader::kMacOffset, sizeof mac));
}

std::size_t GroupHeader::group_bytes() const { return round_up(kBytes + std::size_t{records_bytes}, kBlockBytes); }

Result<GroupHeader> parse_group_header(Bytes at) {
  const std::unexpected corrupt{Error{Errc::corrupt}};
  if (at.size() < GroupHeader::kBytes || as_text(at.first(8)) != kGroupMagic) return corrupt;
  if (load_le<std::uint16_t>(at.data() + 8) != kVersion) return corrupt;
  if (load_le<std::uint16_t>(at.data() + 10) != GroupHeader::kBytes) return corrupt;
  if (!all_zero(at.subspan(44, 20))) return corrupt;
  GroupHeader header;
  header.records = load_le<std::uint32_t>(at.data() + 12);
  header.generation = load_le<std::uint64_t>(at.data() + 16);
  header.number = load_le<std::uint64_t>(at.data() + 24);
  header.written_ns = load_le<std::int64_t>(at.data() + 32);
  header.records_bytes = load_le<std::uint32_t>(at.data() + 40);
  copy_bytes(header.previous_mac, at.subspan(64, 32));
  copy_bytes(header.checksum, at.subspan(96, 16));
  copy_bytes(header.mac, at.subspan(GroupHeader::kMacOffset, 32));
  if (header.records == 0 || header.records_bytes < header.records * RecordFrame::kBytes) return corrupt;
  return header;
}

GroupFault verify_group(Bytes group, const GroupHeader& header, const GenerationKeys& keys) {
  RP_ASSERT(group.size() == header.group_bytes());
  const Bytes records = group.subspan(GroupHeader::kBytes, header.records_bytes);
  std::size_t seen = 0;
  const std::uint32_t count = for_each_record(group, header, [&](Bytes record, std::uint32_t) { seen += record.size(); });
  if (count != header.records || seen != records.size()) return GroupFault::mac;
  if (!equal_constant_time(group_mac(group, header, keys), header.mac)) return GroupFault::mac;
  if (checksum(records) != header.checksum) return GroupFault::checksum;
  return all_zero(group.subspan(GroupHeader::kBytes + header.records_bytes)) ? GroupFault::none : GroupFault::padding;
}

MutableBytes Sealer::slot(std::size_t bytes) const {
  RP_ASSERT(bytes <= room());
  return buffer_.subspan(size_, bytes);
}

void Sealer::add(const SealedRecord& record) {
  RP_ASSERT(record.view().data() == buffer_.data() + size_ && record.size() <= room());
  size_ += record.size();
  ++records_;
}

void Sealer::rewind(std::uint32_t records, std::size_t size) {
  RP_ASSERT(records <= records_ && size <= size_ && size >= GroupHeader::kBytes);
  records_ = records;
  size_ = size;
}

SealedBytes Sealer::finish(GroupHeader& header, const GenerationKeys& keys) {
  RP_ASSERT(records_ > 0);
  header.records = records_;
  header.records_bytes = static_cast<std::uint32_t>(size_ - GroupHeader::kBytes);
  const MutableBytes group = buffer_.first(header.group_bytes());
  std::fill(group.begin(), group.begin() + GroupHeader::kBytes, std::byte{});
  std::fill(group.begin() + static_cast<std::ptrdiff_t>(size_), group.end(), std::byte{});
  copy_bytes(group, as_bytes(kGroupMagic));
  store_le(group.data() + 8, kVersion);
  store_le(group.data() + 10, static_cast<std::uint16_t>(GroupHeader::kBytes));
  store_le(group.data() + 12, header.records);
  store_le(group.data() + 16, header.generation);
  store_le(group.data() + 24, header.number);
  store_le(group.data() + 32, header.written_ns);
  store_le(group.data() + 40, header.records_bytes);
  copy_bytes(group.subspan(64), header.previous_mac);
  header.checksum = checksum(group.subspan(GroupHeader::kBytes, header.records_bytes));
  copy_bytes(group.subspan(96), header.checksum);
  header.mac = group_mac(group, header, keys);
  copy_bytes(group.subspan(GroupHeader::kMacOffset), header.mac);
  return SealedBytes{group};
}

Result<SealedBytes> Sealer::again(Bytes group, const GroupHeader& header, const GenerationKeys& keys) {
  if (verify_group(group, header, keys) != GroupFault::none) return std::unexpected(Error{Errc::corrupt});
  return SealedBytes{group};
}

SealedBytes Sealer::segment_header(const SegmentHeader& header, const GenerationKeys& keys, MutableBytes block) {
  RP_ASSERT(block.size() == kBlockBytes);
  std::ranges::fill(block, std::byte{});
  copy_bytes(block, as_bytes(kSegmentMagic));
  store_le(block.data() + 8, kVersion);
  store_le(block.data() + 12, static_cast<std::uint32_t>(kBlockBytes));
  copy_bytes(block.subspan(16), header.store.bytes);
  copy_bytes(block.subspan(32), header.partition.bytes);
  copy_bytes(block.subspan(48), header.incarnation.bytes);
  store_le(block.data() + 64, header.generation);
  copy_bytes(block.subspan(72), header.salt);
  store_le(block.data() + 88, header.segment_bytes);
  store_le(block.data() + 96, header.previous);
  const std::size_t behind = SegmentHeader::kMacOffset + sizeof(Digest256);
  const Digest256 mac =
      hmac_sha256(keys.mac.view(), {Bytes{block}.first(SegmentHeader::kMacOffset), Bytes{block}.subspan(behind)});
  copy_bytes(block.subspan(SegmentHeader::kMacOffset), mac);
  return SealedBytes{block};
}

SealedBytes Sealer::zeros(std::size_t size) {
  RP_ASSERT(size <= kZerosMax);
  return SealedBytes{Bytes{zero_bytes}.first(size)};
}

SealedBytes Sealer::seal(const AeadKey& key, const Nonce& nonce, Bytes framing, Bytes plaintext, MutableBytes out) {
  RP_ASSERT(out.size() == framing.size() + plaintext.size() + kTagBytes);
  copy_bytes(out, framing);
  key.seal(nonce, framing, plaintext, out.subspan(framing.size()));
  return SealedBytes{out};
}

}  // namespace ringpost::crypto
