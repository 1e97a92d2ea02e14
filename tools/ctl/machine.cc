#include "machine.hh"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace ringpost::ctl {

namespace fs = std::filesystem;

std::optional<std::string> Machine::text(const std::string& path) const {
  std::ifstream file{root_ / fs::path{path}.relative_path()};
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>{file}, {}};
}

std::optional<std::string> Machine::line(const std::string& path) const {
  auto whole = text(path);
  if (!whole) return std::nullopt;
  std::string first = whole->substr(0, whole->find('\n'));
  const std::size_t from = first.find_first_not_of(" \t"), to = first.find_last_not_of(" \t");
  return from == std::string::npos ? std::string{} : first.substr(from, to - from + 1);
}

std::optional<std::uint64_t> Machine::number(const std::string& path) const {
  auto found = line(path);
  std::uint64_t value = 0;
  if (!found || !(std::istringstream{*found} >> value)) return std::nullopt;
  return value;
}

std::vector<std::string> Machine::entries(const std::string& path) const {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator{root_ / fs::path{path}.relative_path(), failed}) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

bool Machine::exists(const std::string& path) const {
  std::error_code failed;
  return fs::exists(root_ / fs::path{path}.relative_path(), failed);
}

std::optional<Machine::Mount> Machine::mount_of(const std::string& path) const {
  std::istringstream lines{text("/proc/self/mountinfo").value_or("")};
  std::optional<Mount> best;
  for (std::string one; std::getline(lines, one);) {
    // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    std::istringstream words{one};
    std::string id, parent, device, within, point, options, word, type, source, more;
    words >> id >> parent >> device >> within >> point >> options;
    while (words >> word && word != "-") {
    }
    if (!(words >> type >> source >> more)) continue;
    const bool above = point == "/" || path == point || path.starts_with(point + "/");
    if (above && (!best || point.size() >= best->point.size())) best = Mount{point, type, options + "," + more, device};
  }
  return best;
}

std::optional<std::string> Machine::server() const {
  for (const std::string& name : entries("/proc"))
    if (std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; }) && line("/proc/" + name + "/comm") == "ringpostd") return name;
  return std::nullopt;
}

}  // namespace ringpost::ctl
