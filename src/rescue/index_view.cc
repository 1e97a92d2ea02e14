#include "index_view.hh"

namespace ringpost::rescue {

namespace {

constexpr std::size_t kEntriesAtOnce = 512;

/// Puts the entries where a start would. False: they do not belong together.
runtime::Task<Result<bool>> read_entries(index::Index& index, Ledger& into) {
  Result<bool> proven = co_await index.prove();
  if (!proven || !*proven) co_return proven;
  for (MessageId after{};;) {
    Result<std::vector<index::Entry>> page = co_await index.page(after, kEntriesAtOnce);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) co_return true;
    after = page->back().id;
    for (const index::Entry& entry : *page) into.add(entry);
  }
}

std::optional<FindingKind> finding_of(index::Opening state) {
  switch (state) {
    case index::Opening::restored: return std::nullopt;
    case index::Opening::created: return FindingKind::index_absent;
    case index::Opening::unproven: return FindingKind::index_unproven;
    case index::Opening::foreign: return FindingKind::index_foreign;
    case index::Opening::unreadable:
    case index::Opening::wrong: return FindingKind::index_damaged;
  }
  return FindingKind::index_damaged;
}

}  // namespace

runtime::Task<IndexView> read_index(runtime::Ring& ring, std::unique_ptr<index::IndexStore> rows,
                                    const spool::InspectionOptions& of, Bytes metadata_key, Reporter& reporter) {
  IndexView view;
  auto opened = co_await index::Index::open(ring, std::move(rows), of.store, of.partition, metadata_key);
  std::optional<FindingKind> wrong = opened ? finding_of(opened->state) : FindingKind::index_damaged;
  if (!wrong) {
    Result<bool> read = co_await read_entries(*opened->index, view.entries);
    if (!read || !*read) wrong = FindingKind::index_damaged;
  }
  if (wrong) {
    reporter.found({.kind = *wrong, .partition = of.partition});
    co_return IndexView{};
  }
  view.mark = opened->mark;
  co_return view;
}

}  // namespace ringpost::rescue
