// The scripts of a published hostile mail server (RON files), played to our client.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "secured.hh"

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
  bool says(std::string_view word) const { return text_.find(word) != std::string::npos; }
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

Ron read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return Ron{text.str()};
}

TEST(Attacks, N8_the_published_hostile_servers) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  const std::filesystem::path folder = std::filesystem::path{root} / "smtp-injection/fake-mail-server/testcases/smtp/others";
  ASSERT_TRUE(std::filesystem::is_directory(folder));
  std::size_t played = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    // This client does not ask for TLS: that folder says nothing about it.
    if (entry.path().extension() != ".ron" || entry.path().parent_path().filename() == "starttls") continue;
    ++played;
    const Ron ron = read(entry.path());
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

// What each of them makes of mail that wants TLS, asks for it, or does without. In clear nothing is told where TLS is demanded.
TEST(Attacks, N8_the_published_hostile_servers_and_a_client_that_asks_for_tls) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  const std::filesystem::path folder = std::filesystem::path{root} / "smtp-injection/fake-mail-server";
  struct Row {
    std::string file, opportunistic, encrypt, verify;
  };
  const Row rows[] = {
      {"testcases/smtp/setup", "+ tls", "+ tls", "+ tls"},
      {"testcases/smtp/Negotiation/D_1", "+ clear", "~ tls_not_offered", "~ tls_not_offered"},
      {"testcases/smtp/Negotiation/O_3", "+ clear", "~ tls_not_offered", "~ tls_not_offered"},
      {"testcases/smtp/Negotiation/O_4", "+ clear", "~ next_hop_protocol", "~ next_hop_protocol"},
      {"testcases/smtp/others/starttls/220", "+ clear", "~ tls_failed", "~ tls_failed"},
      {"testcases/smtp/others/starttls/354", "+ clear", "~ next_hop_protocol", "~ next_hop_protocol"},
      {"testcases/smtp/others/starttls/501", "+ clear", "~ tls_not_offered", "~ tls_not_offered"},
      {"testcases/smtp/others/starttls/530", "+ clear", "~ tls_not_offered", "~ tls_not_offered"},
      {"testcases/smtp/others/ehlo/250-all", "+ clear", "~ tls_not_offered", "~ tls_not_offered"},
      {"testcases_extra/Certificate_Validation/smtp/T_1", "+ tls", "+ tls", "~ peer_not_verified"},
      {"testcases_extra/Certificate_Validation/smtp/T_3", "+ tls", "+ tls", "~ peer_not_verified"},
  };
  for (const Row& row : rows) {
    ASSERT_TRUE(std::filesystem::exists(folder / (row.file + ".ron"))) << row.file;
    const Ron ron = read(folder / (row.file + ".ron"));
    const std::string certificate = ron.text_field("crt_path").value_or("");
    for (const auto& [policy, expected] : {std::pair{TlsPolicy::automatic, row.opportunistic}, {TlsPolicy::encrypt, row.encrypt}, {TlsPolicy::verify, row.verify}}) {
      Secured secured(policy, "mx.test", certificate.contains("self-signed") ? Secured::alone() : certificate.contains("other") ? Secured::other() : Secured::mx());
      Script& script = secured.hop().script;
      script.replies = ron.map_field("override_response");
      if (const auto answer = ron.text_field("stls_response")) script.replies["STARTTLS"] = *answer;
      if (ron.says("hide_commands")) script.ehlo = "500 5.5.2 what?\r\n";
      if (!ron.says("StartTLS") && !ron.says("hide_commands")) script.ehlo = "250-hop.test\r\n250 AUTH PLAIN\r\n";
      if (script.replies.contains("STARTTLS")) script.tls = nullptr;  // its words are its own, and no handshake follows
      EXPECT_EQ(secured.outcome(), expected) << row.file << " " << static_cast<int>(policy);
      EXPECT_EQ(secured.hop().messages.size(), expected.starts_with("+") ? 1u : 0u) << row.file;
      if (config::demands_tls(policy)) EXPECT_EQ(secured.told_anything(), expected.starts_with("+")) << row.file;
    }
  }
  // None is left out.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string group = entry.path().parent_path().filename();
    if (entry.path().extension() != ".ron" || (group != "Negotiation" && group != "starttls" && !entry.path().string().contains("testcases_extra"))) continue;
    const std::string name = std::filesystem::relative(entry.path(), folder).replace_extension();
    EXPECT_TRUE(std::ranges::any_of(rows, [&](const Row& row) { return row.file == name; })) << name;
  }
}

}  // namespace
}  // namespace ringpost::deliver
