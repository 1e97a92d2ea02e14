// The directories of the three users, as the launcher finds or makes them.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "ringpost/harden/privileges.hh"

namespace ringpost::programs {

/// A directory that belongs to one user alone.
struct Claimed {
  std::string path;       ///< as configured
  int descriptor = -1;    ///< of the directory; passes parents that its user cannot enter
  bool reachable = true;  ///< its user can come to it by `path`
};

/// Makes `path` (and its parents) where need be and gives it to `owner` alone, mode 0700; without an owner it must be ours.
/// What root left in a directory that was root's is given along. Links are not followed; a stranger's directory is refused.
/// Errors: text for the operator.
std::expected<Claimed, std::string> claim_directory(const std::string& path, const std::optional<harden::Identity>& owner);

/// The same for a directory that is there and must stay as it is. It must be `owner`'s, or ours.
std::expected<Claimed, std::string> find_directory(const std::string& path, const std::optional<harden::Identity>& owner);

/// Whether the filesystem of `directory` is one that ends with the machine's uptime. Some of them know O_DIRECT.
bool lies_in_memory(int directory);

/// Whether `user` comes to `path` by its name, with these permissions (R_OK, W_OK, X_OK). Needs root.
bool is_reachable_for(const harden::Identity& user, const std::string& path, int permissions);

/// The name, in a process in which a descriptor has this number, of what is open there. Parents do not matter to it.
std::string name_by_descriptor(int descriptor);

/// The same directory by a name whose end is no link, for those who follow none: name_by_descriptor's names are links.
std::string past_link(const std::string& directory);

/// `path`, when it lies in `directory`, as it is called when that is called `name`; else as it was.
std::string moved_with(const std::string& path, const std::string& directory, const std::string& name);

/// Makes the parents of `path`, and the directory itself, open to all for reading, where they do not exist.
std::expected<void, std::string> make_public_directory(const std::string& path);

}  // namespace ringpost::programs
