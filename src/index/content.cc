#include "content.hh"

#include <algorithm>
#include <map>

#include "keys.hh"

namespace ringpost::index {

namespace {

constexpr std::string_view kMagic = "RPINDEX1";
constexpr std::uint16_t kVersion = 2;
// Head, in clear: magic | version u16 | zero, 6 bytes | store id | partition id | salt.
constexpr std::size_t kStoreOffset = 16, kPartitionOffset = 32, kSaltOffset = 48, kClearBytes = 64;
// Head, sealed: generation, group, entries | sum of tags, 16 bytes | scheduled, their sum | epoch u32 | zero u32 | seals |
// waiting messages, their waiting recipients.
constexpr std::size_t kHeadBytes = 88;
constexpr std::size_t kGenerationBytes = 16;

std::array<std::byte, kClearBytes> clear_head(const StoreId& store, const PartitionId& partition, const Salt& salt) {
  std::array<std::byte, kClearBytes> clear{};
  copy_bytes(clear, as_bytes(kMagic));
  store_le(clear.data() + kMagic.size(), kVersion);
  copy_bytes(MutableBytes{clear}.subspan(kStoreOffset), store.bytes);
  copy_bytes(MutableBytes{clear}.subspan(kPartitionOffset), partition.bytes);
  copy_bytes(MutableBytes{clear}.subspan(kSaltOffset), salt);
  return clear;
}

std::array<std::byte, kHeadBytes> encode(const Head& head) {
  std::array<std::byte, kHeadBytes> out{};
  store_le(out.data(), head.mark.generation);
  store_le(out.data() + 8, head.mark.group);
  store_le(out.data() + 16, head.entries);
  store_le(out.data() + 24, head.tag_sum[0]);
  store_le(out.data() + 32, head.tag_sum[1]);
  store_le(out.data() + 40, head.scheduled);
  store_le(out.data() + 48, head.scheduled_sum);
  store_le(out.data() + 56, head.epoch);
  store_le(out.data() + 64, head.seals);
  store_le(out.data() + 72, head.waiting_messages);
  store_le(out.data() + 80, head.waiting_recipients);
  return out;
}

Head decode_head(const std::array<std::byte, kHeadBytes>& in) {
  const auto number = [&](std::size_t offset) { return load_le<std::uint64_t>(in.data() + offset); };
  return {.mark = {.generation = number(0), .group = number(8)},
          .entries = number(16),
          .tag_sum = {number(24), number(32)},
          .scheduled = number(40),
          .scheduled_sum = number(48),
          .epoch = load_le<Epoch>(in.data() + 56),
          .seals = number(64),
          .waiting_messages = number(72),
          .waiting_recipients = number(80)};
}

std::array<std::uint64_t, 2> tag_of(Bytes sealed) {
  const std::byte* tag = sealed.last(crypto::kTagBytes).data();
  return {load_le<std::uint64_t>(tag), load_le<std::uint64_t>(tag + 8)};
}

/// Spreads a due row over 64 bits, for a sum that notices a row which is missing or elsewhere.
std::uint64_t spread(const DueCursor& due) {
  std::uint64_t z = due.id.prefix() + due.bucket * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Nothing is wrong with the content, and a fresh one would fare no better.
bool is_about_the_process(Error error) {
  return error.code == Errc::no_memory || error.code == Errc::no_descriptors || error.code == Errc::permission;
}

using Generations = std::map<std::uint64_t, GenerationLive>;

/// Adds a row to the sums, or takes it out: all of them wrap around.
void account(const Entry& entry, const std::array<std::uint64_t, 2>& tag, bool added, Head& head, Generations& live) {
  const std::uint64_t sign = added ? 1 : ~std::uint64_t{0};
  head.entries += sign;
  for (std::size_t i = 0; i < 2; ++i) head.tag_sum[i] += sign * tag[i];
  if (!entry.is_over()) head.waiting_messages += sign;
  head.waiting_recipients += sign * entry.waiting();
  if (entry.is_scheduled()) {
    head.scheduled += sign;
    head.scheduled_sum += sign * spread(due_cursor(entry));
  }
  const auto hold = [&](std::uint64_t generation, std::uint64_t records, std::uint64_t bytes) {
    GenerationLive& there = live[generation];
    there.records += sign * records;
    there.bytes += sign * bytes;
  };
  hold(entry.place.generation, 1, entry.place.length);
  for (const spool::Extent& extent : entry.chunks) hold(extent.generation, extent.records, extent.bytes);
}

std::unexpected<Error> corrupt() { return std::unexpected(Error{Errc::corrupt}); }

/// Collects what a scan comes by, up to a limit.
template <typename Row, typename Read>
class Collect final : public RowVisitor {
 public:
  Collect(std::size_t limit, Read read) : limit_(limit), read_(std::move(read)) {}
  bool on_row(Bytes key, Bytes value) override {
    if (auto row = read_(key, value))
      rows.push_back(std::move(*row));
    else
      is_good = false;
    return is_good && rows.size() < limit_;
  }

  std::vector<Row> rows;
  bool is_good = true;

 private:
  std::size_t limit_;
  Read read_;
};
template <typename Row, typename Read>
Collect<Row, Read> collect(std::size_t limit, Read read) {
  return {limit, std::move(read)};
}

class AnyRow final : public RowVisitor {
 public:
  bool on_row(Bytes, Bytes) override {
    found = true;
    return false;
  }
  bool found = false;
};

}  // namespace

Content::Content(std::unique_ptr<IndexStore> store, RowCipher cipher, const StoreId& store_id, const PartitionId& partition)
    : store_(std::move(store)), cipher_(std::move(cipher)), store_id_(store_id), partition_(partition) {}

/// A content that was found wrong, or that cannot be read, is not to be trusted again.
template <typename T>
Result<T> Content::doubted(Result<T> result) {
  if (!result && result.error().code != Errc::no_space && result.error().code != Errc::no_memory) store_->condemn();
  return result;
}

// ---- opening

Result<Content::Opened> Content::open(const Salt& salt) {
  const Result<IndexStore::Found> found = store_->open();
  if (!found && is_about_the_process(found.error())) return std::unexpected(found.error());
  if (!found) return start_afresh(salt, Opening::unreadable, false);
  if (*found == IndexStore::Found::unproven) return start_afresh(salt, Opening::unproven, true);
  if (*found == IndexStore::Found::nothing) return start_afresh(salt, Opening::created, true);
  const Result<Opening> verdict = check();
  if (!verdict) return start_afresh(salt, Opening::unreadable, false);
  if (*verdict != Opening::restored) return start_afresh(salt, *verdict, false);
  return Opened{Opening::restored, head_.mark, totals()};
}

Result<bool> Content::prove() {
  if (check_all_rows() != Opening::restored) return false;
  if (auto settled = store_->settle(); !settled) return std::unexpected(settled.error());
  return true;
}

Result<Content::Opened> Content::reset(const Salt& salt) { return start_afresh(salt, Opening::created, false); }

Result<Content::Opened> Content::start_afresh(const Salt& salt, Opening why, bool is_empty) {
  if (!is_empty) {
    if (auto removed = store_->remove(); !removed) return std::unexpected(removed.error());
    if (auto opened = store_->open(); !opened) return std::unexpected(opened.error());
  }
  if (auto settled = store_->settle(); !settled) return std::unexpected(settled.error());
  salt_ = salt;
  cipher_.use(salt_);
  head_ = {};
  return Opened{why, {}, {}};
}

Result<Opening> Content::check() {
  Result<bool> has_head = store_->get(Table::head, kHeadKey, value_);
  if (!has_head) return std::unexpected(has_head.error());
  if (!*has_head) {  // never committed; then there are no rows either
    AnyRow any;
    if (auto scanned = store_->scan(Table::messages, {}, any); !scanned) return std::unexpected(scanned.error());
    return any.found ? Opening::wrong : Opening::created;
  }
  return read_head(value_);
}

Opening Content::read_head(Bytes value) {
  if (value.size() < kClearBytes) return Opening::wrong;
  copy_bytes(salt_, value.subspan(kSaltOffset, salt_.size()));
  if (!std::ranges::equal(value.first(kClearBytes), clear_head(store_id_, partition_, salt_))) return Opening::foreign;
  cipher_.use(salt_);
  std::array<std::byte, kHeadBytes> plaintext;
  if (!cipher_.open_head(value, kClearBytes, plaintext)) return Opening::wrong;
  head_ = decode_head(plaintext);
  return Opening::restored;
}

/// Adds up all rows as a commit does.
class Content::RowCheck {
 public:
  explicit RowCheck(Content& content) : content_(content) {}

