#include "programs/named_files.hh"

#include <cerrno>
#include <fstream>
#include <vector>

namespace ringpost::programs {

namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;

}  // namespace

Result<SecretBytes> read_named_file(const std::string& path) {
  errno = 0;
  std::ifstream in{path, std::ios::binary};
  std::vector<std::byte> content(kFileBytesMax + 1);
  if (in) in.rdbuf()->pubsetbuf(nullptr, 0);  // no copy of a key is left in a stream's buffer
  if (in) in.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
  if (!in.is_open() || in.bad() || (in.gcount() == 0 && errno != 0)) return std::unexpected(Error{Errc::io, errno ? errno : EIO});
  content.resize(static_cast<std::size_t>(in.gcount()));
  return SecretBytes{std::move(content)};
}

bool is_forbidden(const Error& error) { return error.detail == EACCES || error.detail == EPERM; }

std::string at_line(const config::Configuration& configuration, const std::string& key) {
  const auto entry = configuration.get(key);
  const std::string origin = entry ? entry->origin.text() : "";
  return (origin.empty() ? "" : origin + ": ") + key + ": ";
}

}  // namespace ringpost::programs
