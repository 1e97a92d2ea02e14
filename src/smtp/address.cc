#include "ringpost/smtp/address.hh"

#include <array>

#include "ascii.hh"
#include "utf8.hh"

namespace ringpost::smtp {
namespace {

constexpr auto kAtext = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 128; ++c) table[c] = is_let_dig(static_cast<char>(c));
  for (char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();
constexpr bool is_atext(char c) { return kAtext[static_cast<unsigned char>(c)]; }

// What no address may hold beside ASCII controls: C1 controls and the line and paragraph separators.
constexpr bool is_refused_anywhere(char32_t c) { return (c >= 0x80 && c <= 0x9f) || c == 0x2028 || c == 0x2029; }
// Full stops that UTS-46 maps to a dot: in a domain they would make a second spelling of a label boundary.
constexpr bool is_dot_twin(char32_t c) { return c == 0x3002 || c == 0xff0e || c == 0xff61; }

/// A recursive-descent parser of the grammar; the first fault ends it.
class Grammar {
 public:
  Grammar(std::string_view text, Utf8 utf8) : text_(text), utf8_(utf8) {}

  std::size_t at() const { return at_; }
  bool done() const { return at_ == text_.size(); }
  AddressFault fault() const { return fault_; }

  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool expect(char c) { return take(c) || fail(AddressFault::syntax); }
  bool fail(AddressFault fault) {
    if (fault_ == AddressFault::none) fault_ = fault;
    return false;
  }
  bool starts_with(char c) const { return !done() && text_[at_] == c; }

  /// Mailbox = Local-part "@" ( Domain / address-literal )
  bool mailbox(Mailbox& mailbox) {
    if (!local_part(mailbox)) return false;
    if (!take('@')) return fail(done() || starts_with('>') ? AddressFault::no_domain : AddressFault::syntax);
    std::size_t domain_begin = at_;
    mailbox.literal = starts_with('[');
    if (!(mailbox.literal ? address_literal() : domain())) return false;
    mailbox.domain = text_.substr(domain_begin, at_ - domain_begin);
    mailbox.utf8 = non_ascii_seen_;
    return true;
  }

  /// Domain = sub-domain *("." sub-domain)
  bool domain() {
    std::size_t begin = at_;
    do {
      if (!label()) return false;
    } while (take('.'));
    if (at_ - begin > kDomainBytesMax) return fail(AddressFault::domain_too_long);
    return true;
  }

  /// address-literal = "[" ( IPv4-address-literal / IPv6-address-literal ) "]"
  bool address_literal() {
    if (!expect('[')) return false;
    std::size_t end = text_.find(']', at_);
    if (end == std::string_view::npos) return fail(AddressFault::bad_literal);
    std::string_view inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    if (starts_upper(inside, "IPV6:")) return ipv6(inside.substr(5)) || fail(AddressFault::bad_literal);
    if (inside.find(':') != std::string_view::npos && !is_hex_group_start(inside)) return fail(AddressFault::unsupported_literal);
    return ipv4(inside) || fail(AddressFault::bad_literal);
  }

  /// A-d-l ":" of a source route: accepted and ignored (RFC 5321 section 3.6.1).
  bool source_route() {
    do {
      if (!expect('@') || !domain()) return false;
    } while (take(','));
    return expect(':');
  }

  /// Local-part = Dot-string / Quoted-string
  bool local_part(Mailbox& mailbox) {
    std::size_t begin = at_;
    mailbox.quoted = starts_with('"');
    if (!(mailbox.quoted ? quoted_string() : dot_string())) return false;
    mailbox.local = text_.substr(begin, at_ - begin);
    if (mailbox.local.size() > kLocalPartBytesMax) return fail(AddressFault::local_too_long);
    return true;
  }

 private:
  // "1111:2222:..." without the tag is a mistyped address, "Tag:..." a general literal.
  static bool is_hex_group_start(std::string_view inside) {
    std::string_view group = inside.substr(0, inside.find(':'));
    return std::ranges::all_of(group, is_hex);
  }

  bool dot_string() {
    do {
      if (!atom()) return false;
    } while (take('.'));
    return true;
  }

  bool atom() {
    std::size_t begin = at_;
    while (!done()) {
      if (is_atext(text_[at_])) {
        ++at_;
      } else if (is_eight_bit(text_[at_])) {
        if (!non_ascii(false)) return false;
      } else {
        break;
      }
    }
    return at_ != begin || fail(AddressFault::syntax);
  }

  bool quoted_string() {
    if (!expect('"')) return false;
    while (!done()) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {  // quoted-pairSMTP: any printable ASCII behind it
        ++at_;
        if (done() || is_control(text_[at_]) || is_eight_bit(text_[at_])) return fail(AddressFault::syntax);
        ++at_;
      } else if (is_eight_bit(c)) {
        if (!non_ascii(false)) return false;
      } else if (is_control(c)) {
        return fail(AddressFault::syntax);
      } else {
        ++at_;
      }
    }
    return fail(AddressFault::syntax);
  }

  // sub-domain = Let-dig [Ldh-str], or a U-label. Whether a U-label is one IDNA2008 knows is decided where it is looked up.
  bool label() {
    std::size_t begin = at_;
    while (!done()) {
      char c = text_[at_];
      if (is_let_dig(c) || (c == '-' && at_ != begin)) {
        ++at_;
      } else if (is_eight_bit(c)) {
        if (!non_ascii(true)) return false;
      } else {
        break;
      }
    }
    if (at_ == begin || text_[at_ - 1] == '-') return fail(AddressFault::syntax);
    if (at_ - begin > kLabelBytesMax) return fail(AddressFault::label_too_long);
    return true;
  }

  bool non_ascii(bool in_domain) {
    if (utf8_ == Utf8::refused) return fail(AddressFault::utf8_not_allowed);
    CodePoint c = decode_utf8(text_.substr(at_));
    if (c.size == 0 || is_refused_anywhere(c.value) || (in_domain && is_dot_twin(c.value))) return fail(AddressFault::bad_utf8);
    at_ += c.size;
    non_ascii_seen_ = true;
    return true;
  }

  // Snum 3("." Snum), each 0..255 in at most three digits.
  static bool ipv4(std::string_view text) {
    for (int part = 0; part < 4; ++part) {
      std::size_t digits = 0;
      unsigned value = 0;
      while (digits < text.size() && digits < 4 && is_digit(text[digits])) value = value * 10 + unsigned(text[digits++] - '0');
      if (digits == 0 || digits > 3 || value > 255) return false;
      text.remove_prefix(digits);
      if (part == 3) break;
      if (text.empty() || text.front() != '.') return false;
      text.remove_prefix(1);
    }
    return text.empty();
  }

  // IPv6-full, IPv6-comp, IPv6v4-full, IPv6v4-comp: "::" stands for at least two groups of zeros.
  static bool ipv6(std::string_view text) {
    int groups = 0;
    bool compressed = false, may_end = false;
    if (text.starts_with("::")) {
      compressed = may_end = true;
      text.remove_prefix(2);
    }
    while (!text.empty()) {
      std::size_t digits = 0;
      while (digits < text.size() && is_hex(text[digits])) ++digits;
      if (digits < text.size() && text[digits] == '.') {  // the last 32 bits as IPv4
        return ipv4(text) && (compressed ? groups <= 4 : groups == 6);
      }
      if (digits == 0 || digits > 4) return false;
      ++groups;
      may_end = true;
      text.remove_prefix(digits);
      if (text.empty()) break;
      if (text.starts_with("::")) {
        if (compressed) return false;
        compressed = true;
        text.remove_prefix(2);
      } else if (text.starts_with(":")) {
        text.remove_prefix(1);
        may_end = false;
      } else {
        return false;
      }
    }
    return may_end && (compressed ? groups <= 6 : groups == 8);
  }

  std::string_view text_;
  Utf8 utf8_;
  std::size_t at_ = 0;
  bool non_ascii_seen_ = false;
  AddressFault fault_ = AddressFault::none;
};

AddressFault whole(const Grammar& grammar, bool parsed) {
  if (!parsed) return grammar.fault();
  return grammar.done() ? AddressFault::none : AddressFault::syntax;
}

Path parse_path(std::string_view text, Utf8 utf8, bool forward) {
  Path path;
  Grammar grammar(text, utf8);
  auto failed = [&](AddressFault fault) {
    path.fault = fault;
    return path;
  };
  if (!grammar.expect('<')) return failed(grammar.fault());
  if (!forward && grammar.take('>')) {
    path.size = grammar.at();
    return path;
  }
  if (forward && starts_upper(text.substr(1), "POSTMASTER>")) {  // RFC 5321 section 4.1.1.3
    path.kind = Path::Kind::postmaster;
    path.bare_local = text.substr(1, 10);
    path.size = 12;
    return path;
  }
  path.kind = Path::Kind::mailbox;
  path.source_route = grammar.starts_with('@');
  if (path.source_route && !grammar.source_route()) return failed(grammar.fault());
  if (!grammar.mailbox(path.mailbox) || !grammar.expect('>')) return failed(grammar.fault());
  path.size = grammar.at();
  if (path.size > kPathBytesMax) return failed(AddressFault::path_too_long);
  return path;
}

Reply address_refusal(AddressFault fault, EnhancedCode syntax) {
  switch (fault) {
    case AddressFault::none: return {};
    case AddressFault::syntax: return {501, syntax, "Malformed address"};
    case AddressFault::no_domain: return {501, syntax, "Address has no domain"};
    case AddressFault::local_too_long: return {501, syntax, "Local part too long"};
    case AddressFault::domain_too_long: return {501, syntax, "Domain too long"};
    case AddressFault::label_too_long: return {501, syntax, "Label of domain too long"};
    case AddressFault::path_too_long: return {501, syntax, "Path too long"};
    case AddressFault::bad_literal: return {501, syntax, "Malformed address literal"};
    case AddressFault::unsupported_literal: return {501, syntax, "Address literal of an unknown kind"};
    case AddressFault::bad_utf8: return {553, {5, 6, 7}, "Address is not valid UTF-8"};
    case AddressFault::utf8_not_allowed: return replies::kUtf8NotAllowed;
  }
  return replies::kSyntax;
}

}  // namespace

