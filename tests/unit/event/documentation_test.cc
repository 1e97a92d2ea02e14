// docs/formats/audit-event.md says what the code does: its worked example and its table of kinds.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fields.hh"
#include "ringpost/event/frame.hh"
#include "samples.hh"

namespace ringpost::event {
namespace {

std::vector<std::string> page_lines() {
  std::ifstream page{RP_DOCS "/formats/audit-event.md"};
  std::vector<std::string> lines;
  for (std::string line; std::getline(page, line);) lines.push_back(line);
  return lines;
}

/// The cells of a table's row, without the blanks around them.
std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> all;
  std::stringstream text{row.substr(1)};
  for (std::string cell; std::getline(text, cell, '|');) {
    std::size_t first = cell.find_first_not_of(' ');
    all.push_back(first == cell.npos ? "" : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return all;
}

std::string spaced_hex(Bytes bytes) {
  std::string text;
  for (std::byte octet : bytes) text += (text.empty() ? "" : " ") + hex(Bytes{&octet, 1});
  return text;
}

TEST(AuditEventPage, the_worked_example_is_what_encode_writes) {
  std::vector<std::string> lines = page_lines();
  auto line = std::ranges::find(lines, "## Worked example");
  ASSERT_NE(line, lines.end());
  std::string documented;
  for (; line != lines.end(); ++line) {
    if (!line->starts_with("| ") || line->find('`') == line->npos) continue;
    std::vector<std::string> row = cells(*line);
    EXPECT_EQ(std::stoul(row[0]), (documented.size() + 1) / 3) << *line;
    documented += (documented.empty() ? "" : " ") + row[1].substr(1, row[1].size() - 2);
  }
  std::array<std::byte, kEventBytesMax> bytes;
  std::size_t size = encode(deferred(), bytes);
  EXPECT_EQ(documented, spaced_hex(Bytes{bytes}.first(size)));
}

TEST(AuditEventPage, the_json_line_is_what_append_json_writes) {
  std::vector<std::string> lines = page_lines();
  std::string json;
  append_json(deferred(), json);
  EXPECT_EQ(std::ranges::count(lines, json), 1) << json;
}

TEST(AuditEventPage, the_acknowledgement_is_what_encode_writes) {
  std::vector<std::string> lines = page_lines();
  std::string packet = spaced_hex(encode(Ack{deferred().stamp.incarnation, 7}));
  EXPECT_EQ(std::ranges::count(lines, packet), 1) << packet;
}

TEST(AuditEventPage, the_table_of_kinds_is_the_rules) {
  auto names = [](std::uint32_t mask) {
    std::string text;
    for_each_field(Event{}, [&](Field field, std::string_view name, const auto&) {
      if ((mask & bit(field)) != 0) text.append(text.empty() ? "" : ", ").append(name);
    });
    return text;
  };
  std::vector<std::string> lines = page_lines();
  auto line = std::ranges::find(lines, "| kind | name | class | requires | allows |");
  ASSERT_NE(line, lines.end());
  line += 2;
  for (std::size_t number = 1; number <= kKindCount; ++number, ++line) {
    const Rule& rule = *rule_of(static_cast<Kind>(number));
    std::vector<std::string> expected{std::to_string(number), std::string{rule.name}, std::string{name_of(rule.weight)},
                                      names(rule.required), names(rule.allowed)};
    EXPECT_EQ(cells(*line), expected);
  }
  EXPECT_EQ(*line, "");
}

TEST(AuditEventPage, the_table_of_fields_is_the_code) {
  std::vector<std::string> lines = page_lines();
  auto line = std::ranges::find(lines, "| bit | field | size | meaning |");
  ASSERT_NE(line, lines.end());
  line += 2;
  for_each_field(Event{}, [&](Field field, std::string_view name, const auto&) {
    std::vector<std::string> row = cells(*line++);
    EXPECT_EQ(row[0], std::to_string(static_cast<unsigned>(field)));
    EXPECT_EQ(row[1], name);
  });
  EXPECT_EQ(*line, "");
}

TEST(AuditEventPage, every_reason_is_listed) {
  std::vector<std::string> lines = page_lines();
  for (std::size_t reason = 1; reason < kReasonCount; ++reason) {
    std::string row = "| " + std::to_string(reason) + " | " + std::string{name_of(static_cast<Reason>(reason))} + " |";
    EXPECT_TRUE(std::ranges::any_of(lines, [&](const std::string& line) { return line.find(row) != line.npos; })) << row;
  }
}

TEST(Json, absent_fields_are_left_out_and_settings_get_their_names) {
  Event event{.kind = Kind::config_changed, .stamp = stamp(1), .setting = 77, .user = 0};
  std::string number, name, odd;
  append_json(event, number);
  append_json(event, name, [](std::uint32_t id) { return id == 77 ? std::string_view{"route.default"} : std::string_view{}; });
  append_json(event, odd, [](std::uint32_t) { return std::string_view{"a\"\\\n\xff"}; });
  EXPECT_TRUE(number.ends_with(",\"shard\":3,\"setting\":77,\"user\":0}")) << number;
  EXPECT_TRUE(name.ends_with(",\"setting\":\"route.default\",\"user\":0}")) << name;
  EXPECT_TRUE(odd.ends_with(",\"setting\":\"a\\\"\\\\\\u000a\\u00ff\",\"user\":0}")) << odd;
}

TEST(Json, words_of_a_setting_are_cut_and_escaped) {
  Event event{.kind = Kind::config_changed, .stamp = stamp(1), .setting = 77};
  event.before = SettingText{"a \"b\""};
  event.after = SettingText{std::string(65, 'x')};
  EXPECT_EQ(SettingText{std::string(64, 'x')}.view(), std::string(64, 'x'));
  std::string json;
  append_json(event, json);
  EXPECT_TRUE(json.ends_with(",\"before\":\"a \\\"b\\\"\",\"after\":\"" + std::string(61, 'x') + "...\"}")) << json;
}

TEST(Json, a_reply_without_an_enhanced_code_and_the_far_future) {
  Event event = deferred();
  event.reply = ReplyCode{451};
  event.stamp.time = WallTime::max();
  std::string json;
  append_json(event, json);
  EXPECT_NE(json.find("\"reply\":\"451\""), json.npos);
  EXPECT_NE(json.find("\"time\":\"2262-04-11T23:47:16.854775807Z\""), json.npos) << json;
}

}  // namespace
}  // namespace ringpost::event
