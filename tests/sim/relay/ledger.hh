// What was sent, what was answered, and what arrived: the book that the oracles read.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/base/units.hh"

namespace ringpost::sim::relay {

/// Words that must never be seen on a disk: one in every body, one in every subject, and the domains of all envelopes.
inline constexpr std::string_view kBodyWord = "zanzibar-ledger", kSubjectWord = "xylograph-memo";
inline constexpr std::string_view kSenderDomain = "okapi-sender.example", kRecipientDomain = "quagga-rcpt.example";
inline constexpr std::string_view kPlantedWords[] = {kBodyWord, kSubjectWord, kSenderDomain, kRecipientDomain};

/// One time the next hop took a message for one recipient.
struct Arrival {
  Instant connected{};  ///< since when the connection stood
  Instant at{};         ///< when the hop decided
  Instant confirmed{};  ///< when it saw that its 250 had been read; kNever: it never did
};

struct Recipient {
  std::list<Arrival> arrivals;
  bool refused_for_good = false;  ///< the hop said 5xx
  std::map<std::string, std::list<Arrival>> reports;  ///< that say it failed, by their Message-ID
};

enum class Answer : std::uint8_t { none, accepted, refused };

/// One transaction of a client. A message that has to be sent again is another submission.
struct Submission {
  std::uint64_t number = 0;
  std::string content;
  bool null_sender = false, eight_bit = false;
  bool end_sent = false;  ///< the last byte of the message was given to the network
  Answer answer = Answer::none;
  Instant answered{};
  std::string id;  ///< as the 250 named it
  std::vector<Recipient> recipients;
  bool report_refused = false;  ///< the hop refused a report to its sender
};

/// Which recipient of which submission an address names.
struct Addressee {
  std::uint64_t number;
  std::size_t index;
};

class Ledger {
 public:
  /// Draws a message: 0 bytes to 300 KiB, 1 to 20 recipients.
  Submission& draw(Prng& prng);
  Submission* find(std::uint64_t number);
  const std::deque<Submission>& all() const { return submissions_; }
  std::size_t accepted() const { return accepted_; }

  void answered(Submission& submission, Answer answer, Instant now, std::string_view id = {});
  /// A client got this reply: how often they were told to come again (4xx).
  void heard(std::string_view reply) { told_to_wait_ += reply.starts_with('4'); }
  std::uint64_t told_to_wait() const { return told_to_wait_; }

  static std::string sender(const Submission& submission);
  static std::string recipient(const Submission& submission, std::size_t index);
  static std::optional<Addressee> addressee(std::string_view address);
  /// The number of the submission with that sender.
  static std::optional<std::uint64_t> number_of_sender(std::string_view address);

 private:
  std::deque<Submission> submissions_;  // number N is at N - 1; references stay good
  std::size_t accepted_ = 0;
  std::uint64_t told_to_wait_ = 0;
};

}  // namespace ringpost::sim::relay
