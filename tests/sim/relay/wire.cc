#include "wire.hh"

#include <algorithm>

#include "ringpost/base/bytes.hh"

namespace ringpost::sim::relay {

using runtime::Task;

namespace {
constexpr std::size_t kLineMax = 4096;
}

Task<bool> Wire::fill(Duration patience) {
  if (begin_ == input_.size()) input_.clear(), begin_ = 0;
  auto received = co_await ring_.receive(socket_, buffer_, ring_.now() + patience);
  if (!received || *received == 0) co_return false;
  input_.append(as_text(Bytes{buffer_}.first(*received)));
  co_return true;
}

Task<bool> Wire::read_line(std::string& line, Duration patience) {
  for (;;) {
    const std::size_t end = input_.find("\r\n", begin_);
    if (end != std::string::npos) {
      line.assign(input_, begin_, end - begin_);
      begin_ = end + 2;
      co_return true;
    }
    if (input_.size() - begin_ > kLineMax) co_return false;
    const bool filled = co_await fill(patience);
    if (!filled) co_return false;
  }
}

Task<bool> Wire::read_bytes(std::string& out, std::size_t count, Duration patience) {
  while (count > 0) {
    if (!has_more()) {
      const bool filled = co_await fill(patience);
      if (!filled) co_return false;
    }
    const std::size_t part = std::min(count, input_.size() - begin_);
    out.append(input_, begin_, part);
    begin_ += part;
    count -= part;
  }
  co_return true;
}

Task<bool> Wire::read_text(std::string& out, Duration patience) {
  std::string text = "\r\n";  // so that a dot in the very first line is found, too
  for (std::size_t looked = 0;;) {
    text.append(input_, begin_);
    begin_ = input_.size();
    const std::size_t end = text.find("\r\n.\r\n", looked);
    if (end != std::string::npos) {
      out.append(text, 2, end);
      begin_ -= text.size() - (end + 5);
      co_return true;
    }
    looked = text.size() < 4 ? 0 : text.size() - 4;
    const bool filled = co_await fill(patience);
    if (!filled) co_return false;
  }
}

Task<bool> Wire::send(std::string_view text, Duration patience, std::size_t piece) {
  Bytes rest = as_bytes(text);
  while (!rest.empty()) {
    auto sent = co_await ring_.send(socket_, rest.first(std::min(rest.size(), piece)), ring_.now() + patience);
    if (!sent) co_return false;
    rest = rest.subspan(*sent);
  }
  co_return true;
}

}  // namespace ringpost::sim::relay
