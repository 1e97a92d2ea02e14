// Events and frames from a sibling that has gone bad: any bytes get a verdict, and what is accepted is canonical.
#include "../../unit/event/samples.hh"
#include "ringpost/event/frame.hh"

using namespace ringpost;
using namespace ringpost::event;

namespace {

void check_event(Bytes bytes) {
  Result<Event> event = decode(bytes);
  if (!event) return;
  std::byte again[kEventBytesMax];
  std::size_t size = encode(*event, again);
  RP_ASSERT(as_text(Bytes{again, size}) == as_text(bytes));
  std::string json;
  append_json(*event, json);
  RP_ASSERT(json.size() < 1024);
  for (char octet : json) RP_ASSERT(octet >= ' ' && octet <= '~');
}

void check_frame(Bytes packet) {
  if (Result<Ack> ack = decode_ack(packet)) {
    auto again = encode(*ack);
    RP_ASSERT(as_text(again) == as_text(packet));
  }
  Result<Batch> batch = Batch::decode(packet);
  if (!batch) return;
  std::vector<std::byte> buffer(kBatchBytesMax);
  BatchWriter writer{buffer, batch->incarnation(), batch->first_sequence()};
  batch->for_each([&](const Event& event, Bytes bytes) {
    RP_ASSERT(event.stamp.incarnation == batch->incarnation());
    check_event(bytes);
    RP_ASSERT(writer.add(bytes));
  });
  RP_ASSERT(as_text(writer.finish()) == as_text(packet));
}

/// Damages `bytes` as the input says, three octets for each change: random bytes alone would rarely get past a header.
std::vector<std::byte> damaged(Bytes bytes, Bytes changes) {
  std::vector<std::byte> result{bytes.begin(), bytes.end()};
  for (; changes.size() >= 3; changes = changes.subspan(3))
    result[load_le<std::uint16_t>(changes.data()) % result.size()] ^= changes[2];
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input{reinterpret_cast<const std::byte*>(data), size};
  check_event(input);
  check_frame(input);
  if (input.empty()) return 0;

  std::vector<Event> events = one_of_each();
  std::byte encoded[kEventBytesMax];
  std::size_t encoded_size = encode(events[data[0] % events.size()], encoded);
  check_event(damaged(Bytes{encoded, encoded_size}, input.subspan(1)));

  std::vector<std::byte> buffer(kBatchBytesMax);
  BatchWriter writer{buffer, events.front().stamp.incarnation, 1};
  for (const Event& event : events) writer.add(Bytes{encoded, encode(event, encoded)});
  check_frame(damaged(writer.finish(), input));
  return 0;
}
