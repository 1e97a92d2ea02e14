// Any bytes as an answer: no crash, no endless work, and nothing comes out that is not printable or cannot be asked again.
#include <cstdint>
#include <cstdlib>

#include "ringpost/dns/answer.hh"

namespace {

using namespace ringpost;
using namespace ringpost::dns;

void must(bool holds) {
  if (!holds) std::abort();
}

void must_be_plain(const std::string& name) {
  must(name.size() <= 4 * 255);
  for (char c : name) must(c >= 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z'));
  if (is_askable(name)) {
    const auto query = make_query(name, Type::a, 1, {});
    must(query || query.error().code == Errc::not_found);
  }
}

void check(Bytes packet) {
  static const auto kQuery = make_query("a.example", Type::mx, 0x1234, {});
  (void)match(*kQuery, packet);
  const auto response = parse_response(packet);
  if (!response) return;
  must(response->answers.size() + response->authorities.size() <= kRecordsMax);
  for (const Record& record : response->answers) must_be_plain(record.owner);
  for (Type type : {Type::a, Type::mx, Type::cname, Type::ptr, Type::txt, Type::tlsa}) {
    const Interpretation read = interpret(*response, "a.example", type);
    must((read.answer.outcome == Outcome::found) == !read.answer.records.empty());
    must_be_plain(read.answer.name);
    for (const Record& record : read.answer.records) {
      must(record.type == type && record.owner == read.answer.name);
      if (const auto* name = std::get_if<std::string>(&record.data)) must_be_plain(*name);
      if (const auto* exchange = std::get_if<Exchange>(&record.data)) must_be_plain(exchange->host);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  check(input);
  // The same behind a header and a question that fit, so that more of it is reached. The first octet counts the records.
  if (size == 0) return 0;
  std::vector<std::byte> framed;
  for (unsigned octet : {0x12u, 0x34u, 0x81u, 0xa0u, 0u, 1u, 0u, data[0] & 7u, 0u, data[0] >> 3 & 3u, 0u, data[0] >> 5 & 3u})
    framed.push_back(static_cast<std::byte>(octet));
  for (char c : std::string_view{"\1a\7example\0\0\17\0\1", 15}) framed.push_back(static_cast<std::byte>(c));
  framed.insert(framed.end(), input.begin() + 1, input.end());
  check(framed);
  return 0;
}
