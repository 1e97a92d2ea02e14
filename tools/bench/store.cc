#include "bench/store.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace ringpost::bench {

namespace {

std::unexpected<Error> last_error() { return std::unexpected(error_from_errno(errno)); }

Result<> write_file(const std::string& path, std::string_view content) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return last_error();
  Result<> result;
  while (result && !content.empty()) {
    ssize_t written = ::write(fd, content.data(), content.size());
    if (written >= 0)
      content.remove_prefix(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      result = last_error();
  }
  if (::close(fd) != 0 && result) result = last_error();
  return result;
}

}  // namespace

Result<> MessageStore::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  std::uint64_t newest = 0;
  for (std::filesystem::directory_iterator it{directory, error}, end; !error && it != end; it.increment(error)) {
    std::string stem = it->path().stem().string();
    std::uint64_t number = 0;
    std::from_chars(stem.data(), stem.data() + stem.size(), number);
    newest = std::max(newest, number);
  }
  if (error) return std::unexpected(error_from_errno(error.value()));
  next_ = newest + 1;
  directory_ = directory;
  return {};
}

Result<> MessageStore::add(const Envelope& envelope, std::string_view content, const ContentFacts& facts) {
  if (!*this) return {};
  std::string path = fmt::format("{}/{:08}", directory_, next_.fetch_add(1));
  if (auto written = write_file(path + ".eml", content); !written) return written;
  nlohmann::ordered_json sidecar = {
      {"token", facts.token},
      {"size", content.size()},
      {"received_fields", facts.received_fields},
      {"received_bytes", facts.received_bytes},
      {"hash", facts.hash.hex()},
      {"client", envelope.client},
      {"helo", envelope.helo},
      {"reverse_path", envelope.reverse_path},
      {"recipients", envelope.recipients},
      {"eight_bit", envelope.eight_bit},
      {"smtputf8", envelope.smtputf8},
      {"via", envelope.chunked ? "bdat" : "data"},
  };
  // A peer may send octets that are no UTF-8; they must not break the file.
  std::string text = sidecar.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (auto written = write_file(path + ".json.part", text); !written) return written;
  if (std::rename((path + ".json.part").c_str(), (path + ".json").c_str()) != 0) return last_error();
  return {};
}

}  // namespace ringpost::bench
