#include "ringpost/index/entry.hh"

#include <algorithm>
#include <concepts>
#include <limits>
#include <utility>

namespace ringpost::index {

namespace {

using spool::RecipientStatus;

// Flags of an entry.
constexpr std::uint8_t kClassMask = 0x07, kHeld = 0x08, kHasDestination = 0x10, kWarned = 0x20, kHasAge = 0x40, kHasWords = 0x80;
// Flags of a recipient's status: what is not there is zero.
constexpr std::uint8_t kStateMask = 0x03, kHasAttempts = 0x04, kHasReason = 0x08, kHasReply = 0x10, kHasHost = 0x20, kStatusMask = 0x3f;

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  void octet(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  /// Seven bits an octet, the lowest first; the high bit says that more follow.
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) octet(static_cast<std::uint8_t>(value | 0x80));
    octet(static_cast<std::uint8_t>(value));
  }
  void time(WallTime time) {
    std::array<std::byte, 8> bytes;
    store_le(bytes.data(), std::int64_t{time.time_since_epoch().count()});
    this->bytes(bytes);
  }
  void bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

 private:
  std::vector<std::byte>& out_;
};

/// After the first thing that is missing or has another encoding, everything is zero and ok() is false.
class Reader {
 public:
  explicit Reader(Bytes from) : rest_(from) {}

  std::uint8_t octet() {
    if (rest_.empty()) return fail();
    const auto value = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  template <std::unsigned_integral Integer>
  Integer number(Integer max = std::numeric_limits<Integer>::max()) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = octet();
      const std::uint64_t bits = next & 0x7f;
      if (!ok_ || (shift == 63 && bits > 1) || (shift > 0 && next == 0)) return fail();
      value |= bits << shift;
      if (next < 0x80) return value <= max ? static_cast<Integer>(value) : fail();
    }
    return fail();
  }
  WallTime time() {
    std::array<std::byte, 8> bytes{};
    this->bytes(bytes);
    return WallTime{Duration{load_le<std::int64_t>(bytes.data())}};
  }
  void bytes(MutableBytes out) {
    if (rest_.size() < out.size()) {
      fail();
      return;
    }
    copy_bytes(out, rest_.first(out.size()));
    rest_ = rest_.subspan(out.size());
  }
  void refuse_unless(bool condition) {
    if (!condition) fail();
  }
  bool ok() const { return ok_; }
  bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::uint8_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  Bytes rest_;
  bool ok_ = true;
};

void write_status(Writer& out, const RecipientStatus& status) {
  const bool has_reason = status.reason != event::Reason::none, has_reply = status.reply != event::ReplyCode{};
  out.octet(static_cast<std::uint8_t>(static_cast<std::uint8_t>(status.state) | (status.attempts ? kHasAttempts : 0) |
                                      (has_reason ? kHasReason : 0) | (has_reply ? kHasReply : 0) |
                                      (status.host.port != 0 ? kHasHost : 0)));
  if (status.attempts) out.octet(status.attempts);
  if (has_reason) out.number(static_cast<std::uint16_t>(status.reason));
  if (has_reply) {
    out.number(status.reply.code);
    out.number(status.reply.enhanced_class);
    out.number(status.reply.enhanced_subject);
    out.number(status.reply.enhanced_detail);
  }
  if (status.host.port != 0) {
    out.bytes(status.host.ip.bytes);
    out.number(status.host.port);
  }
}

RecipientStatus read_status(Reader& in) {
  RecipientStatus status;
  const std::uint8_t flags = in.octet();
  static_assert(static_cast<std::uint8_t>(spool::RecipientState::told) == kStateMask);
  in.refuse_unless((flags & ~kStatusMask) == 0);
  if (!in.ok()) return status;
  status.state = static_cast<spool::RecipientState>(flags & kStateMask);
  if (flags & kHasAttempts) {
    status.attempts = in.octet();
    in.refuse_unless(status.attempts != 0);
  }
  if (flags & kHasReason) {
    const auto reason = in.number<std::uint16_t>(event::kReasonCount - 1);
    in.refuse_unless(reason != 0);
    status.reason = static_cast<event::Reason>(reason);
  }
  if (flags & kHasReply) {
    status.reply.code = in.number<std::uint16_t>();
    status.reply.enhanced_class = in.number<std::uint16_t>();
    status.reply.enhanced_subject = in.number<std::uint16_t>();
    status.reply.enhanced_detail = in.number<std::uint16_t>();
    in.refuse_unless(status.reply != event::ReplyCode{});
  }
  if (flags & kHasHost) {
    in.bytes(status.host.ip.bytes);
    status.host.port = in.number<std::uint16_t>();
    in.refuse_unless(status.host.port != 0);
  }
  return status;
}

}  // namespace

std::size_t Entry::waiting() const {
  return static_cast<std::size_t>(std::ranges::count(recipients, spool::RecipientState::waiting, &RecipientStatus::state));
}

bool Entry::is_over() const {
  return std::ranges::all_of(recipients, [](const RecipientStatus& status) { return spool::is_over(status.state); });
}

bool apply(const LogFact& fact, std::optional<Entry>& known) {
  const Entry& said = fact.entry;
  if (fact.is_outcome) {
    if (!known || said.revision <= known->revision) return false;
    known->revision = said.revision;
    known->due = said.due;
    known->held = said.held;
    known->waited = said.waited;
    if (said.words) known->words = said.words;
    for (const auto& [index, status] : fact.changes)
      if (index < known->recipients.size()) spool::take_over(known->recipients[index], status);
    return true;
  }
  if (!known) {
    known = said;
    return true;
  }
  if (said.place == known->place && said.revision <= known->revision) return false;
  // A later copy: its place counts, and its states unless later ones are known.
  Entry merged = said.revision < known->revision ? *known : said;
  merged.place = said.place;
  merged.words = known->words;  // a copy has none
  merged.chunks = said.chunks;
  known = std::move(merged);
  return true;
}

