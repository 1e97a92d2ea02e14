#include "ringpost/mime/structure.hh"

#include <algorithm>

namespace ringpost::mime {

std::string_view flag_name(Flag flag) noexcept {
  switch (flag) {
    case Flag::over_depth: return "over_depth";
    case Flag::over_parts: return "over_parts";
    case Flag::over_fields: return "over_fields";
    case Flag::header_too_long: return "header_too_long";
    case Flag::field_too_long: return "field_too_long";
    case Flag::boundary_too_long: return "boundary_too_long";
    case Flag::no_colon: return "no_colon";
    case Flag::space_before_colon: return "space_before_colon";
    case Flag::leading_fold: return "leading_fold";
    case Flag::mbox_from: return "mbox_from";
    case Flag::long_line: return "long_line";
    case Flag::nul: return "nul";
    case Flag::eight_bit: return "eight_bit";
    case Flag::missing_end: return "missing_end";
    case Flag::no_boundary: return "no_boundary";
    case Flag::boundary_junk: return "boundary_junk";
    case Flag::header_cut: return "header_cut";
    case Flag::duplicate_content_type: return "duplicate_content_type";
    case Flag::duplicate_encoding: return "duplicate_encoding";
    case Flag::duplicate_disposition: return "duplicate_disposition";
    case Flag::duplicate_parameter: return "duplicate_parameter";
    case Flag::bad_content_type: return "bad_content_type";
    case Flag::encoded_container: return "encoded_container";
  }
  return "unknown";
}

std::string_view Source::text(Extent extent) const noexcept {
  if (extent.begin < begin) return {};
  const std::uint64_t offset = extent.begin - begin;
  if (offset > bytes.size() || extent.length > bytes.size() - offset) return {};
  return as_text(bytes.subspan(static_cast<std::size_t>(offset), extent.length));
}

const Field* Index::find(HeaderId id, std::size_t part) const noexcept {
  const auto fields = fields_of(part);
  const auto found = std::ranges::find(fields, id, &Field::id);
  return found == fields.end() ? nullptr : &*found;
}

std::size_t Index::count(HeaderId id, std::size_t part) const noexcept {
  return static_cast<std::size_t>(std::ranges::count(fields_of(part), id, &Field::id));
}

namespace {

bool is_called(const Field& field, std::string_view name, std::uint32_t hash, const Source& source) noexcept {
  return field.name_hash == hash && equal_ignoring_case(source.text(field.name()), name);
}

}  // namespace

const Field* Index::header_field(std::string_view name, const Source& source, std::size_t part) const noexcept {
  const std::uint32_t hash = header_name_hash(name);
  for (const Field& field : fields_of(part)) {
    if (is_called(field, name, hash, source)) return &field;
  }
  return nullptr;
}

std::size_t Index::count(std::string_view name, const Source& source, std::size_t part) const noexcept {
  const std::uint32_t hash = header_name_hash(name);
  return static_cast<std::size_t>(
      std::ranges::count_if(fields_of(part), [&](const Field& field) { return is_called(field, name, hash, source); }));
}

}  // namespace ringpost::mime
