// The scripts of a published hostile mail server (RON files), played to our client.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

/// The few parts of RON these files use: fields, strings, a map of strings, and a list of names with arguments.
class Ron {
 public:
  explicit Ron(std::string text) : text_(std::move(text)) {}

  std::optional<std::string> text_field(std::string_view name) const {
    std::size_t at = after(name);
    if (at == std::string::npos || text_[at] != '"') return std::nullopt;
    return string_at(at);
  }
  std::map<std::string, std::string> map_field(std::string_view name) const {
    std::map<std::string, std::string> map;
    std::size_t at = after(name);
    if (at == std::string::npos || text_[at] != '{') return map;
    for (++at; (at = text_.find_first_of("\"}", at)) != std::string::npos && text_[at] == '"';) {
      std::string key = string_at(at);
      at = text_.find('"', at);
      std::string value = string_at(at);
      for (char& c : key) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      map[key] = value;
    }
    return map;
  }

 private:
  std::size_t after(std::string_view name) const {
    std::size_t at = text_.find(std::string{name} + ":");
    return at == std::string::npos ? at : text_.find_first_not_of(" \t\r\n", at + name.size() + 1);
  }
  std::string string_at(std::size_t& at) const {
    std::string out;
    for (++at; at < text_.size() && text_[at] != '"'; ++at) {
      if (text_[at] != '\\') {
        out += text_[at];
        continue;
      }
      char c = text_[++at];
      out += c == 'r' ? '\r' : c == 'n' ? '\n' : c;
    }
    ++at;
    return out;
  }

  std::string text_;
};

TEST(Attacks, N8_the_published_hostile_servers) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  const std::filesystem::path folder = std::filesystem::path{root} / "smtp-injection/fake-mail-server/testcases/smtp/others";
  ASSERT_TRUE(std::filesystem::is_directory(folder));
  std::size_t played = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    // The client does not ask for TLS, so that folder says nothing about it.
    if (entry.path().extension() != ".ron" || entry.path().parent_path().filename() == "starttls") continue;
    ++played;
    std::ostringstream text;
    text << std::ifstream{entry.path()}.rdbuf();
    const Ron ron{text.str()};
    Script script;
    script.ehlo = "250-hop.test\r\n250 STARTTLS\r\n";
    script.greeting = ron.text_field("greeting").value_or(script.greeting);
    script.replies = ron.map_field("override_response");
    const bool bad_greeting = !script.greeting.starts_with("220");
    const auto ehlo = script.replies.find("EHLO"), helo = script.replies.find("HELO");
    const bool ehlo_ok = ehlo == script.replies.end() || ehlo->second.starts_with("250");
    const bool falls_back = !ehlo_ok && ehlo->second.starts_with("5");
    const bool helo_ok = falls_back && (helo == script.replies.end() || helo->second.starts_with("250"));
    const bool takes_mail = !bad_greeting && (ehlo_ok || helo_ok);
    Bench bench(script);
    EXPECT_EQ(verdicts(bench.deliver()), takes_mail ? "+" : "~") << entry.path();
    EXPECT_EQ(bench.hop->messages.size(), takes_mail ? 1u : 0u) << entry.path();
    bench.run_for(seconds{10});
  }
  EXPECT_GE(played, 15u);
}

}  // namespace
}  // namespace ringpost::deliver
