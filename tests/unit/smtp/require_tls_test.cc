#include "ringpost/smtp/require_tls.hh"

#include <gtest/gtest.h>

#include <string_view>

namespace ringpost::smtp {
namespace {

bool says_no(std::string_view message, std::size_t cut = 0) {
  TlsRequiredField field;
  field.feed(as_bytes(message.substr(0, cut)));
  field.feed(as_bytes(message.substr(cut)));
  return field.says_no();
}

TEST(TlsRequiredField, only_in_the_header_and_only_no) {
  struct Case {
    std::string_view message;
    bool says_no;
  };
  const Case cases[] = {{"TLS-Required: No\r\n\r\nx\r\n", true},
                        {"Subject: s\r\ntls-required:no\r\n\r\n", true},
                        {"TLS-Required \t: \t NO \t\r\nSubject: s\r\n\r\n", true},
                        {"TLS-Required: No\n\n", true},
                        {"TLS-Required: Yes\r\n\r\n", false},
                        {"TLS-Required: Not\r\n\r\n", false},
                        {"TLS-Required: N\r\n\r\n", false},
                        {"TLS-Required:\r\n\r\n", false},
                        {"TLS-Required No\r\n\r\n", false},
                        {"X-TLS-Required: No\r\n\r\n", false},
                        {" TLS-Required: No\r\n\r\n", false},
                        {"Subject: s\r\n\r\nTLS-Required: No\r\n", false},
                        {"TLS-Required: No", false},  // no line
                        {"", false}};
  for (const Case& each : cases)
    for (std::size_t cut = 0; cut <= each.message.size(); ++cut) EXPECT_EQ(says_no(each.message, cut), each.says_no) << each.message << " cut at " << cut;
}

}  // namespace
}  // namespace ringpost::smtp
