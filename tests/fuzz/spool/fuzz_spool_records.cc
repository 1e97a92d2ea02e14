// Plaintexts and frames of records: any bytes get a verdict, and what is accepted is canonical.
#include <algorithm>
#include <vector>

#include "ringpost/crypto/sealer.hh"
#include "ringpost/spool/records.hh"
#include "ringpost/spool/store.hh"

using namespace ringpost;
using namespace ringpost::spool;

namespace {

template <typename Value>
void same(const Result<Value>& value, Bytes bytes) {
  if (!value) return;
  std::vector<std::byte> again(encoded_bytes(*value));
  encode(*value, again);
  RP_ASSERT(std::ranges::equal(again, bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  Arrays arrays;
  same(decode_scheduling(input, arrays), input);
  same(decode_envelope(input, arrays), input);
  same(decode_outcome(input, arrays), input);
  same(decode_checkpoint(input), input);
  if (const auto texts = decode_detail(input))
    for (const ReplyText& reply : *texts) RP_ASSERT(reply.text.size() <= kReplyTextBytesMax);
  if (const auto abandon = decode_abandon(input)) RP_ASSERT(size == kAbandonBytes);
  if (const auto store = decode_store_file(input)) RP_ASSERT(std::ranges::equal(encode_store_file(*store), input));

  if (const auto record = crypto::RecordView::parse(input)) {
    const crypto::RecordFrame& frame = record->frame();
    RP_ASSERT(record->first().size() == frame.first && record->second().size() == frame.second);
    RP_ASSERT(record->last().data() + record->last().size() == input.data() + input.size());
    for (std::uint32_t i = 0; i < frame.wrapped; ++i) {
      std::byte again[crypto::kWrappedKeyBytes];
      record->wrapped_key(i).encode(again);
      RP_ASSERT(std::ranges::equal(again, input.subspan(crypto::RecordFrame::kBytes + i * sizeof again, sizeof again)));
    }
    std::byte frame_again[crypto::RecordFrame::kBytes];
    frame.encode(frame_again);
    RP_ASSERT(std::ranges::equal(frame_again, input.first(sizeof frame_again)));
  }
  if (const auto header = crypto::parse_group_header(input)) {
    std::vector<std::byte> group(input.begin(), input.end());
    group.resize(header->group_bytes() > 1_MiB ? crypto::GroupHeader::kBytes : header->group_bytes());
    if (group.size() == header->group_bytes()) {
      static const crypto::GenerationKeys keys(std::vector<std::byte>(32), {}, {}, 1, {});
      RP_ASSERT(crypto::verify_group(group, *header, keys) == crypto::GroupFault::mac);  // it would have to guess a MAC
    }
  }
  return 0;
}
