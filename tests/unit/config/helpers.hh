#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ringpost/config/configuration.hh"

namespace ringpost::config {

inline const Environment kEnvironment{.hostname = "mx.example.org"};

inline Configuration::Built load(std::string content) {
  std::vector<Source> sources{{"ringpost.conf", std::move(content)}};
  return Configuration::load(sources, kEnvironment);
}

inline std::string texts(const Problems& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.text() + "\n";
  return out;
}

/// All problems of a configuration that must be refused, one a line.
inline std::string problems_of(const Configuration::Built& built) { return built ? "accepted" : texts(built.error()); }
inline std::string problems_of(std::string content) { return problems_of(load(std::move(content))); }

inline Configuration accepted(Configuration::Built built) {
  if (!built) ADD_FAILURE() << texts(built.error());
  return built ? *built : Configuration::defaults(kEnvironment);
}
inline Configuration accepted(std::string content) { return accepted(load(std::move(content))); }

}  // namespace ringpost::config
