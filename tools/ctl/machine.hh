// What a machine tells about itself below /proc and /sys, and what a mail server would rather have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/config/settings.hh"

namespace ringpost::ctl {

/// One look at the machine.
struct Finding {
  std::string name;    ///< "kernel", "somaxconn"
  bool good = true;
  std::string found;   ///< what is so
  std::string wanted;  ///< what would be better, and why; empty when good
};

/// A machine's files below `root` ("/"; another folder in tests).
class Machine {
 public:
  explicit Machine(std::filesystem::path root) : root_(std::move(root)) {}

  /// First line, without what is blank at its ends. Nothing: there is no such file here.
  std::optional<std::string> line(const std::string& path) const;
  std::optional<std::uint64_t> number(const std::string& path) const;
  std::optional<std::string> text(const std::string& path) const;
  std::vector<std::string> entries(const std::string& path) const;
  bool exists(const std::string& path) const;
  /// Of /proc/self/mountinfo: where `path` lies.
  struct Mount {
    std::string point, type, options, device;  ///< device: "259:1"
  };
  std::optional<Mount> mount_of(const std::string& path) const;
  /// A running ringpostd's number. Nothing: there is none, or it is not to be seen.
  std::optional<std::string> server() const;

 private:
  std::filesystem::path root_;
};

/// Every check that this machine has files for.
std::vector<Finding> look_at(const Machine& machine, const config::Settings& settings);

}  // namespace ringpost::ctl
