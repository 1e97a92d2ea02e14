#include "ringpost/base/assert.hh"
#include "ringpost/receive/intake.hh"

namespace ringpost::receive {

void Envelope::clear() {
  reverse_path_.clear();
  parameters_.clear();
  text_.clear();
  entries_.clear();
  smtputf8 = eight_bit_body = held = false;
  tls_wish = smtp::TlsWish::none;
  release.reset();
  terms = {};
}

void Envelope::add_recipient(std::string_view address, std::string_view parameters) {
  const std::size_t begin = text_.size(), address_end = begin + address.size(), end = address_end + parameters.size();
  text_.append(address).append(parameters);
  entries_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(address_end), static_cast<std::uint32_t>(end)});
}

std::string_view Envelope::recipient(std::size_t index) const {
  RP_ASSERT(index < entries_.size());
  const Entry& entry = entries_[index];
  return std::string_view{text_}.substr(entry.begin, entry.address_end - entry.begin);
}

std::string_view Envelope::recipient_parameters(std::size_t index) const {
  RP_ASSERT(index < entries_.size());
  const Entry& entry = entries_[index];
  return std::string_view{text_}.substr(entry.address_end, entry.end - entry.address_end);
}

}  // namespace ringpost::receive
