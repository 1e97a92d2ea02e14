#include <zlib.h>

#include "ringpost/base/assert.hh"
#include "ringpost/transport/tls_counts.hh"

namespace ringpost::transport {

std::vector<std::byte> gzip(std::string_view text) {
  constexpr int kGzipWindow = 15 + 16, kMemoryLevel = 8;
  z_stream stream{};
  RP_ASSERT(::deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK);
  std::vector<std::byte> out(::deflateBound(&stream, text.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  RP_ASSERT(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

}  // namespace ringpost::transport