  bool run() {
    return scan<&RowCheck::on_message>(Table::messages) && scan<&RowCheck::on_due>(Table::due) &&
           scan<&RowCheck::on_generation>(Table::generations) && live_.empty() && agrees();
  }

 private:
  template <bool (RowCheck::*function)(Bytes, Bytes)>
  bool scan(Table table) {
    class Visitor final : public RowVisitor {
     public:
      explicit Visitor(RowCheck& check) : check_(check) {}
      bool on_row(Bytes key, Bytes value) override { return good = (check_.*function)(key, value); }
      bool good = true;

     private:
      RowCheck& check_;
    } visitor(*this);
    return content_.store_->scan(table, {}, visitor) && visitor.good;
  }
  bool on_message(Bytes key, Bytes value) {
    const std::optional<Row> row = content_.open_row(key, value);
    if (!row) return false;
    account(row->entry, row->tag, true, expected_, live_);
    return true;
  }
  bool on_due(Bytes key, Bytes value) {
    const std::optional<DueCursor> due = parse_due_key(key);
    if (!due || !value.empty()) return false;
    ++scheduled_;
    scheduled_sum_ += spread(*due);
    return true;
  }
  bool on_generation(Bytes key, Bytes value) {
    const std::optional<GenerationLive> live = content_.open_generation(key, value);
    if (!live) return false;
    const auto known = live_.find(live->generation);
    if (known == live_.end() || known->second.records != live->records || known->second.bytes != live->bytes) return false;
    live_.erase(known);
    return true;
  }
  bool agrees() const {
    const Head& head = content_.head_;
    return head.entries == expected_.entries && head.waiting_messages == expected_.waiting_messages &&
           head.waiting_recipients == expected_.waiting_recipients && head.tag_sum == expected_.tag_sum && head.scheduled == expected_.scheduled &&
           head.scheduled_sum == expected_.scheduled_sum && scheduled_ == head.scheduled && scheduled_sum_ == head.scheduled_sum;
  }

