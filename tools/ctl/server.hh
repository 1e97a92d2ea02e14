// A running ringpostd as its control socket shows it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace ringpost::ctl {

/// Exit codes: 0 done, 1 the server refused, 2 it could not be asked.
inline constexpr int kRefused = 1, kNotAsked = 2;

struct Failure {
  int code;
  std::string text;
};

using TakeLine = std::function<void(std::string_view)>;

/// Throws Failure.
class Server {
 public:
  explicit Server(std::string socket) : socket_(std::move(socket)) {}

  /// Hands each line of the answer to `line`, as it comes.
  void ask(const std::string& request, const TakeLine& line) const;
  std::string ask(const std::string& request) const;
  /// The same of every shard, one after the other.
  void ask_all(const std::string& request, const TakeLine& line) const;
  std::size_t shards() const { return std::stoul(ask("- shards")); }

 private:
  std::string socket_;
};

}  // namespace ringpost::ctl
