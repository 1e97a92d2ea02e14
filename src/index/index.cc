#include "ringpost/index/index.hh"

#include <algorithm>
#include <utility>

#include "content.hh"
#include "keys.hh"
#include "offload.hh"
#include "ringpost/runtime/crash.hh"

namespace ringpost::index {

namespace {

constexpr std::unexpected kUnavailable{Error{Errc::unavailable}};

Salt random_salt(runtime::Ring& ring) {
  Salt salt;
  ring.random(salt);
  return salt;
}

/// Calls `visit` for every change that counts: those in flight, unless they changed again.
template <typename Visit>
void for_each_change(const Overlay& pending, const Overlay& flying, Visit visit) {
  for (const auto& [id, change] : flying.changes())
    if (!pending.find(id)) visit(id, change);
  for (const auto& [id, change] : pending.changes()) visit(id, change);
}

}  // namespace

Index::Index(runtime::Ring& ring, std::unique_ptr<Content> content, const Options& options)
    : ring_(ring), options_(options), content_(std::move(content)), last_commit_(ring.now()) {}

Index::~Index() { RP_ASSERT(jobs_ == 0 || runtime::crashing()); }

template <typename Work>
auto Index::offload(Work work) {
  return Offload<Work>{ring_, jobs_, std::move(work)};
}

runtime::Task<Result<Index::Opened>> Index::open(runtime::Ring& ring, std::string directory, StoreId store, PartitionId partition,
                                                 Bytes metadata_key32, Options options) {
  return open(ring, make_lmdb_store(std::move(directory), options.lmdb), store, partition, metadata_key32, options);
}

runtime::Task<Result<Index::Opened>> Index::open(runtime::Ring& ring, std::unique_ptr<IndexStore> rows, StoreId store,
                                                 PartitionId partition, Bytes metadata_key32, Options options) {
  RowCipher cipher(metadata_key32, store, partition);  // before the first await: the key may be gone behind it
  auto content = std::make_unique<Content>(std::move(rows), std::move(cipher), store, partition);
  std::unique_ptr<Index> index(new Index(ring, std::move(content), options));
  const Salt salt = random_salt(ring);
  Content& there = *index->content_;
  Result<Content::Opened> opened =
      co_await index->offload([&there, &salt] { return there.open(salt); });
  if (!opened) co_return std::unexpected(opened.error());
  index->committed_ = opened->mark;
  index->stats_.totals = opened->totals;
  co_return Opened{std::move(index), opened->state, opened->mark};
}

runtime::Task<Result<bool>> Index::prove() {
  if (health_ == Health::broken) co_return kUnavailable;
  Result<bool> proven = co_await offload([this] { return content_->prove(); });
  if (!proven) co_return failed(proven.error());
  co_return proven;
}

runtime::Task<Result<>> Index::reset() {
  RP_ASSERT(!is_committing_);
  is_committing_ = true;
  const Salt salt = random_salt(ring_);
  Result<Content::Opened> opened = co_await offload([this, &salt] { return content_->reset(salt); });
  is_committing_ = false;
  if (!opened) {
    health_ = Health::broken;
    co_return std::unexpected(opened.error());
  }
  pending_.clear();
  committed_ = {};
  stats_.totals = {};
  health_ = Health::good;
  co_return Result<>{};
}

// ---- changes

void Index::insert(Entry entry) {
  if (health_ != Health::broken) pending_.insert(std::move(entry));
}
void Index::put(Entry entry) {
  if (health_ != Health::broken) pending_.put(std::move(entry));
}
void Index::erase(const MessageId& id) {
  if (health_ != Health::broken) pending_.erase(id);
}

const Overlay::Change* Index::changed(const MessageId& id) const {
  const Overlay::Change* change = pending_.find(id);
  return change ? change : flying_.find(id);
}

// ---- commits

bool Index::is_time(const LogMark& mark, std::uint64_t log_bytes) const {
  const bool much_log = log_bytes - log_bytes_committed_ >= options_.commit_log_bytes && mark != committed_;
  // Without a change, all that came was delivered at once: then the log may be replayed a little longer.
  if (pending_.empty() && !much_log) return false;
  if (ring_.now() - last_commit_ >= options_.commit_interval) return true;
  return health_ == Health::good && (much_log || is_full());
}

runtime::Task<Result<bool>> Index::maybe_commit(LogMark mark, std::uint64_t log_bytes) {
  log_bytes_ = log_bytes;
  if (!is_time(mark, log_bytes)) co_return false;
  co_return co_await commit(mark);
}

runtime::Task<Result<bool>> Index::commit(LogMark mark) {
  if (health_ == Health::broken) co_return kUnavailable;
  if (is_committing_ || (pending_.empty() && mark == committed_)) co_return false;
  is_committing_ = true;
  last_commit_ = ring_.now();
  const std::uint64_t log_bytes = log_bytes_;
  std::swap(pending_, flying_);
  Nonces nonces;
  ring_.random(nonces.seed());
  Result<Totals> totals =
      co_await offload([this, &mark, &nonces] { return content_->apply(flying_.changes(), mark, nonces); });
  is_committing_ = false;
  stats_.last_commit_time = ring_.now() - last_commit_;
  if (!totals) {
    ++stats_.commits_failed;
    pending_.merge_older(std::move(flying_));
    co_return failed(totals.error());
  }
  ++stats_.commits;
  stats_.changes_committed += flying_.size();
  stats_.totals = *totals;
  flying_.clear();
  committed_ = mark;
  log_bytes_committed_ = log_bytes;
  if (health_ == Health::behind) health_ = Health::good;
  co_return true;
}

runtime::Task<Result<>> Index::merge(const std::vector<LogFact>& facts) {
  if (health_ == Health::broken) co_return kUnavailable;
  if (facts.empty()) co_return Result<>{};
  Nonces nonces;
  ring_.random(nonces.seed());
  Result<Totals> totals = co_await offload([this, &facts, &nonces] { return content_->merge(facts, nonces); });
  if (!totals) co_return failed(totals.error());
  ++stats_.commits;
  stats_.totals = *totals;
  co_return Result<>{};
}

std::unexpected<Error> Index::failed(Error error) {
  stats_.last_error = error;
  if (error.code == Errc::no_space || error.code == Errc::no_memory) {
    if (health_ == Health::good) health_ = Health::behind;
  } else {
    health_ = Health::broken;
    pending_.clear();  // not those in flight: a job may be reading them
  }
  return std::unexpected(error);
}

// ---- reads

runtime::Task<Result<std::optional<Entry>>> Index::find(MessageId id) {
  if (health_ == Health::broken) co_return kUnavailable;
  if (const Overlay::Change* change = changed(id)) co_return change->entry;
  Result<std::optional<Entry>> found = co_await offload([this, &id] { return content_->find(id); });
  if (!found) co_return failed(found.error());
  if (const Overlay::Change* change = changed(id)) co_return change->entry;  // meanwhile
  co_return found;
}

runtime::Task<Result<std::vector<Entry>>> Index::find_all(std::vector<MessageId> ids) {
  if (health_ == Health::broken) co_return kUnavailable;
  Result<std::vector<Entry>> found = co_await offload([this, &ids] { return content_->find_all(ids); });
  if (!found) co_return failed(found.error());
  std::erase_if(*found, [this](const Entry& entry) { return changed(entry.id) != nullptr; });
  for (const MessageId& id : ids)
    if (const Overlay::Change* change = changed(id); change && change->entry) found->push_back(*change->entry);
  co_return found;
}

runtime::Task<Result<std::vector<Entry>>> Index::page(MessageId after, std::size_t limit) {
  if (health_ == Health::broken) co_return kUnavailable;
  std::optional<MessageId> behind;
  if (!after.is_zero()) behind = after;
  for (;;) {
    Result<std::vector<Entry>> rows = co_await offload([this, &behind, limit] { return content_->next_entries(behind, limit); });
    if (!rows) co_return failed(rows.error());
    // Jobs run in order, so a change that these rows do not show is still in memory. It counts up to the last row read.
    const bool more = rows->size() == limit;
    std::optional<MessageId> last;
    if (more) last = rows->back().id;
    std::erase_if(*rows, [this](const Entry& entry) { return changed(entry.id) != nullptr; });
    for_each_change(pending_, flying_, [&](const MessageId& id, const Overlay::Change& change) {
      if (change.entry && (!behind || id > *behind) && (!last || id <= *last)) rows->push_back(*change.entry);
    });
    std::ranges::sort(*rows, {}, &Entry::id);
    if (!rows->empty() || !more) co_return rows;
    behind = last;  // all of them are gone
  }
}

runtime::Task<Result<DuePage>> Index::due(DueQuery query) {
  if (health_ == Health::broken) co_return kUnavailable;
  query.limit = std::max<std::size_t>(query.limit, 1);
  Result<DuePage> page = co_await offload([this, &query] { return content_->due(query); });
  if (!page) co_return failed(page.error());
  std::erase_if(page->entries, [this](const Entry& entry) { return changed(entry.id) != nullptr; });
  for_each_change(pending_, flying_, [&](const MessageId&, const Overlay::Change& change) {
    if (!change.entry || !change.entry->is_scheduled()) return;
    const Entry& entry = *change.entry;
    const DueCursor due = due_cursor(entry);
    if (entry.due < query.from || entry.due >= query.before) return;
    if ((query.after && due <= *query.after) || (page->next && due > *page->next)) return;
    page->entries.push_back(entry);
  });
  std::ranges::sort(page->entries, {}, due_cursor);
  if (page->entries.size() > query.limit) {
    page->entries.resize(query.limit);
    page->next = due_cursor(page->entries.back());
  }
  co_return page;
}

runtime::Task<Result<std::vector<GenerationLive>>> Index::live_by_generation() {
  if (health_ == Health::broken) co_return kUnavailable;
  Result<std::vector<GenerationLive>> live = co_await offload([this] { return content_->generations(); });
  if (!live) co_return failed(live.error());
  co_return live;
}

}  // namespace ringpost::index
