// Dialogues that another server's authors wrote down, replayed against a real session: C: lines are sent, S: lines say what they
// wanted. What they wanted of AUTH and STARTTLS, which this server does not offer, is a refusal here that leaves the session in
// step.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support.hh"

namespace ringpost::receive {
namespace {

using namespace testing;

std::vector<std::string> client_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.starts_with("C:")) lines.push_back(line.size() > 3 ? line.substr(3) : std::string{});
  }
  return lines;
}

/// The commands of one line: `\r\n` spelled out stands for a line break, that is for several commands in one packet.
std::vector<std::string> commands_in(std::string line) {
  std::vector<std::string> commands;
  constexpr std::string_view kBreak = "\\r\\n";
  for (std::size_t at; (at = line.find(kBreak)) != std::string::npos; line.erase(0, at + kBreak.size()))
    commands.push_back(line.substr(0, at));
  if (!line.empty() || commands.empty()) commands.push_back(line);
  return commands;
}

std::string verb_of(const std::string& command) {
  std::string verb = command.substr(0, command.find(' '));
  for (char& octet : verb) octet = static_cast<char>(std::toupper(static_cast<unsigned char>(octet)));
  return verb;
}

void replay(const std::filesystem::path& path) {
  Bench bench;
  Client client(bench);
  client.begin();
  bool in_content = false, in_auth = false;
  std::string content;
  for (const std::string& line : client_lines(path)) {
    if (in_content) {
      client.send(line + "\r\n");
      if (line != ".") {
        content += line + "\r\n";
        continue;
      }
      in_content = false;
      EXPECT_EQ(client.codes(1), "250");
      ASSERT_EQ(bench.intake.stored.size(), 1u);
      EXPECT_TRUE(bench.intake.stored.front().content.ends_with("\r\n" + content)) << bench.intake.stored.front().content;
      continue;
    }
    const std::vector<std::string> commands = commands_in(line);
    std::string packet;
    for (const std::string& command : commands) packet += command + "\r\n";
    client.send(packet);
    for (const std::string& command : commands) {
      const std::string verb = verb_of(command), code = client.codes(1);
      const bool is_known = verb == "EHLO" || verb == "HELO" || verb == "MAIL" || verb == "RCPT" || verb == "RSET" ||
                            verb == "NOOP" || verb == "QUIT";
      if (verb == "DATA") {
        EXPECT_EQ(code, "354") << command;
        in_content = code == "354";
      } else if (is_known) {
        EXPECT_EQ(code, verb == "QUIT" ? "221" : "250") << command;
      } else {
        EXPECT_TRUE(code == "500" || code == "502") << command << ": " << code;
        in_auth = in_auth || verb == "AUTH";
        EXPECT_TRUE(verb == "AUTH" || verb == "STARTTLS" || in_auth) << command;  // the words behind AUTH are no commands
      }
    }
  }
  EXPECT_EQ(client.ask("NOOP").substr(0, 3), "250");  // every reply was the answer to its own command
}

TEST(Dialogues, others_scripts_without_what_we_do_not_offer) {
  const char* root = std::getenv("RINGPOST_CORPUS");
  if (!root) GTEST_SKIP() << "RINGPOST_CORPUS is not set";
  std::size_t replayed = 0;
  const std::filesystem::path folder = std::filesystem::path{root} / "smtp-conformance" / "james-mpt";
  ASSERT_TRUE(std::filesystem::is_directory(folder));
  for (const auto& entry : std::filesystem::directory_iterator{folder}) {
    if (entry.path().extension() != ".test") continue;
    SCOPED_TRACE(entry.path().filename().string());
    replay(entry.path());
    ++replayed;
  }
  EXPECT_GT(replayed, 0u);
}

}  // namespace
}  // namespace ringpost::receive
