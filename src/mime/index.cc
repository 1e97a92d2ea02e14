#include "ringpost/mime/index.hh"

#include "machine.hh"

namespace ringpost::mime {

Indexer::Machine::Machine(const Limits& limits)
    // One level more than containers may be open: the header of a part at the greatest depth may still name a boundary.
    : limits_(limits), boundaries_(std::size_t{limits.depth_max} + 1, limits.boundary_bytes_max) {
  RP_ASSERT(limits.parts_max >= 1 && limits.parts_max < kNoPart);
  RP_ASSERT(limits.depth_max <= 1000);
  RP_ASSERT(limits.field_bytes_max >= 2048);
  RP_ASSERT(limits.boundary_bytes_max >= 1 && limits.boundary_bytes_max <= 1000);
  index_.parts_.reserve(limits.parts_max);
  index_.fields_.reserve(limits.fields_max);
  containers_.reserve(std::size_t{limits.depth_max} + 1);
  held_.reserve(limits.field_bytes_max);
  value_.reserve(limits.field_bytes_max);
  reset();
}

void Indexer::Machine::reset() {
  index_.parts_.clear();
  index_.fields_.clear();
  index_.flags_ = {};
  index_.size_ = 0;
  index_.opaque_begin_ = 0;
  containers_.clear();
  boundaries_.close_all();
  span_ = {};
  span_begin_ = 0;
  byte_before_span_ = 0;
  field_open_ = false;
  stopped_ = false;
  finished_ = false;
  last_end_ = 0;
  begin_line(0, 0, Scan::line);
  begin_part(0, kNoPart);
}

Indexer::Indexer(const Limits& limits) : machine_(std::make_unique<Machine>(limits)) {}
Indexer::~Indexer() = default;

void Indexer::feed(Bytes bytes) { machine_->feed(bytes); }

const Index& Indexer::finish() {
  machine_->finish();
  return machine_->index();
}

const Index& Indexer::index() const { return machine_->index(); }

void Indexer::reset() { machine_->reset(); }

}  // namespace ringpost::mime
