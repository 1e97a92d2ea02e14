// Any bytes have a verdict, bounded, and the same one again.
#include "ringpost/mime/notice.hh"

#include <cstdlib>

using namespace ringpost;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes message{reinterpret_cast<const std::byte*>(data), size};
  const mime::NoticeFacts facts = mime::classify_notice(message);
  if (facts.recipient.size() > 320 || mime::name_of(facts.notice).empty()) std::abort();
  if (facts.status_class > 5 || facts.status_subject > 999 || facts.status_detail > 999) std::abort();
  if (mime::classify_notice(message).notice != facts.notice) std::abort();
  return 0;
}
