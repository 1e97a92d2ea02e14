#include "ringpost/base/path_names.hh"

namespace ringpost {

namespace {
/// Whether a path's name may go on with this: /proc/self/fd/61 is not below /proc/self/fd/6.
bool continues_name(char octet) {
  return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || octet == '_' ||
         octet == '-' || octet == '.';
}
}  // namespace

std::string PathNames::readable(std::string_view text) const {
  std::string result{text};
  for (const auto& [opened, configured] : names_) {
    for (std::size_t at = 0; (at = result.find(opened, at)) != std::string::npos;) {
      const std::size_t end = at + opened.size();
      if (end < result.size() && continues_name(result[end])) {
        at = end;
        continue;
      }
      result.replace(at, opened.size(), configured);
      at += configured.size();
    }
  }
  return result;
}

}  // namespace ringpost
