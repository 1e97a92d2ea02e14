#include "bench/check.hh"

#include <algorithm>

namespace ringpost::bench {

namespace {
constexpr std::size_t kExamplesMax = 20;
}

template <typename Take>
void Checker::each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    if (end == text.npos) {
      ++counted_.torn;
      return;
    }
    auto entry = parse_line(text.substr(0, end));
    if (entry)
      take(*entry);
    else
      ++counted_.malformed;
    text.remove_prefix(end + 1);
  }
}

void Checker::add_sent(std::string_view text) {
  each_line(text, [this](const LedgerEntry& entry) {
    auto [place, fresh] = sent_.try_emplace(std::string{entry.token});
    if (!fresh) {
      ++counted_.repeated;
      return;
    }
    place->second = {.size = entry.size, .hash = entry.hash, .recipients = entry.recipients};
    ++counted_.sent;
  });
}

void Checker::add_received(std::string_view text) {
  each_line(text, [this](const LedgerEntry& entry) {
    if (entry.token == "-") {
      ++counted_.untagged;
      return;
    }
    ++counted_.received;
    std::string token{entry.token};
    auto place = sent_.find(token);
    if (place == sent_.end()) {
      ++extra_[token];
      return;
    }
    Sent& sent = place->second;
    if (entry.size != sent.size || entry.hash != sent.hash) {
      ++sent.changed;
      return;
    }
    ++sent.copies;
    sent.recipients_reached += entry.recipients;
  });
}

CheckReport Checker::report() const {
  CheckReport report = counted_;
  report.extra = extra_.size();
  for (const auto& [token, sent] : sent_) {
    const char* what = nullptr;
    if (sent.changed > 0) {
      ++report.changed;
      what = "changed";
    } else if (sent.copies == 0) {
      ++report.lost;
      what = "lost";
    } else if (sent.recipients_reached < sent.recipients) {
      ++report.partial;
      what = "partial";
    }
    // A relay may split one message by recipients; copies that reach more than there are came twice.
    if (sent.copies > 1 && sent.recipients_reached > sent.recipients)
      report.duplicates += std::min<std::uint64_t>(sent.copies - 1, sent.recipients_reached - sent.recipients);
    if (what) report.examples.push_back(std::string{what} + " " + token);
  }
  std::sort(report.examples.begin(), report.examples.end());
  if (report.examples.size() > kExamplesMax) report.examples.resize(kExamplesMax);
  return report;
}

}  // namespace ringpost::bench
