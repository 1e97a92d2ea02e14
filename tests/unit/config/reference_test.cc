// The table itself, and what is generated from it.
#include <fstream>
#include <set>
#include <sstream>

#include "helpers.hh"
#include "table.hh"

namespace ringpost::config {
namespace {

TEST(Table, every_key_is_declared_well) {
  std::set<std::string_view> names;
  std::set<std::uint32_t> ids;
  for (const KeyInfo& key : keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_TRUE(ids.insert(key.id).second) << key.name;
    EXPECT_NE(key.id, 0u) << key.name;
    EXPECT_EQ(key_name(key.id), key.name);
    EXPECT_TRUE(key.help.ends_with(".")) << key.name;
    EXPECT_FALSE(key.type.empty()) << key.name;
  }
  EXPECT_EQ(key_id("listener.a.role"), key_id("listener.NAME.role"));
  EXPECT_NE(key_id("listener.a.role"), 0u);
  EXPECT_EQ(key_id("nonsense"), 0u);
  EXPECT_EQ(key_instance("listener.a.role"), "a");
  EXPECT_EQ(key_instance("destination.*.example.org.rate"), "*.example.org");
  EXPECT_EQ(key_instance("shards"), "");
  EXPECT_EQ(key_name(1), "");
}

TEST(Table, defaults_are_written_as_get_prints_them) {
  // "auto" where the answer is known at once is the exception.
  for (const Entry& entry : Configuration::defaults(kEnvironment).entries())
    if (entry.key != "hostname" && entry.key != "keys.kek_file") EXPECT_EQ(entry.value, entry.fallback) << entry.key;
}

TEST(Table, ids_stay_what_they_are) {
  // Audit logs hold them for years.
  EXPECT_EQ(key_id("shards"), 2482661544u);
  EXPECT_EQ(key_id("route.default"), 2562731629u);
}

TEST(Reference, the_page_in_docs_is_the_generated_one) {
  std::ifstream file{RP_DOCS "/configuration.md"};
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), reference_page()) << "run: build/src/config/print-config-reference > docs/configuration.md";
}

TEST(Reference, the_example_on_the_page_is_a_configuration) {
  std::istringstream page{reference_page()};
  std::string example;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("    ")) example += line + "\n";
  EXPECT_EQ(accepted(example).settings().route.fallback.host, "mail.example.net");
}

}  // namespace
}  // namespace ringpost::config
