#include "support.hh"

#include <array>
#include <sstream>

namespace ringpost::mime::testing {
namespace {

constexpr std::array<std::string_view, 8> kTypes = {"text",  "multipart", "message",     "image",
                                                    "audio", "video",     "application", "other"};
constexpr std::array<std::string_view, 8> kEncodings = {"identity", "7bit",   "8bit",     "binary",
                                                        "qp",       "base64", "uuencode", "unknown"};
constexpr std::array<std::string_view, 5> kDispositions = {"none", "inline", "attachment", "form-data", "other"};
constexpr std::array<std::string_view, 3> kBodies = {"leaf", "multipart", "message"};

/// Its arguments written one after the other.
template <typename... Values>
std::string joined(const Values&... values) {
  std::ostringstream text;
  (text << ... << values);
  return text.str();
}

std::string words_of(const Part& part, const Source& source) {
  std::string line;
  const auto add = [&](std::string_view label, Extent extent) {
    if (extent) line += joined(" ", label, "=", extent.begin, "+", extent.length, "\"", source.text(extent), "\"");
  };
  add("type", part.type_name);
  add("subtype", part.subtype);
  add("boundary", part.boundary);
  add("charset", part.charset);
  add("name", part.name);
  add("filename", part.filename);
  return line;
}

}  // namespace

Index index_of(std::string_view message, const Limits& limits) { return index_of_pieces(message, {}, limits); }

Index index_of_pieces(std::string_view message, const std::vector<std::size_t>& cuts, const Limits& limits) {
  Indexer indexer(limits);
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    indexer.feed(as_bytes(std::string(message.substr(from, cut - from))));  // a copy: gone after the call
    from = cut;
  }
  indexer.feed(as_bytes(message.substr(from)));
  return indexer.finish();
}

std::string with_crlf(std::string_view text) {
  std::string wire;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) wire += '\r';
    wire += text[i];
  }
  return wire;
}

std::string flag_names(Flags flags) {
  std::string names;
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1) {
    if ((flags.bits & bit) == 0) continue;
    if (!names.empty()) names += ' ';
    names += flag_name(static_cast<Flag>(bit));
  }
  return names;
}

std::string describe(const Index& index, std::string_view message) {
  const Source source{.bytes = as_bytes(message)};
  std::string text =
      joined("size ", index.size(), " opaque ", index.opaque_begin(), " flags [", flag_names(index.flags()), "]\n");
  for (std::size_t i = 0; i < index.parts().size(); ++i) {
    const Part& part = index.parts()[i];
    const std::string indent(2 * part.depth, ' ');
    text += joined(indent, "part ", i, " in ", part.parent == kNoPart ? std::string("none") : std::to_string(part.parent),
                   ": header ", part.header_begin, "..", part.header_end, " body ", part.body_begin, "..", part.body_end, " ",
                   kBodies[static_cast<std::size_t>(part.body)], " type ", kTypes[static_cast<std::size_t>(part.type)],
                   " encoding ", kEncodings[static_cast<std::size_t>(part.encoding)], " disposition ",
                   kDispositions[static_cast<std::size_t>(part.disposition)], " [", flag_names(part.flags), "]\n");
    if (const std::string words = words_of(part, source); !words.empty()) text += indent + " " + words + "\n";
    for (const Field& field : index.fields_of(i)) {
      text += joined(indent, "  field ", field.begin, "+", field.name_length, " ", source.text(field.name()), ": value ",
                     field.value().begin, "+", field.value_length, "\n");
    }
  }
  return text;
}

std::string broken_invariant(const Index& index, std::uint64_t message_bytes) {
  if (index.size() != message_bytes) return "size";
  if (index.opaque_begin() > index.size()) return "opaque_begin beyond the end";
  const auto parts = index.parts();
  if (parts.empty() || parts[0].parent != kNoPart || parts[0].depth != 0) return "no root";
  if (parts[0].header_begin != 0 || parts[0].body_end != message_bytes) return "the root is not the whole message";
  std::vector<std::uint64_t> end_of_last_child(parts.size(), 0);
  std::vector<std::size_t> children(parts.size(), 0);
  Flags flags;
  std::size_t next_field = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    const auto wrong = [&](std::string_view what) { return joined("part ", i, ": ", what); };
    flags.add(part.flags);
    if (part.header_begin > part.header_end || part.header_end > part.body_begin || part.body_begin > part.body_end)
      return wrong("order");
    if (part.body_begin - part.header_end > 2) return wrong("more than an empty line between header and body");
    if (part.first_field != next_field) return wrong("fields are not neighbours");
    next_field += part.field_count;
    std::uint64_t at = part.header_begin;
    if (next_field > index.fields().size()) return wrong("fields missing");
    for (const Field& field : index.fields_of(i)) {
      if (field.part != i) return wrong("field of another part");
      if (field.begin < at || field.name_length == 0 || field.value_offset <= field.name_length) return wrong("field order");
      at = field.value().end();
      if (at > part.header_end) return wrong("field beyond header");
    }
    for (const Extent word : {part.type_name, part.subtype, part.boundary, part.charset, part.name, part.filename}) {
      if (word && (word.begin < part.header_begin || word.end() > part.header_end)) return wrong("word outside header");
    }
    if (i == 0) continue;
    if (part.parent >= i) return wrong("parent after child");
    const Part& parent = parts[part.parent];
    if (parent.body == Body::leaf) return wrong("leaf with child");
    if (part.depth != parent.depth + 1) return wrong("depth");
    if (part.header_begin < parent.body_begin || part.body_end > parent.body_end) return wrong("not inside its parent");
    if (part.header_begin < end_of_last_child[part.parent]) return wrong("overlaps its sibling");
    end_of_last_child[part.parent] = part.body_end;
    ++children[part.parent];
    if (parent.body == Body::message && (part.header_begin != parent.body_begin || part.body_end != parent.body_end)) {
      return wrong("a message inside that is not the whole body");
    }
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].body == Body::message && children[i] != 1) return "a message part without its one child";
  }
  if (next_field != index.fields().size()) return "fields without a part";
  if (!(flags == index.flags())) return "flags are not the union";
  return {};
}

}  // namespace ringpost::mime::testing
