// The state of an indexer between two spans.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "boundary.hh"
#include "content.hh"
#include "ringpost/mime/index.hh"

namespace ringpost::mime {

/// Two halves. The scanner (machine_scan.cc) cuts spans into the lines that matter and lets all other bytes pass; the
/// grammar (machine_grammar.cc) decides what such a line means. A line is judged only when its end, or the end of the
/// message, has come: that is why the result does not depend on the split.
class Indexer::Machine {
 public:
  explicit Machine(const Limits& limits);
  void reset();
  void feed(Bytes bytes);
  void finish();
  const Index& index() const { return index_; }

 private:
  /// How the bytes from the cursor on are read.
  enum class Scan : std::uint8_t {
    line,  ///< up to the line end: header lines, and body lines that begin with "--"
    dash,  ///< at the start of a body line: does it begin with "--"?
    skip,  ///< inside a body line of no interest
    rest,  ///< nothing of interest can follow
  };
  struct Line {
    std::string_view text;  ///< without line end; at most field_bytes_max bytes
    std::uint64_t begin;
    std::uint64_t text_end;
    std::uint64_t end;
  };
  /// A part that holds other parts and is not yet over.
  struct Container {
    std::uint16_t part;
    bool missing_end;  ///< a multipart whose close delimiter has not come
    bool digest;
  };

  // Scanner. Each take_ function reads from `cursor` on and returns where it stopped.
  std::uint64_t take_line(std::uint64_t cursor);
  std::uint64_t take_dash(std::uint64_t cursor);
  std::uint64_t take_skip(std::uint64_t cursor);
  void begin_line(std::uint64_t begin, std::uint32_t line_break, Scan scan);
  Scan scan_for_next_line() const;
  Line line_from_held(std::uint64_t text_end, std::uint64_t end);
  std::uint32_t line_break_at(std::uint64_t newline) const;
  void hold_tail();
  std::string_view view(std::uint64_t begin, std::uint64_t end) const {
    return span_.substr(static_cast<std::size_t>(begin - span_begin_), static_cast<std::size_t>(end - begin));
  }

  // Grammar.
  void on_line(const Line& line);
  bool on_header_line(const Line& line);
  bool on_delimiter(const Line& line);
  bool is_mbox_line(const Line& line) const;
  bool open_field(const Line& line);
  void extend_field(const Line& line);
  void keep_value(std::string_view text, std::uint64_t length);
  void close_field();
  void end_header(std::uint64_t header_end, std::uint64_t body_begin);
  void begin_body();
  void begin_multipart();
  void begin_message();
  bool begin_part(std::uint64_t header_begin, std::uint16_t parent);
  void close_leaf(std::uint64_t end);
  void close_containers(std::size_t keep, std::uint64_t end);
  void end_message();
  void stop(std::uint16_t part, Flag flag, std::uint64_t opaque_begin);

  Part& part() { return index_.parts_[part_]; }
  bool header_too_long(std::uint64_t end) const { return end - index_.parts_[part_].header_begin > limits_.header_bytes_max; }

  const Limits limits_;
  Index index_;
  std::vector<Container> containers_;  ///< outermost first; the place here is the level in boundaries_
  BoundarySet boundaries_;

  std::string_view span_;
  std::uint64_t span_begin_ = 0;
  char byte_before_span_ = 0;
  std::vector<char> held_;  ///< the beginning of the current line, from earlier spans
  Scan scan_ = Scan::line;
  std::uint64_t line_begin_ = 0;
  std::uint32_t line_break_ = 0;  ///< bytes of the line end before line_begin_
  Flags line_flags_;              ///< NUL and 8-bit in the current header line so far

  std::uint16_t part_ = 0;  ///< the part that began last
  bool in_part_ = true;     ///< part_ is not over; false in a preamble or epilogue
  bool in_header_ = true;
  bool field_open_ = false;
  bool value_whole_ = true;  ///< value_ is all of the open field's value
  bool stopped_ = false;
  bool finished_ = false;
  Content content_;
  std::vector<char> value_;     ///< the value of an open Content-* field
  std::uint64_t last_end_ = 0;  ///< where the part that was closed last ends
};

}  // namespace ringpost::mime
