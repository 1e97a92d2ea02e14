// From lines to fields and parts.
#include <algorithm>

#include "machine.hh"
#include "ringpost/mime/survey.hh"
#include "scan.hh"

namespace ringpost::mime {
namespace {

/// A longer name is no name. RFC 5322 leaves 997 for it.
constexpr std::size_t kNameBytesMax = 997;

/// ftext: printable ASCII without the colon (RFC 5322 section 3.6.8).
constexpr bool is_name_byte(char c) { return c > ' ' && c < 127 && c != ':'; }

}  // namespace

void Indexer::Machine::on_line(const Line& line) {
  // A line that ends a header without being its empty line is then looked at as what it begins: a body, or the header of
  // a message inside.
  while (in_header_) {
    if (header_too_long(line.end)) {
      stop(part_, Flag::header_too_long, line.begin);
      return;
    }
    if (on_header_line(line)) return;
  }
  on_delimiter(line);
}

/// False when the line turned out not to belong to the header, which is then over.
bool Indexer::Machine::on_header_line(const Line& line) {
  if (line.text.empty()) {
    close_field();
    end_header(line.begin, line.end);
    begin_body();
    return true;
  }
  if (on_delimiter(line)) return true;

  part().flags.add(line_flags_);
  if (line.text_end - line.begin > kLineBytesMax) part().flags.set(Flag::long_line);
  if (is_blank(line.text.front())) {
    extend_field(line);
    return true;
  }
  close_field();
  if (open_field(line)) return true;
  if (is_mbox_line(line)) {
    part().flags.set(Flag::mbox_from);
    return true;
  }
  part().flags.set(Flag::no_colon);
  end_header(line.begin, line.begin);
  begin_body();
  return false;
}

/// The envelope line of an mbox file at the head of a message: old, common in archives, and no part of it.
bool Indexer::Machine::is_mbox_line(const Line& line) const {
  const Part& part = index_.parts_[part_];
  if (line.begin != part.header_begin) return false;
  if (part.parent != kNoPart && index_.parts_[part.parent].body != Body::message) return false;
  return line.text.starts_with("From ") || line.text.starts_with(">From ");
}

bool Indexer::Machine::open_field(const Line& line) {
  const std::string_view text = line.text.substr(0, kNameBytesMax + 1);
  std::size_t name_length = 0;
  while (name_length < text.size() && is_name_byte(text[name_length])) ++name_length;
  std::size_t colon = name_length;
  while (colon < text.size() && is_blank(text[colon])) ++colon;
  if (name_length == 0 || colon == text.size() || text[colon] != ':') return false;

  if (index_.fields_.size() == limits_.fields_max) {
    stop(part_, Flag::over_fields, line.begin);
    return true;
  }
  if (colon != name_length) part().flags.set(Flag::space_before_colon);
  const std::string_view name = text.substr(0, name_length);
  const std::uint32_t hash = header_name_hash(name);
  index_.fields_.push_back({.begin = line.begin,
                            .name_length = static_cast<std::uint32_t>(name_length),
                            .value_offset = static_cast<std::uint32_t>(colon + 1),
                            .value_length = static_cast<std::uint32_t>(line.text_end - line.begin - colon - 1),
                            .name_hash = hash,
                            .part = part_,
                            .id = header_id(name, hash)});
  ++part().field_count;
  field_open_ = true;
  value_.clear();
  value_whole_ = true;
  if (is_content_field(index_.fields_.back().id)) {
    keep_value(line.text.substr(colon + 1), index_.fields_.back().value_length);
  }
  return true;
}

void Indexer::Machine::extend_field(const Line& line) {
  if (!field_open_) {
    part().flags.set(Flag::leading_fold);
    return;
  }
  Field& field = index_.fields_.back();
  const std::uint64_t value_begin = field.value().begin;
  const std::uint64_t gap = line.begin - field.value().end();  // the line end between the lines
  field.value_length = static_cast<std::uint32_t>(line.text_end - value_begin);
  if (!is_content_field(field.id)) return;
  keep_value(gap == 2 ? "\r\n" : "\n", gap);
  keep_value(line.text, line.text_end - line.begin);
}

/// Appends the next `length` bytes of a value, of which `text` is what was kept. Ends when value_ would no longer be a
/// copy of the message byte for byte, since views into it are located in the message.
void Indexer::Machine::keep_value(std::string_view text, std::uint64_t length) {
  if (!value_whole_) return;
  const std::size_t room = std::min<std::size_t>(limits_.field_bytes_max - value_.size(), text.size());
  value_.insert(value_.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(room));
  value_whole_ = room == length;
}

void Indexer::Machine::close_field() {
  if (!field_open_) return;
  field_open_ = false;
  const Field& field = index_.fields_.back();
  if (!is_content_field(field.id)) return;
  if (!value_whole_) part().flags.set(Flag::field_too_long);
  read_content_field(field.id, {value_.data(), value_.size()}, field.value().begin, part(), content_,
                     boundaries_.storage(containers_.size()));
}

void Indexer::Machine::end_header(std::uint64_t header_end, std::uint64_t body_begin) {
  part().header_end = header_end;
  part().body_begin = body_begin;
  in_header_ = false;
}

void Indexer::Machine::begin_body() {
  const bool digest_child = part().parent != kNoPart && !containers_.empty() && containers_.back().digest;
  if (digest_child && !content_.type_seen) {  // RFC 2046 section 5.1.5
    part().type = MediaType::message;
    content_.holds_message = true;
  }
  if (part().type == MediaType::multipart) begin_multipart();
  if (content_.holds_message) begin_message();
}

void Indexer::Machine::begin_multipart() {
  Part& part = this->part();
  if (part.encoding == Encoding::base64 || part.encoding == Encoding::quoted_printable) part.flags.set(Flag::encoded_container);
  if (content_.boundary_length == 0) {
    part.flags.set(Flag::no_boundary);
    return;
  }
  if (part.depth >= limits_.depth_max) {
    part.flags.set(Flag::over_depth);
    return;
  }
  part.body = Body::multipart;
  boundaries_.open(containers_.size(), content_.boundary_length);
  containers_.push_back({.part = part_, .missing_end = true, .digest = content_.digest});
  in_part_ = false;
}

void Indexer::Machine::begin_message() {
  Part& part = this->part();
  const bool identity = part.encoding == Encoding::identity || part.encoding == Encoding::seven_bit ||
                        part.encoding == Encoding::eight_bit || part.encoding == Encoding::binary;
  if (!identity) {
    part.flags.set(Flag::encoded_container);
    return;
  }
  if (part.depth >= limits_.depth_max) {
    part.flags.set(Flag::over_depth);
    return;
  }
  if (!begin_part(part.body_begin, part_)) return;
  const std::uint16_t parent = this->part().parent;
  index_.parts_[parent].body = Body::message;
  containers_.push_back({.part = parent, .missing_end = false, .digest = false});
}

/// False when there are parts enough: the rest is opaque and stays with whatever is open.
bool Indexer::Machine::begin_part(std::uint64_t header_begin, std::uint16_t parent) {
  if (index_.parts_.size() == limits_.parts_max) {
    stop(parent, Flag::over_parts, header_begin);
    return false;
  }
  part_ = static_cast<std::uint16_t>(index_.parts_.size());
  index_.parts_.push_back({.header_begin = header_begin,
                           .first_field = static_cast<std::uint32_t>(index_.fields_.size()),
                           .parent = parent,
                           .depth = static_cast<std::uint16_t>(parent == kNoPart ? 0 : index_.parts_[parent].depth + 1)});
  content_ = {};
  in_part_ = true;
  in_header_ = true;
  return true;
}

bool Indexer::Machine::on_delimiter(const Line& line) {
  if (!boundaries_.any_open() || !line.text.starts_with("--")) return false;
  const auto match = boundaries_.match(line.text.substr(2));
  if (!match) return false;

  const std::uint64_t end = line.begin - std::min<std::uint64_t>(line_break_, line.begin);
  if (in_header_) {
    close_field();
    part().flags.set(Flag::header_cut);
  }
  close_leaf(end);
  close_containers(match->level + 1, end);

  Container& container = containers_[match->level];
  std::string_view after = line.text.substr(2 + match->length);
  const bool closes = after.starts_with("--");
  if (closes) after.remove_prefix(2);
  if (!trim_right(after).empty()) index_.parts_[container.part].flags.set(Flag::boundary_junk);
  if (closes) {
    container.missing_end = false;
    boundaries_.close(match->level);
  } else {
    begin_part(line.end, container.part);
  }
  return true;
}

void Indexer::Machine::close_leaf(std::uint64_t end) {
  if (!in_part_) return;
  Part& part = this->part();
  if (in_header_) {
    const std::uint64_t header_end = std::max(part.header_begin, end);
    end_header(header_end, header_end);
  }
  part.body_end = std::max(part.body_begin, end);
  last_end_ = part.body_end;
  in_part_ = false;
}

void Indexer::Machine::close_containers(std::size_t keep, std::uint64_t end) {
  while (containers_.size() > keep) {
    const Container container = containers_.back();
    boundaries_.close(containers_.size() - 1);
    containers_.pop_back();
    Part& part = index_.parts_[container.part];
    if (container.missing_end && !stopped_) part.flags.set(Flag::missing_end);
    // An empty last child begins after the line end that `end` leaves to the delimiter.
    part.body_end = std::max({part.body_begin, end, last_end_});
    last_end_ = part.body_end;
  }
}

void Indexer::Machine::end_message() {
  const std::uint64_t end = index_.size_;
  while (in_header_) {
    close_field();
    end_header(end, end);
    begin_body();
  }
  close_leaf(end);
  close_containers(0, end);
  if (!stopped_) index_.opaque_begin_ = end;
  for (const Part& part : index_.parts_) index_.flags_.add(part.flags);
}

void Indexer::Machine::stop(std::uint16_t part, Flag flag, std::uint64_t opaque_begin) {
  if (in_header_) {
    close_field();
    end_header(opaque_begin, opaque_begin);
  }
  index_.parts_[part].flags.set(flag);
  index_.opaque_begin_ = opaque_begin;
  stopped_ = true;
}

}  // namespace ringpost::mime
