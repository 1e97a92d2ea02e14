#include "ledger.hh"

#include <algorithm>
#include <charconv>

namespace ringpost::sim::relay {

namespace {

constexpr std::size_t kLineBytes = 72;

/// Most mail is small, some is not: what is larger than 64 KiB goes into chunks.
std::size_t draw_size(Prng& prng) {
  const std::uint64_t kind = prng.below(100);
  if (kind < 4) return 0;
  if (kind < 10) return prng.below(100);
  if (kind < 70) return prng.below(4'000);
  if (kind < 88) return prng.below(16'000);
  if (kind < 95) return prng.below(70'000);
  return 64'000 + prng.below(236'000);
}

char draw_octet(std::uint64_t bits, bool eight_bit) {
  if (eight_bit && bits % 7 == 0) return static_cast<char>(0xa1 + bits % 90);
  return static_cast<char>(' ' + bits % 95);
}

// Lines of every kind that matters on the way: empty ones, dots in front, octets above 127.
void append_line(std::string& out, std::size_t bytes, Prng& prng, bool eight_bit) {
  const std::size_t begin = out.size();
  while (out.size() - begin < bytes) {
    for (std::uint64_t bits = prng.next(), i = 0; i < 8 && out.size() - begin < bytes; ++i, bits >>= 8)
      out += draw_octet(bits & 0xff, eight_bit);
  }
  if (bytes > 0 && prng.one_in(8)) out[begin] = '.';
  out += "\r\n";
}

std::string draw_content(std::size_t size, Prng& prng, bool eight_bit) {
  std::string content;
  content.reserve(size + kLineBytes + 2);
  if (size >= 100) {
    content.append("Subject: ").append(kSubjectWord).append(" ").append(std::to_string(prng.below(1000))).append("\r\n\r\n");
    content.append(kBodyWord).append("\r\n");
  }
  while (content.size() < size) append_line(content, std::min(size - content.size(), prng.below(kLineBytes)), prng, eight_bit);
  return content;
}

std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace

Submission& Ledger::draw(Prng& prng) {
  Submission& submission = submissions_.emplace_back();
  submission.number = submissions_.size();
  submission.null_sender = prng.one_in(20);
  submission.eight_bit = prng.one_in(4);
  submission.recipients.resize(prng.one_in(2) ? 1 : 1 + prng.below(20));
  submission.content = draw_content(draw_size(prng), prng, submission.eight_bit);
  return submission;
}

Submission* Ledger::find(std::uint64_t number) {
  return number >= 1 && number <= submissions_.size() ? &submissions_[number - 1] : nullptr;
}

void Ledger::answered(Submission& submission, Answer answer, Instant now, std::string_view id) {
  submission.answer = answer;
  submission.answered = now;
  submission.id = id;
  accepted_ += answer == Answer::accepted;
}

std::string Ledger::sender(const Submission& submission) {
  if (submission.null_sender) return {};
  return "s" + std::to_string(submission.number) + "@" + std::string{kSenderDomain};
}

std::string Ledger::recipient(const Submission& submission, std::size_t index) {
  // Every third at another domain, which may have another next hop.
  return "r" + std::to_string(index) + "." + std::to_string(submission.number) + "@" + (index % 3 == 1 ? "b." : "") + std::string{kRecipientDomain};
}

std::optional<std::uint64_t> Ledger::number_of_sender(std::string_view address) {
  const std::size_t at = address.find('@');
  if (!address.starts_with('s') || at == std::string_view::npos || address.substr(at + 1) != kSenderDomain) return std::nullopt;
  return number_of(address.substr(1, at - 1));
}

std::optional<Addressee> Ledger::addressee(std::string_view address) {
  const std::size_t dot = address.find('.'), at = address.find('@');
  if (!address.starts_with('r') || dot == std::string_view::npos || at == std::string_view::npos || dot > at) return std::nullopt;
  std::string_view domain = address.substr(at + 1);
  if (domain.starts_with("b.")) domain.remove_prefix(2);
  if (domain != kRecipientDomain) return std::nullopt;
  const auto index = number_of(address.substr(1, dot - 1)), number = number_of(address.substr(dot + 1, at - dot - 1));
  if (!index || !number) return std::nullopt;
  return Addressee{*number, static_cast<std::size_t>(*index)};
}

}  // namespace ringpost::sim::relay
