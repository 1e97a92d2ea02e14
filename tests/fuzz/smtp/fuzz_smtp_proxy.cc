// PROXY headers: the same verdict for every cut, nothing behind the header is taken, and addresses only from a whole one.
#include "fuzz_support.hh"
#include "ringpost/smtp/proxy_header.hh"

using namespace ringpost;
using namespace ringpost::smtp;

namespace {

using Status = ProxyHeaderReader::Status;

struct Outcome {
  Status status = Status::need_more;
  std::size_t consumed = 0;
};

void feed(ProxyHeaderReader& reader, Bytes input, Outcome& outcome) {
  if (outcome.status != Status::need_more) return;
  const ProxyHeaderReader::Step step = reader.next(input);
  FUZZ_CHECK(step.consumed <= input.size());
  FUZZ_CHECK(step.status != Status::need_more || step.consumed == input.size());
  outcome.status = step.status;
  outcome.consumed += step.consumed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Prng random = fuzz::take_seed(text);
  ProxyHeaderReader whole_reader, cut_reader;
  Outcome whole, cut;
  feed(whole_reader, as_bytes(text), whole);
  for (const auto& piece : fuzz::cut(text, random)) feed(cut_reader, piece, cut);
  FUZZ_CHECK(whole.status == cut.status && whole.consumed == cut.consumed);
  FUZZ_CHECK(whole.consumed <= 16 + kProxyBlockBytesMax);
  if (whole.status != Status::whole) return 0;
  const ProxyHeader &header = whole_reader.header(), &other = cut_reader.header();
  FUZZ_CHECK(header.origin == other.origin && header.source == other.source && header.destination == other.destination);
  FUZZ_CHECK(header.source.is_ip() == (header.origin == ProxyHeader::Origin::client));
  return 0;
}
