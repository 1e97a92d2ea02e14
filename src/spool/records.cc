#include "ringpost/spool/records.hh"

#include <algorithm>

#include "fields.hh"

namespace ringpost::spool {

namespace {

constexpr std::size_t kStatusBytes = 12, kPositionBytes = 16, kHostRunBytes = 24;
constexpr std::size_t kSchedulingBytes = 72, kEnvelopeBytes = 28, kOutcomeBytes = 48, kCheckpointBytes = 8;
constexpr std::uint8_t kHeld = 1, kWarned = 1, kHasTerms = 2;
constexpr std::uint16_t kSmtpUtf8 = 1, kDeclaredEightBit = 2, kEightBit = 4, kTlsRequired = 8, kTlsWaived = 16;

std::unexpected<Error> corrupt() { return std::unexpected(Error{Errc::corrupt}); }

std::int64_t nanoseconds(WallTime time) { return time.time_since_epoch().count(); }
WallTime wall_time(std::int64_t ns) { return WallTime{Duration{ns}}; }

void write_status(FieldWriter& out, const RecipientStatus& status) {
  out.number(static_cast<std::uint8_t>(status.state));
  out.number(status.attempts);
  out.number(static_cast<std::uint16_t>(status.reason));
  out.number(status.reply.code);
  out.number(status.reply.enhanced_class);
  out.number(status.reply.enhanced_subject);
  out.number(status.reply.enhanced_detail);
}

RecipientStatus read_status(FieldReader& in) {
  RecipientStatus status;
  const auto state = in.number<std::uint8_t>();
  in.refuse_unless(state <= static_cast<std::uint8_t>(RecipientState::told));
  status.state = static_cast<RecipientState>(state);
  status.attempts = in.number<std::uint8_t>();
  const auto reason = in.number<std::uint16_t>();
  in.refuse_unless(reason < event::kReasonCount);
  status.reason = static_cast<event::Reason>(reason);
  status.reply.code = in.number<std::uint16_t>();
  status.reply.enhanced_class = in.number<std::uint16_t>();
  status.reply.enhanced_subject = in.number<std::uint16_t>();
  status.reply.enhanced_detail = in.number<std::uint16_t>();
  return status;
}

/// Calls `visit` for each run of recipients whose last host is the same; not at all when nobody has one.
template <typename Visit>
void for_each_host_run(std::span<const RecipientStatus> recipients, Visit visit) {
  if (std::ranges::all_of(recipients, [](const RecipientStatus& status) { return status.host.port == 0; })) return;
  for (auto run = recipients.begin(); run != recipients.end();) {
    const auto end = std::find_if(run, recipients.end(), [&](const RecipientStatus& status) { return status.host != run->host; });
    visit(static_cast<std::uint32_t>(end - run), run->host);
    run = end;
  }
}

std::uint32_t host_runs(std::span<const RecipientStatus> recipients) {
  std::uint32_t runs = 0;
  for_each_host_run(recipients, [&](std::uint32_t, const event::Host&) { ++runs; });
  return runs;
}

/// `runs` of them, which cover all of `statuses` in the one way that for_each_host_run would.
void read_host_runs(FieldReader& in, std::uint32_t runs, std::vector<RecipientStatus>& statuses) {
  std::size_t covered = 0;
  bool somebody = false;
  event::Host last;
  for (std::uint32_t run = 0; run < runs && in.ok(); ++run) {
    const auto recipients = in.number<std::uint32_t>();
    event::Host host;
    host.port = in.number<std::uint16_t>();
    in.refuse_unless(in.number<std::uint16_t>() == 0);
    in.bytes(host.ip.bytes);
    in.refuse_unless(recipients >= 1 && recipients <= statuses.size() - covered && (run == 0 || host != last));
    in.refuse_unless(host.port != 0 || host == event::Host{});
    if (!in.ok()) return;
    for (std::uint32_t i = 0; i < recipients; ++i) statuses[covered++].host = host;
    somebody |= host.port != 0;
    last = host;
  }
  in.refuse_unless(runs == 0 || (covered == statuses.size() && somebody));
}

bool read_flag(FieldReader& in) {
  const auto value = in.number<std::uint8_t>();
  in.refuse_unless(value <= kHeld);
  return value != 0;
}

std::string_view cut(std::string_view text) { return text.substr(0, kReplyTextBytesMax); }

/// Calls `keep` for each text that fits.
template <typename Keep>
void for_each_text(const Outcome& outcome, Keep keep) {
  std::size_t size = 0;
  for (const Outcome::Recipient& recipient : outcome.recipients) {
    const std::string_view text = cut(recipient.text);
    if (text.empty() || size + 6 + text.size() > kDetailBytesMax) continue;
    size += 6 + text.size();
    keep(recipient.index, text);
  }
}

}  // namespace

std::size_t encoded_bytes(const Scheduling& scheduling) {
  return kSchedulingBytes + scheduling.recipients.size() * kStatusBytes + scheduling.chunks.size() * kPositionBytes +
         host_runs(scheduling.recipients) * kHostRunBytes + (scheduling.terms.any() ? kTermsBytes : 0);
}

void encode(const Scheduling& scheduling, MutableBytes target) {
  FieldWriter out(target);
  out.number(nanoseconds(scheduling.arrived));
  out.number(nanoseconds(scheduling.due));
  out.number(scheduling.size);
  out.number(scheduling.copied_from);
  out.bytes(scheduling.destination);
  out.number(scheduling.revision);
  out.number(static_cast<std::uint8_t>(scheduling.mail_class));
  out.number(scheduling.held ? kHeld : std::uint8_t{0});
  out.number(static_cast<std::uint16_t>((scheduling.waited.warned ? kWarned : 0) | (scheduling.terms.any() ? kHasTerms : 0)));
  out.number(static_cast<std::uint32_t>(scheduling.recipients.size()));
  out.number(static_cast<std::uint32_t>(scheduling.chunks.size()));
  out.number(scheduling.waited.age_s);
  out.number(host_runs(scheduling.recipients));
  for (const RecipientStatus& status : scheduling.recipients) write_status(out, status);
  for (const Position& chunk : scheduling.chunks) {
    out.number(chunk.generation);
    out.number(chunk.offset);
    out.number(chunk.length);
  }
  for_each_host_run(scheduling.recipients, [&](std::uint32_t recipients, const event::Host& host) {
    out.number(recipients);
    out.number(host.port);
    out.number(std::uint16_t{0});
    out.bytes(host.ip.bytes);
  });
  if (scheduling.terms.any()) out.bytes(encode(scheduling.terms));
}

Result<Scheduling> decode_scheduling(Bytes plaintext, Arrays& arrays) {
  FieldReader in(plaintext);
  Scheduling scheduling;
  scheduling.arrived = wall_time(in.number<std::int64_t>());
  scheduling.due = wall_time(in.number<std::int64_t>());
  scheduling.size = in.number<std::uint64_t>();
  scheduling.copied_from = in.number<std::uint64_t>();
  in.bytes(scheduling.destination);
  scheduling.revision = in.number<std::uint32_t>();
  const auto mail_class = in.number<std::uint8_t>();
  in.refuse_unless(mail_class >= 1 && mail_class <= static_cast<std::uint8_t>(MailClass::temporary));
  scheduling.mail_class = static_cast<MailClass>(mail_class);
  scheduling.held = read_flag(in);
  const auto flags = in.number<std::uint16_t>();
  const bool has_terms = (flags & kHasTerms) != 0;
  const auto recipients = in.number<std::uint32_t>(), chunks = in.number<std::uint32_t>();
  scheduling.waited = {in.number<std::uint32_t>(), (flags & kWarned) != 0};
  const auto runs = in.number<std::uint32_t>();
  in.refuse_unless(flags <= (kWarned | kHasTerms));
  in.refuse_unless(recipients >= 1 && recipients <= kRecipientsMax && chunks <= kChunksMax && runs <= recipients);
  in.refuse_unless(in.left() == recipients * kStatusBytes + chunks * kPositionBytes + runs * kHostRunBytes + (has_terms ? kTermsBytes : 0));
  if (!in.ok()) return corrupt();
  arrays.statuses.clear();
  arrays.chunks.clear();
  for (std::uint32_t i = 0; i < recipients; ++i) arrays.statuses.push_back(read_status(in));
  for (std::uint32_t i = 0; i < chunks; ++i) {
    Position chunk;
    chunk.generation = in.number<std::uint64_t>();
    chunk.offset = in.number<std::uint32_t>();
    chunk.length = in.number<std::uint32_t>();
    in.refuse_unless(chunk.generation != 0 && chunk.offset % crypto::kRecordAlignment == 0);
    arrays.chunks.push_back(chunk);
  }
  read_host_runs(in, runs, arrays.statuses);
  if (has_terms) {
    std::array<std::byte, kTermsBytes> encoded;
    in.bytes(encoded);
    const Result<Terms> terms = in.ok() ? decode_terms(encoded) : Result<Terms>{corrupt()};
    if (!terms) return corrupt();
    scheduling.terms = *terms;
  }
  if (!in.complete()) return corrupt();
  scheduling.recipients = arrays.statuses;
  scheduling.chunks = arrays.chunks;
  return scheduling;
}

std::size_t encoded_bytes(const Envelope& envelope) {
  std::size_t size = kEnvelopeBytes + envelope.helo.size() + envelope.reverse_path.size() + envelope.parameters.size();
  for (const Envelope::Recipient& recipient : envelope.recipients)
    size += 6 + recipient.address.size() + recipient.parameters.size();
  return size;
}

void encode(const Envelope& envelope, MutableBytes target) {
  FieldWriter out(target);
  out.number(static_cast<std::uint16_t>((envelope.smtputf8 ? kSmtpUtf8 : 0) |
                                        (envelope.declared_eight_bit ? kDeclaredEightBit : 0) |
                                        (envelope.eight_bit ? kEightBit : 0) |
                                        (envelope.tls_wish == smtp::TlsWish::required ? kTlsRequired : 0) |
                                        (envelope.tls_wish == smtp::TlsWish::waived ? kTlsWaived : 0)));
  out.bytes(envelope.client.bytes);
  out.number(static_cast<std::uint32_t>(envelope.recipients.size()));
  out.text(envelope.helo);
  out.text(envelope.reverse_path);
  out.text(envelope.parameters);
  for (const Envelope::Recipient& recipient : envelope.recipients) {
    out.number(recipient.owner);
    out.text(recipient.address);
    out.text(recipient.parameters);
  }
}

Result<Envelope> decode_envelope(Bytes plaintext, Arrays& arrays) {
  FieldReader in(plaintext);
  Envelope envelope;
  const auto flags = in.number<std::uint16_t>();
  in.refuse_unless(flags < (kTlsRequired | kTlsWaived));  // one of the two, or none
  envelope.smtputf8 = (flags & kSmtpUtf8) != 0;
  envelope.declared_eight_bit = (flags & kDeclaredEightBit) != 0;
  envelope.eight_bit = (flags & kEightBit) != 0;
  if ((flags & kTlsRequired) != 0) envelope.tls_wish = smtp::TlsWish::required;
  if ((flags & kTlsWaived) != 0) envelope.tls_wish = smtp::TlsWish::waived;
  in.bytes(envelope.client.bytes);
  const auto recipients = in.number<std::uint32_t>();
  in.refuse_unless(recipients >= 1 && recipients <= kRecipientsMax && in.left() >= recipients * 6);
  envelope.helo = in.text(kHeloBytesMax);
  envelope.reverse_path = in.text(kAddressBytesMax);
  envelope.parameters = in.text(kParametersBytesMax);
  if (!in.ok()) return corrupt();
  arrays.recipients.clear();
  for (std::uint32_t i = 0; i < recipients && in.ok(); ++i) {
    Envelope::Recipient recipient;
    recipient.owner = in.number<std::uint16_t>();
    recipient.address = in.text(kAddressBytesMax);
    recipient.parameters = in.text(kParametersBytesMax);
    in.refuse_unless(!recipient.address.empty() && recipient.owner < crypto::kWrappedKeysMax);
    arrays.recipients.push_back(recipient);
  }
  if (!in.complete()) return corrupt();
  envelope.recipients = arrays.recipients;
  return envelope;
}

std::size_t encoded_bytes(const Outcome& outcome) { return kOutcomeBytes + outcome.recipients.size() * (4 + kStatusBytes); }

void encode(const Outcome& outcome, MutableBytes target) {
  FieldWriter out(target);
  out.number(outcome.message_generation);
  out.number(nanoseconds(outcome.due));
  out.number(outcome.revision);
  out.number(static_cast<std::uint32_t>(outcome.recipients.size()));
  out.bytes(outcome.host.ip.bytes);
  out.number(outcome.host.port);
  out.number(outcome.held ? kHeld : std::uint8_t{0});
  out.number(outcome.waited.warned ? kWarned : std::uint8_t{0});
  out.number(outcome.waited.age_s);
  for (const Outcome::Recipient& recipient : outcome.recipients) {
    out.number(recipient.index);
    write_status(out, recipient.status);
  }
}

Result<Outcome> decode_outcome(Bytes plaintext, Arrays& arrays) {
  FieldReader in(plaintext);
  Outcome outcome;
  outcome.message_generation = in.number<std::uint64_t>();
  outcome.due = wall_time(in.number<std::int64_t>());
  outcome.revision = in.number<std::uint32_t>();
  const auto recipients = in.number<std::uint32_t>();
  in.bytes(outcome.host.ip.bytes);
  outcome.host.port = in.number<std::uint16_t>();
  outcome.held = read_flag(in);
  outcome.waited.warned = read_flag(in);
  outcome.waited.age_s = in.number<std::uint32_t>();
  in.refuse_unless(outcome.revision > 0 && outcome.message_generation > 0 && recipients <= kRecipientsMax);
  in.refuse_unless(in.left() == recipients * (4 + kStatusBytes));
  if (!in.ok()) return corrupt();
  arrays.outcomes.clear();
  for (std::uint32_t i = 0; i < recipients; ++i) {
    Outcome::Recipient recipient;
    recipient.index = in.number<std::uint32_t>();
    recipient.status = read_status(in);
    recipient.status.host = outcome.host;
    in.refuse_unless(recipient.index < kRecipientsMax);
    arrays.outcomes.push_back(recipient);
  }
  if (!in.complete()) return corrupt();
  outcome.recipients = arrays.outcomes;
  return outcome;
}

std::size_t encoded_detail_bytes(const Outcome& outcome) {
  std::size_t size = 0;
  for_each_text(outcome, [&](std::uint32_t, std::string_view text) { size += 6 + text.size(); });
  return size;
}

void encode_detail(const Outcome& outcome, MutableBytes target) {
  FieldWriter out(target);
  for_each_text(outcome, [&](std::uint32_t index, std::string_view text) {
    out.number(index);
    out.text(text);
  });
}

Result<std::vector<ReplyText>> decode_detail(Bytes plaintext) {
  FieldReader in(plaintext);
  std::vector<ReplyText> texts;
  while (in.ok() && in.left() > 0) {
    ReplyText reply;
    reply.index = in.number<std::uint32_t>();
    reply.text = in.text(kReplyTextBytesMax);
    in.refuse_unless(reply.index < kRecipientsMax);
    texts.push_back(reply);
  }
  if (!in.complete()) return corrupt();
  return texts;
}

std::size_t encoded_bytes(const Checkpoint& checkpoint) {
  return kCheckpointBytes + checkpoint.audit.size() * 24 + checkpoint.generations.size() * 24;
}

void encode(const Checkpoint& checkpoint, MutableBytes target) {
  FieldWriter out(target);
  out.number(static_cast<std::uint32_t>(checkpoint.audit.size()));
  out.number(static_cast<std::uint32_t>(checkpoint.generations.size()));
  for (const AuditMark& mark : checkpoint.audit) {
    out.bytes(mark.incarnation.bytes);
    out.number(mark.sequence);
  }
  for (const GenerationMark& mark : checkpoint.generations) {
    out.number(mark.generation);
    out.number(mark.last_group);
    out.number(mark.segment);
    out.number(std::uint32_t{0});
  }
}

Result<Checkpoint> decode_checkpoint(Bytes plaintext) {
  FieldReader in(plaintext);
  Checkpoint checkpoint;
  const std::uint64_t audit = in.number<std::uint32_t>(), generations = in.number<std::uint32_t>();
  in.refuse_unless(in.left() == (audit + generations) * 24);
  if (!in.ok()) return corrupt();
  for (std::uint64_t i = 0; i < audit; ++i) {
    AuditMark& mark = checkpoint.audit.emplace_back();
    in.bytes(mark.incarnation.bytes);
    mark.sequence = in.number<std::uint64_t>();
  }
  for (std::uint64_t i = 0; i < generations; ++i) {
    GenerationMark& mark = checkpoint.generations.emplace_back();
    mark.generation = in.number<std::uint64_t>();
    mark.last_group = in.number<std::uint64_t>();
    mark.segment = in.number<std::uint32_t>();
    in.refuse_unless(mark.generation != 0 && in.number<std::uint32_t>() == 0);
  }
  if (!in.complete()) return corrupt();
  return checkpoint;
}

void encode(const Abandon& abandon, MutableBytes target) {
  FieldWriter out(target);
  out.number(abandon.generation);
  out.number(abandon.group);
}

Result<Abandon> decode_abandon(Bytes plaintext) {
  FieldReader in(plaintext);
  Abandon abandon;
  abandon.generation = in.number<std::uint64_t>();
  abandon.group = in.number<std::uint64_t>();
  if (!in.complete() || abandon.generation == 0) return corrupt();
  return abandon;
}

}  // namespace ringpost::spool