  Content& content_;
  Head expected_;
  std::uint64_t scheduled_ = 0, scheduled_sum_ = 0;
  Generations live_;
};

Opening Content::check_all_rows() { return RowCheck{*this}.run() ? Opening::restored : Opening::wrong; }

// ---- rows

std::optional<Content::Row> Content::open_row(Bytes key, Bytes value) {
  MessageId id;
  if (key.size() != id.bytes.size() || !cipher_.open(Table::messages, key, head_.epoch, value, plaintext_)) return std::nullopt;
  copy_bytes(id.bytes, key);
  Result<Entry> entry = decode_entry(id, plaintext_);
  if (!entry) return std::nullopt;
  return Row{std::move(*entry), tag_of(value)};
}

std::optional<GenerationLive> Content::open_generation(Bytes key, Bytes value) {
  const std::optional<std::uint64_t> generation = parse_generation_key(key);
  if (!generation || !cipher_.open(Table::generations, key, head_.epoch, value, plaintext_)) return std::nullopt;
  if (plaintext_.size() != kGenerationBytes) return std::nullopt;
  return GenerationLive{*generation, load_le<std::uint64_t>(plaintext_.data()), load_le<std::uint64_t>(plaintext_.data() + 8)};
}

Result<std::optional<Content::Row>> Content::read(const MessageId& id) {
  Result<bool> found = store_->get(Table::messages, id.bytes, value_);
  if (!found) return std::unexpected(found.error());
  if (!*found) return std::nullopt;
  std::optional<Row> row = open_row(id.bytes, value_);
  if (!row) return corrupt();
  return row;
}

SealedValue Content::seal_head(const Head& head, const crypto::Nonce& nonce) {
  return cipher_.seal_head(clear_head(store_id_, partition_, salt_), nonce, encode(head));
}

// ---- committing

/// The writes of one transaction, and the head that belongs to them.
class Content::Changes {
 public:
  Changes(Content& content, Nonces& nonces) : head(content.head_), content_(content), nonces_(nonces) {
    if (head.seals >= RowCipher::kSealsPerEpoch) {
      ++head.epoch;
      head.seals = 0;
    }
  }

