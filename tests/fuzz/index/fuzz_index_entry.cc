// Entries of an index: any bytes get a verdict, and what is accepted has no other encoding.
#include "ringpost/index/entry.hh"

using namespace ringpost;
using namespace ringpost::index;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  const Result<Entry> entry = decode_entry({}, input);
  if (!entry) return 0;
  RP_ASSERT(entry->place && !entry->recipients.empty() && entry->recipients.size() <= spool::kRecipientsMax);
  std::vector<std::byte> again;
  append_encoded(*entry, again);
  RP_ASSERT(as_text(again) == as_text(input));
  return 0;
}
