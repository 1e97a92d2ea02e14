// Paths as an operator knows them, for what a process opened under another name.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ringpost {

/// A process that was handed a directory open calls it /proc/self/fd/6; whoever reads its words looks for /srv/keys.
class PathNames {
 public:
  /// `opened` and what lies below it will read as `configured`.
  void add(std::string opened, std::string configured) { names_.emplace_back(std::move(opened), std::move(configured)); }
  bool empty() const { return names_.empty(); }
  /// `text` with each such path, and each path below one, as the operator knows it.
  std::string readable(std::string_view text) const;

 private:
  std::vector<std::pair<std::string, std::string>> names_;
};

}  // namespace ringpost