  Result<> add(const MessageId& id, const Overlay::Change& change) {
    std::optional<Row> before;
    if (change.stored) {
      Result<std::optional<Row>> row = content_.read(id);
      if (!row) return std::unexpected(row.error());
      before = std::move(*row);
    }
    replace(id, before, change.entry);
    return {};
  }

  /// `facts`: all of one message, in their order.
  Result<> merge(std::span<const LogFact* const> facts) {
    const MessageId& id = facts.front()->entry.id;
    Result<std::optional<Row>> before = content_.read(id);
    if (!before) return std::unexpected(before.error());
    std::optional<Entry> known;
    if (*before) known = (*before)->entry;
    bool changed = false;
    for (const LogFact* fact : facts) changed |= index::apply(*fact, known);
    if (!changed) return {};
    if (known->is_over()) known.reset();
    replace(id, *before, known);
    return {};
  }

  Result<> finish(const LogMark& mark) {
    for (const auto& [generation, delta] : live_)
      if (auto added = add_generation(generation, delta); !added) return added;
    head.mark = mark;
    writes.push_back({Table::head, RowKey{kHeadKey}, content_.seal_head(head, nonces_.take())});
    std::ranges::sort(writes, [](const Write& a, const Write& b) {  // neighbours in a table touch the same pages
      if (a.table != b.table) return a.table < b.table;
      return std::ranges::lexicographical_compare(a.key.view(), b.key.view());
    });
    return {};
  }

  std::vector<Write> writes;
  Head head;

 private:
  void replace(const MessageId& id, const std::optional<Row>& before, const std::optional<Entry>& after) {
    std::optional<DueCursor> due_before, due_after;
    if (before) {
      if (before->entry.is_scheduled()) due_before = due_cursor(before->entry);
      account(before->entry, before->tag, false, head, live_);
    }
    if (after) {
      if (after->is_scheduled()) due_after = due_cursor(*after);
      put(*after);
    } else if (before) {
      writes.push_back({Table::messages, RowKey{id.bytes}, std::nullopt});
    }
    if (due_before == due_after) return;
    if (due_before) writes.push_back({Table::due, due_key(*due_before), std::nullopt});
    if (due_after) writes.push_back({Table::due, due_key(*due_after), SealedValue{}});
  }
  void put(const Entry& entry) {
    plaintext_.clear();
    append_encoded(entry, plaintext_);
    const RowKey key{entry.id.bytes};
    SealedValue value = seal(Table::messages, key, plaintext_);
    account(entry, tag_of(value.view()), true, head, live_);
    writes.push_back({Table::messages, key, std::move(value)});
  }
  SealedValue seal(Table table, const RowKey& key, Bytes plaintext) {
    ++head.seals;
    return content_.cipher_.seal(table, key.view(), head.epoch, nonces_.take(), plaintext);
  }
  Result<> add_generation(std::uint64_t generation, const GenerationLive& delta) {
    const RowKey key = generation_key(generation);
    GenerationLive live{.generation = generation};
    Result<bool> found = content_.store_->get(Table::generations, key.view(), content_.value_);
    if (!found) return std::unexpected(found.error());
    if (*found) {
      std::optional<GenerationLive> known = content_.open_generation(key.view(), content_.value_);
      if (!known) return corrupt();
      live = *known;
    }
    live.records += delta.records;
    live.bytes += delta.bytes;
    if (live.records == 0) {
      writes.push_back({Table::generations, key, std::nullopt});
      return {};
    }
    std::array<std::byte, kGenerationBytes> plaintext;
    store_le(plaintext.data(), live.records);
    store_le(plaintext.data() + 8, live.bytes);
    writes.push_back({Table::generations, key, seal(Table::generations, key, plaintext)});
    return {};
  }