Path parse_reverse_path(std::string_view text, Utf8 utf8) { return parse_path(text, utf8, false); }
Path parse_forward_path(std::string_view text, Utf8 utf8) { return parse_path(text, utf8, true); }

Path parse_mailbox(std::string_view text, Utf8 utf8) {
  Path path;
  path.kind = Path::Kind::mailbox;
  Grammar grammar(text, utf8);
  path.fault = whole(grammar, grammar.mailbox(path.mailbox));
  path.size = grammar.at();
  if (path.ok() && path.size + 2 > kPathBytesMax) path.fault = AddressFault::path_too_long;
  return path;
}

AddressFault parse_domain(std::string_view text, Utf8 utf8) {
  Grammar grammar(text, utf8);
  return whole(grammar, grammar.domain());
}

AddressFault parse_address_literal(std::string_view text) {
  Grammar grammar(text, Utf8::refused);
  return whole(grammar, grammar.address_literal());
}

AddressFault parse_helo_name(std::string_view text) {
  return text.starts_with('[') ? parse_address_literal(text) : parse_domain(text, Utf8::refused);
}

Reply sender_refusal(AddressFault fault) { return address_refusal(fault, {5, 1, 7}); }
Reply recipient_refusal(AddressFault fault) { return address_refusal(fault, {5, 1, 3}); }

}  // namespace ringpost::smtp
