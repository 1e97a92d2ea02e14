#include "oracles.hh"

#include <algorithm>
#include <charconv>

#include "processes.hh"

namespace ringpost::sim::relay {

namespace {

std::string seconds_of(Instant time) {
  if (time == kNever) return "never";
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count()) + " ms";
}

std::string text_of(const Submission& submission) { return "message " + std::to_string(submission.number); }

// The same message twice is right in three cases: the first 250 may never have been read; its reader died and with it, perhaps,
// the record; or what came second was on its way before the first, on a connection that its sender had given up.
bool explains(const Arrival& first, const Arrival& second, const Deaths& deaths) {
  if (first.confirmed == kNever) return true;
  if (second.confirmed == kNever && second.connected < first.at) return true;
  return std::ranges::any_of(deaths, [&](Instant death) { return death >= first.at && death <= second.at; });
}

void judge_recipient(const Submission& submission, const Recipient& recipient, const Deaths& deaths, Findings& findings) {
  const auto& arrivals = recipient.arrivals;
  if (submission.answer == Answer::accepted) {
    findings.expect(!arrivals.empty() || recipient.refused_for_good, text_of(submission) + " got 250 and was lost");
  }
  if (submission.answer == Answer::refused) {
    findings.expect(arrivals.empty() && !recipient.refused_for_good,
                    text_of(submission) + " was refused and relayed all the same");
  }
  findings.expect(submission.end_sent || arrivals.empty(),
                  text_of(submission) + " arrived although it was never sent to its end");
  for (auto first = arrivals.begin(); first != arrivals.end(); ++first) {
    for (auto second = std::next(first); second != arrivals.end(); ++second) {
      findings.expect(explains(*first, *second, deaths),
                      text_of(submission) + " arrived twice without a reason: at " + seconds_of(first->at) + ", confirmed " +
                          seconds_of(first->confirmed) + ", again at " + seconds_of(second->at));
    }
  }
}

// A report is written in one group with what makes it superfluous, so a recipient that failed has exactly one, whatever died; that one
// may arrive twice for the reasons of all mail.
void judge_reports(const Submission& submission, const Recipient& recipient, const Deaths& deaths, Findings& findings) {
  findings.expect(recipient.reports.size() <= 1, text_of(submission) + " failed and was reported by two reports");
  findings.expect(recipient.reports.empty() || recipient.refused_for_good, text_of(submission) + " was reported and never refused");
  findings.expect(recipient.reports.empty() || !submission.null_sender, "the null sender got a report");
  const bool failed = submission.answer == Answer::accepted && recipient.refused_for_good && recipient.arrivals.empty();
  if (failed && !submission.null_sender && !submission.report_refused)
    findings.expect(!recipient.reports.empty(), text_of(submission) + " failed and its sender was not told");
  for (const auto& [id, arrivals] : recipient.reports)
    for (auto first = arrivals.begin(); first != arrivals.end(); ++first)
      for (auto second = std::next(first); second != arrivals.end(); ++second)
        findings.expect(explains(*first, *second, deaths), text_of(submission) + ": its report arrived twice without a reason");
}

std::string_view field(std::string_view line, std::string_view key) {
  const std::string quoted = "\"" + std::string{key} + "\":";
  const std::size_t at = line.find(quoted);
  if (at == std::string_view::npos) return {};
  std::string_view value = line.substr(at + quoted.size());
  value = value.substr(0, value.find_first_of(",}"));
  return value.starts_with('"') ? value.substr(1, value.size() - 2) : value;
}

/// What the journal says of one message.
struct Account {
  std::size_t accepted = 0, ended = 0;
};

class JournalReader {
 public:
  JournalReader(const Disk& disk, Findings& findings) : findings_(findings) {
    std::vector<runtime::DirectoryEntry> entries;
    if (disk.list(kAuditDirectory, entries) != 0) return;
    std::map<std::uint64_t, std::string> files;
    for (const auto& entry : entries) {
      if (!entry.name.ends_with(".jsonl")) continue;
      const auto bytes = disk.content(std::string{kAuditDirectory} + "/" + entry.name);
      if (bytes)
        files[number_of(std::string_view{entry.name}.substr(std::string_view{"audit-"}.size()))] = as_text(Bytes{*bytes});
    }
    for (const auto& [number, text] : files) read_counts(text);
    for (const auto& [number, text] : files) {
      const auto counts = counts_.find(number);
      read(std::string_view{text}.substr(0, counts == counts_.end() ? text.size() : counts->second));
    }
  }
  Account of(const std::string& id) const {
    const auto found = accounts_.find(id);
    return found == accounts_.end() ? Account{} : found->second;
  }