  Content& content_;
  Nonces& nonces_;
  Generations live_;  // differences
  std::vector<std::byte> plaintext_;
};

Result<Totals> Content::commit(Changes& changes, const LogMark& mark) {
  if (auto finished = changes.finish(mark); !finished) return std::unexpected(finished.error());
  if (auto stored = store_->commit(changes.writes); !stored) return std::unexpected(stored.error());
  head_ = changes.head;
  return totals();
}

Result<Totals> Content::apply(const Overlay::Changes& overlay, const LogMark& mark, Nonces& nonces) {
  Changes changes(*this, nonces);
  for (const auto& [id, change] : overlay)
    if (auto added = changes.add(id, change); !added) return doubted<Totals>(std::unexpected(added.error()));
  return doubted(commit(changes, mark));
}

Result<Totals> Content::merge(const std::vector<LogFact>& facts, Nonces& nonces) {
  std::vector<const LogFact*> sorted;
  sorted.reserve(facts.size());
  for (const LogFact& fact : facts) sorted.push_back(&fact);
  std::ranges::sort(sorted, [](const LogFact* a, const LogFact* b) {  // those of one message in the log's order
    return a->entry.id != b->entry.id ? a->entry.id < b->entry.id : a < b;
  });
  Changes changes(*this, nonces);
  for (auto first = sorted.begin(); first != sorted.end();) {
    const auto last = std::find_if(first, sorted.end(), [&](const LogFact* fact) { return fact->entry.id != (*first)->entry.id; });
    if (auto merged = changes.merge({first, last}); !merged) return doubted<Totals>(std::unexpected(merged.error()));
    first = last;
  }
  return doubted(commit(changes, head_.mark));
}

// ---- reading

Result<std::optional<Entry>> Content::find(const MessageId& id) {
  Result<std::optional<Row>> row = read(id);
  if (!row) return doubted<std::optional<Entry>>(std::unexpected(row.error()));
  if (!*row) return std::nullopt;
  return std::move((*row)->entry);
}

Result<std::vector<Entry>> Content::find_all(const std::vector<MessageId>& ids) {
  std::vector<Entry> entries;
  for (const MessageId& id : ids) {
    Result<std::optional<Row>> row = read(id);
    if (!row) return doubted<std::vector<Entry>>(std::unexpected(row.error()));
    if (*row) entries.push_back(std::move((*row)->entry));
  }
  return entries;
}

Result<std::vector<Entry>> Content::next_entries(const std::optional<MessageId>& after, std::size_t limit) {
  using Entries = std::vector<Entry>;
  auto entries = collect<Entry>(limit, [this](Bytes key, Bytes value) -> std::optional<Entry> {
    std::optional<Row> row = open_row(key, value);
    if (!row) return std::nullopt;
    return std::move(row->entry);
  });
  const auto scanned = store_->scan(Table::messages, after ? Bytes{after->bytes} : Bytes{}, entries);
  if (!scanned) return doubted<Entries>(std::unexpected(scanned.error()));
  if (!entries.is_good) return doubted<Entries>(corrupt());
  return std::move(entries.rows);
}

Result<DuePage> Content::due(const DueQuery& query) {
  auto rows = collect<DueCursor>(query.limit, [](Bytes key, Bytes) { return parse_due_key(key); });
  const RowKey start = query.after ? due_key(*query.after) : due_bucket_key(due_bucket(query.from));
  if (auto scanned = store_->scan(Table::due, start.view(), rows); !scanned)
    return doubted<DuePage>(std::unexpected(scanned.error()));
  if (!rows.is_good) return doubted<DuePage>(corrupt());
  DuePage page;
  if (rows.rows.size() == query.limit && rows.rows.back().bucket <= due_bucket(query.before)) page.next = rows.rows.back();
  for (const DueCursor& due : rows.rows) {
    if (due.bucket > due_bucket(query.before)) break;
    Result<std::optional<Row>> row = read(due.id);
    if (!row) return doubted<DuePage>(std::unexpected(row.error()));
    if (!*row || due_cursor((*row)->entry) != due) return doubted<DuePage>(corrupt());
    Entry& entry = (*row)->entry;
    if (entry.due >= query.from && entry.due < query.before) page.entries.push_back(std::move(entry));
  }
  return page;
}

Result<std::vector<GenerationLive>> Content::generations() {
  using Rows = std::vector<GenerationLive>;
  auto rows = collect<GenerationLive>(~std::size_t{0}, [this](Bytes key, Bytes value) { return open_generation(key, value); });
  if (auto scanned = store_->scan(Table::generations, {}, rows); !scanned)
    return doubted<Rows>(std::unexpected(scanned.error()));
  if (!rows.is_good) return doubted<Rows>(corrupt());
  return std::move(rows.rows);
}

}  // namespace ringpost::index
