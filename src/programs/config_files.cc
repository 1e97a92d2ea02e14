#include "programs/config_files.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ringpost::programs {

namespace {

constexpr std::size_t kFileBytesMax = 4 << 20;

std::expected<config::Source, std::string> read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return std::unexpected(path.string() + ": is a directory, not a configuration file");
  errno = 0;
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::unexpected(path.string() + ": " + std::strerror(errno ? errno : EIO));
  std::string content(kFileBytesMax + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (in.bad() || (in.gcount() == 0 && !in.eof())) return std::unexpected(path.string() + ": cannot be read");
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > kFileBytesMax) return std::unexpected(path.string() + ": too large for a configuration file");
  return config::Source{path.string(), std::move(content)};
}

}  // namespace

std::expected<std::vector<config::Source>, std::string> read_sources(const std::string& path, const std::string& opened) {
  std::vector<config::Source> sources;
  struct stat info {};
  if (!opened.empty() && stat(opened.c_str(), &info) == 0 && info.st_nlink == 0)
    return std::unexpected(path + ": was replaced, and its directory is closed to this user; restart to read the new one");
  auto first = read_file(opened.empty() ? path : opened);
  if (!first) return std::unexpected(first.error());
  first->name = path;
  sources.push_back(std::move(*first));
  if (!opened.empty()) return sources;
  std::error_code error;
  std::vector<std::filesystem::path> more;
  const std::filesystem::path directory = std::filesystem::path{path}.parent_path() / "conf.d";
  for (const auto& entry : std::filesystem::directory_iterator{directory, error})
    if (entry.path().extension() == ".conf") more.push_back(entry.path());
  if (error && error != std::errc::no_such_file_or_directory) return std::unexpected(directory.string() + ": " + error.message());
  std::sort(more.begin(), more.end());
  for (const auto& file : more) {
    auto source = read_file(file);
    if (!source) return std::unexpected(source.error());
    sources.push_back(std::move(*source));
  }
  return sources;
}

config::Environment system_environment() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return {"localhost"};
  return {name};
}

std::string text_of(const config::Problems& problems) {
  std::string text;
  for (const config::Problem& problem : problems) text += (text.empty() ? "" : "\n") + problem.text();
  return text;
}

std::expected<config::Configuration, std::string> load_configuration(const std::string& path) {
  if (path.empty()) return config::Configuration::defaults(system_environment());
  auto sources = read_sources(path);
  if (!sources) return std::unexpected(sources.error());
  auto loaded = config::Configuration::load(*sources, system_environment());
  if (!loaded) return std::unexpected(text_of(loaded.error()));
  return std::move(*loaded);
}

std::expected<ControlSocket, std::string> find_control_socket(const std::string& path) {
  constexpr std::string_view kKey = "control.socket";
  if (path.empty()) return ControlSocket{config::Configuration::defaults(system_environment()).settings().control.socket, {}};
  auto sources = read_sources(path);
  if (!sources) return std::unexpected(sources.error());
  const config::Environment environment = system_environment();
  const auto loaded = config::Configuration::load(*sources, environment);
  if (loaded) return ControlSocket{loaded->settings().control.socket, {}};
  for (const config::Problem& problem : loaded.error())
    if (problem.key == kKey || problem.nearest == kKey)
      return std::unexpected(problem.text() + "\nwhich server is meant cannot be told; name its socket with --socket");
  std::string warning = loaded.error().front().text();
  if (loaded.error().size() > 1) warning += " (and " + std::to_string(loaded.error().size() - 1) + " more)";
  return ControlSocket{config::Configuration::sound_part(*sources, environment).control.socket, std::move(warning)};
}

}  // namespace ringpost::programs