void append_encoded(const Entry& entry, std::vector<std::byte>& target) {
  RP_ASSERT(!entry.recipients.empty() && entry.recipients.size() <= spool::kRecipientsMax);
  RP_ASSERT(entry.place && entry.chunks.size() <= spool::kChunksMax);
  const bool has_destination = entry.destination != decltype(entry.destination){};
  Writer out(target);
  out.octet(entry.terms.any() ? kEntryVersionWithTerms : kEntryVersion);
  out.octet(static_cast<std::uint8_t>(static_cast<std::uint8_t>(entry.mail_class) | (entry.held ? kHeld : 0) |
                                      (has_destination ? kHasDestination : 0) | (entry.waited.warned ? kWarned : 0) |
                                      (entry.waited.age_s != 0 ? kHasAge : 0) | (entry.words ? kHasWords : 0)));
  out.number(entry.place.generation);
  out.number(entry.place.offset);
  out.number(entry.place.length);
  out.number(entry.revision);
  out.number(entry.size);
  out.time(entry.arrived);
  out.time(entry.due);
  if (has_destination) out.bytes(entry.destination);
  if (entry.waited.age_s != 0) out.number(entry.waited.age_s);
  if (entry.terms.any()) out.bytes(spool::encode(entry.terms));
  if (entry.words) {
    out.number(entry.words.generation);
    out.number(entry.words.offset);
    out.number(entry.words.length);
  }
  out.number(entry.chunks.size());
  std::uint64_t generation = 0;
  for (const spool::Extent& extent : entry.chunks) {
    RP_ASSERT(extent.generation > generation && extent.records > 0);
    out.number(extent.generation - std::exchange(generation, extent.generation));
    out.number(extent.records);
    out.number(extent.bytes);
  }
  out.number(entry.recipients.size());
  // Neighbours are mostly alike (all waiting, or all refused for the same reason): runs of equal ones.
  for (auto run = entry.recipients.begin(); run != entry.recipients.end();) {
    const auto end = std::find_if(run, entry.recipients.end(), [&](const RecipientStatus& status) { return status != *run; });
    out.number(static_cast<std::uint64_t>(end - run));
    write_status(out, *run);
    run = end;
  }
}

Result<Entry> decode_entry(const MessageId& id, Bytes encoded) {
  constexpr std::unexpected kCorrupt{Error{Errc::corrupt}};
  Reader in(encoded);
  const std::uint8_t version = in.octet();
  if (version != kEntryVersion && version != kEntryVersionWithTerms) return kCorrupt;
  Entry entry{.id = id};
  const std::uint8_t flags = in.octet(), mail_class = flags & kClassMask;
  in.refuse_unless(mail_class >= 1 && mail_class <= static_cast<std::uint8_t>(spool::MailClass::temporary));
  entry.mail_class = static_cast<spool::MailClass>(mail_class);
  entry.held = (flags & kHeld) != 0;
  entry.place.generation = in.number<std::uint64_t>();
  in.refuse_unless(entry.place.generation != 0);
  entry.place.offset = in.number<std::uint32_t>();
  entry.place.length = in.number<std::uint32_t>();
  entry.revision = in.number<std::uint32_t>();
  entry.size = in.number<std::uint64_t>();
  entry.arrived = in.time();
  entry.due = in.time();
  if (flags & kHasDestination) {
    in.bytes(entry.destination);
    in.refuse_unless(entry.destination != decltype(entry.destination){});
  }
  entry.waited.warned = (flags & kWarned) != 0;
  if (flags & kHasAge) {
    entry.waited.age_s = in.number<std::uint32_t>();
    in.refuse_unless(entry.waited.age_s != 0);
  }
  if (version == kEntryVersionWithTerms) {
    std::array<std::byte, spool::kTermsBytes> encoded{};
    in.bytes(encoded);
    const Result<spool::Terms> terms = spool::decode_terms(encoded);
    if (!terms) return kCorrupt;
    entry.terms = *terms;
  }
  if (flags & kHasWords) {
    entry.words.generation = in.number<std::uint64_t>();
    in.refuse_unless(entry.words.generation != 0);
    entry.words.offset = in.number<std::uint32_t>();
    entry.words.length = in.number<std::uint32_t>();
  }
  const auto extents = in.number<std::uint32_t>(spool::kChunksMax);
  std::uint64_t generation = 0, records = 0;
  while (in.ok() && entry.chunks.size() < extents) {
    const auto step = in.number<std::uint64_t>(std::numeric_limits<std::uint64_t>::max() - generation);
    const auto count = in.number<std::uint32_t>(spool::kChunksMax);
    const auto bytes = in.number<std::uint64_t>();
    in.refuse_unless(step != 0 && count != 0 && (records += count) <= spool::kChunksMax);
    if (in.ok()) entry.chunks.push_back({generation += step, count, bytes});
  }
  const auto recipients = in.number<std::uint32_t>(spool::kRecipientsMax);
  in.refuse_unless(recipients != 0);
  while (in.ok() && entry.recipients.size() < recipients) {
    const auto run = in.number<std::uint32_t>(static_cast<std::uint32_t>(recipients - entry.recipients.size()));
    const RecipientStatus status = read_status(in);
    in.refuse_unless(run != 0 && (entry.recipients.empty() || entry.recipients.back() != status));
    if (in.ok()) entry.recipients.insert(entry.recipients.end(), run, status);
  }
  if (!in.complete()) return kCorrupt;
  return entry;
}

}  // namespace ringpost::index
