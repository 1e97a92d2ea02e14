#include "bench/mailbox.hh"

#include <algorithm>
#include <filesystem>

#include "bench/files.hh"

namespace ringpost::bench {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator{folder, failed})
    if (entry.is_regular_file(failed)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::string with_crlf(std::string_view text) {
  std::string lines;
  lines.reserve(text.size() + text.size() / 32 + 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      lines.append("\r\n");
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else if (text[i] == '\n') {
      lines.append("\r\n");
    } else {
      lines.push_back(text[i]);
    }
  }
  if (!lines.ends_with("\r\n")) lines.append("\r\n");
  return lines;
}

Messages split_mbox(std::string_view text) {
  Messages messages;
  std::string message;
  auto end = [&] {
    if (message.ends_with("\n\n")) message.pop_back();  // the empty line before the next "From "
    if (!message.empty()) messages.push_back(with_crlf(message));
    message.clear();
  };
  bool inside = false, behind_empty = true;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == text.npos ? text.size() : newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (behind_empty && line.starts_with("From ")) {
      end();
      inside = true;
    } else if (inside) {
      std::string_view quoted = line;
      while (quoted.starts_with('>')) quoted.remove_prefix(1);
      if (quoted.size() != line.size() && quoted.starts_with("From ")) line.remove_prefix(1);
      message.append(line).push_back('\n');
    }
    behind_empty = line.empty();
  }
  end();
  return messages;
}

std::expected<Messages, std::string> read_messages(const std::string& path) {
  std::error_code failed;
  Messages messages;
  if (fs::is_directory(path, failed)) {
    std::vector<std::string> paths;
    const bool maildir = fs::is_directory(fs::path{path} / "cur", failed) || fs::is_directory(fs::path{path} / "new", failed);
    for (const char* folder : maildir ? std::vector<const char*>{"cur", "new"} : std::vector<const char*>{""})
      std::ranges::copy(files_in(fs::path{path} / folder), std::back_inserter(paths));
    for (const std::string& file : paths) {
      auto text = read_file(file);
      if (!text) return std::unexpected(file + ": cannot be read");
      if (!text->empty()) messages.push_back(with_crlf(*text));
    }
  } else {
    auto text = read_file(path);
    if (!text) return std::unexpected(path + ": cannot be read");
    messages = split_mbox(*text);
  }
  if (messages.empty()) return std::unexpected(path + ": there is no message in it");
  return messages;
}

}  // namespace ringpost::bench