 private:
  static std::uint64_t number_of(std::string_view digits) {
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
  }
  // A file says how much of those before it counts: the end of what a crash or a failed sync left uncertain does not.
  void read_counts(std::string_view text) {
    constexpr std::string_view kCounts = "{\"marks\":\"counts\"";
    for (; text.starts_with(kCounts); text.remove_prefix(text.find('\n') + 1)) {
      const std::string_view line = text.substr(0, text.find('\n'));
      counts_[number_of(field(line, "file"))] = number_of(field(line, "bytes"));
      if (line.size() == text.size()) return;
    }
  }
  void read(std::string_view text) {
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
      take(text.substr(0, end));
  }
  void take(std::string_view line) {
    const std::string_view event = field(line, "event");
    if (event.empty()) return;
    findings_.expect(event != "audit_gap", "the audit log has a gap");
    const bool fresh = seen_.emplace(std::string{field(line, "incarnation")} + " " + std::string{field(line, "sequence")}).second;
    findings_.expect(fresh, "the audit log holds an event twice");
    Account& account = accounts_[std::string{field(line, "message")}];
    account.accepted += event == "message_accepted";
    account.ended += event == "recipient_delivered" || event == "recipient_failed";
  }

  Findings& findings_;
  std::set<std::string> seen_;
  std::map<std::string, Account> accounts_;
  std::map<std::uint64_t, std::uint64_t> counts_;
};

}  // namespace

void judge_mail(const Ledger& ledger, const Deaths& deaths, Findings& findings) {
  for (const Submission& submission : ledger.all()) {
    for (const Recipient& recipient : submission.recipients) {
      judge_recipient(submission, recipient, deaths, findings);
      judge_reports(submission, recipient, deaths, findings);
    }
  }
}

void judge_holds(const Ledger& ledger, const Holds& holds, Findings& findings) {
  for (const Submission& submission : ledger.all()) {
    const auto held = holds.find(submission.id);
    if (submission.id.empty() || held == holds.end()) continue;
    for (const Recipient& recipient : submission.recipients)
      for (const Arrival& arrival : recipient.arrivals)
        for (const Hold& hold : held->second)
          findings.expect(arrival.connected <= hold.held || arrival.at >= hold.released,
                          text_of(submission) + " (" + submission.id + ") was held from " + seconds_of(hold.held) + " to " +
                              seconds_of(hold.released) + " and went out at " + seconds_of(arrival.at));
  }
}

std::size_t count_arrivals(const Ledger& ledger) {
  std::size_t count = 0;
  for (const Submission& submission : ledger.all())
    for (const Recipient& recipient : submission.recipients) count += recipient.arrivals.size();
  return count;
}

bool has_arrivals_since(const Ledger& ledger, Instant since) {
  return std::ranges::any_of(ledger.all(), [&](const Submission& submission) {
    return std::ranges::any_of(submission.recipients, [&](const Recipient& recipient) {
      return std::ranges::any_of(recipient.arrivals, [&](const Arrival& arrival) { return arrival.connected >= since; });
    });
  });
}

void judge_audit(const Ledger& ledger, const Disk& disk, Findings& findings) {
  const JournalReader journal{disk, findings};
  for (const Submission& submission : ledger.all()) {
    if (submission.answer != Answer::accepted) continue;
    const Account account = journal.of(submission.id);
    findings.expect(account.accepted == 1,
                    text_of(submission) + " was accepted, says the audit log " + std::to_string(account.accepted) + " times");
    findings.expect(account.ended == submission.recipients.size(),
                    text_of(submission) + " has " + std::to_string(submission.recipients.size()) +
                        " recipients, the audit log ends " + std::to_string(account.ended));
  }
}

void judge_disk(const Disk& disk, Findings& findings) {
  findings.expect(disk.watched_hits() == 0, "a planted word was written to the disk");
  for (std::string_view word : kPlantedWords) findings.expect(!disk.contains(as_bytes(word)), "a planted word is on the disk");
}

}  // namespace ringpost::sim::relay
