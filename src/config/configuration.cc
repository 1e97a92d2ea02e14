#include "ringpost/config/configuration.hh"

#include <algorithm>
#include <set>

#include "contradictions.hh"
#include "table.hh"
#include "values.hh"

namespace ringpost::config {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// A # begins a comment at the start of a line or behind a blank; inside a word it is an ordinary character.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != line.npos; at = line.find('#', at + 1))
    if (at == 0 || kBlanks.find(line[at - 1]) != kBlanks.npos) return line.substr(0, at);
  return line;
}

struct Assignment {
  std::string_view key;
  std::string_view value;
};

/// Calls `visit(line number, text)` for each line that holds more than blanks and a comment.
template <typename Visit>
void for_each_line(std::string_view content, Visit&& visit) {
  std::uint32_t number = 0;
  while (!content.empty()) {
    std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = trimmed(without_comment(content.substr(0, end)));
    content.remove_prefix(std::min(end + 1, content.size()));
    ++number;
    if (!line.empty()) visit(number, line);
  }
}

Problem problem_at(const Origin& origin, std::string_view key, std::string nearest, std::string reason) {
  return {.file = origin.file,
          .line = origin.line,
          .key = std::string{key},
          .nearest = std::move(nearest),
          .reason = std::move(reason)};
}

Problem unknown_key(const Origin& origin, std::string_view key) {
  return problem_at(origin, key, nearest_key(key), "unknown key");
}

/// The assignment in `line`, valid by itself; or why it is none.
std::expected<Assignment, Problem> check_assignment(std::string_view line, const Origin& origin) {
  std::size_t equals = line.find('=');
  if (equals == line.npos) {
    std::string_view word = trimmed(line.substr(0, line.find_first_of(kBlanks)));
    return std::unexpected(problem_at(origin, word, nearest_key(word), "this is no assignment: write KEY = VALUE"));
  }
  Assignment assignment{trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1))};
  std::optional<Match> match = find_key(assignment.key);
  if (!match) return std::unexpected(unknown_key(origin, assignment.key));
  std::string reason = "the value is missing";
  Settings scratch;
  if (assignment.value.empty() || !match->key->assign(*match->key, scratch, match->instance, assignment.value, reason))
    return std::unexpected(problem_at(origin, assignment.key, std::string{assignment.key}, std::move(reason)));
  return assignment;
}

void assign(Settings& settings, const Match& match, std::string_view text) {
  std::string reason;
  RP_ASSERT(match.key->assign(*match.key, settings, match.instance, text, reason));  // checked before, or our own default
}

/// Where a value says "auto" and the answer does not need the machine's cores or disk, the answer.
void resolve(Settings& settings, const Environment& environment) {
  if (settings.hostname.empty()) settings.hostname = is_host_name(environment.hostname) ? environment.hostname : "localhost";
  if (settings.keys.kek_file.empty()) settings.keys.kek_file = settings.keys.directory + "/kek";
}

/// Calls `visit(key, instance)` for each key these settings have, in the declared order.
template <typename Visit>
void for_each_key(const Settings& settings, Visit&& visit) {
  std::span<const Key> all = table();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_family()) {
      visit(all[i], std::string_view{});
      continue;
    }
    // The rows of a family stand together; one instance after the other reads better than one key after the other.
    std::size_t end = i;
    while (end < all.size() && all[end].is_family() && all[end].family() == all[i].family()) ++end;
    for (const std::string& instance : all[i].instances(settings))
      for (std::size_t row = i; row < end; ++row) visit(all[row], std::string_view{instance});
    i = end - 1;
  }
}

std::uint32_t fnv1a(std::string_view text) {
  std::uint32_t hash = 2166136261u;
  for (char octet : text) hash = (hash ^ static_cast<unsigned char>(octet)) * 16777619u;
  return hash;
}

}  // namespace

std::string Problem::text() const {
  std::string out;
  if (!file.empty()) out = printable(file) + ":" + (line != 0 ? std::to_string(line) + ":" : "") + " ";
  if (!key.empty()) out += printable(key) + ": ";
  out += reason;
  if (!nearest.empty() && nearest != key) out += "; nearest valid key: " + nearest;
  return out;
}

std::string Origin::text() const {
  switch (kind) {
    case OriginKind::built_in: return "default";
    case OriginKind::file: return file + ":" + std::to_string(line);
    case OriginKind::set: return "set";
  }
  return {};
}

std::string Entry::text() const {
  std::string out = key + " = " + value + "  # ";
  out += fallback.empty() ? std::string{"no default"} : "default " + fallback;
  out += ", from " + origin.text();
  if (!unit.empty()) out += ", in " + unit;
  return out;
}

Configuration::Built Configuration::load(std::span<const Source> sources, const Environment& environment) {
  GivenMap files;
  Problems problems;
  for (const Source& source : sources) {
    std::map<std::string, std::uint32_t, std::less<>> seen;
    for_each_line(source.content, [&](std::uint32_t number, std::string_view line) {
      Origin origin{OriginKind::file, source.name, number};
      std::expected<Assignment, Problem> assignment = check_assignment(line, origin);
      // A key that stands there twice is reported as such, whether or not its values are good.
      std::string_view key = assignment ? assignment->key : trimmed(line.substr(0, line.find('=')));
      auto [first, fresh] = seen.emplace(key, number);
      if (!assignment) problems.push_back(std::move(assignment.error()));
      if (!fresh && find_key(key)) {
        problems.push_back(problem_at(origin, key, std::string{key}, "already set in line " + std::to_string(first->second)));
      } else if (assignment) {
        files.insert_or_assign(std::string{key}, Given{std::string{assignment->value}, std::move(origin)});
      }
    });
  }
  return build(std::move(files), {}, environment, std::move(problems));
}

Settings Configuration::sound_part(std::span<const Source> sources, const Environment& environment) {
  Settings settings = defaults(environment).settings();
  for (const Source& source : sources) {
    std::set<std::string, std::less<>> seen;
    for_each_line(source.content, [&](std::uint32_t number, std::string_view line) {
      const auto assignment = check_assignment(line, Origin{OriginKind::file, source.name, number});
      if (assignment && seen.emplace(assignment->key).second) assign(settings, *find_key(assignment->key), assignment->value);
    });
  }
  return settings;
}

Configuration Configuration::defaults(const Environment& environment) {
  Built built = load({}, environment);
  RP_ASSERT(built.has_value());
  return std::move(*built);
}

Configuration::Built Configuration::build(GivenMap files, GivenMap sets, const Environment& environment, Problems problems) {
  Configuration result;
  result.environment_ = environment;
  result.files_ = std::move(files);
  result.sets_ = std::move(sets);
  for (const Key& key : table())
    if (!key.is_family()) assign(result.settings_, {&key, {}}, key.fallback);
  for (const GivenMap* level : {&result.files_, &result.sets_})
    for (const auto& [name, given] : *level) assign(result.settings_, *find_key(name), given.text);
  // An instance that is named at all has its family's defaults for what was not given.
  for (const Key& key : table()) {
    if (!key.is_family() || key.fallback.empty()) continue;
    for (const std::string& name : key.instances(result.settings_))
      if (result.given(key_text(key, name)) == nullptr) assign(result.settings_, {&key, name}, key.fallback);
  }
  resolve(result.settings_, environment);

  std::set<std::string, std::less<>> unsound;
  for (const Problem& problem : problems) unsound.insert(problem.key);
  find_contradictions(
      result.settings_,
      [&](std::string_view key) {
        const Given* given = result.given(key);
        return given ? &given->origin : nullptr;
      },
      [&](std::string_view key) { return !unsound.contains(key); }, problems);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return result;
}

const Configuration::Given* Configuration::given(std::string_view key) const {
  if (auto found = sets_.find(key); found != sets_.end()) return &found->second;
  auto found = files_.find(key);
  return found == files_.end() ? nullptr : &found->second;
}

Configuration::Built Configuration::unless_restart(const Configuration& from, Built built, Apply apply) {
  if (!built || apply == Apply::at_restart) return built;
  Problems problems;
  for (const Change& change : changes(from, *built)) {
    if (change.effect != Effect::restart) continue;
    const Given* given = built->given(change.key);
    problems.push_back(problem_at(given ? given->origin : Origin{}, change.key, change.key,
                                  "needs a restart to change from \"" + change.from + "\" to \"" + change.to + "\""));
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return built;
}

Configuration::Built Configuration::with(std::string_view assignment, Apply apply) const {
  std::expected<Assignment, Problem> checked = check_assignment(trimmed(assignment), Origin{OriginKind::set});
  if (!checked) return std::unexpected(Problems{std::move(checked.error())});
  GivenMap sets = sets_;
  sets.insert_or_assign(std::string{checked->key}, Given{std::string{checked->value}, Origin{OriginKind::set}});
  return unless_restart(*this, build(files_, std::move(sets), environment_, {}), apply);
}

Configuration::Built Configuration::without(std::string_view key, Apply apply) const {
  if (!find_key(key)) return std::unexpected(Problems{unknown_key({}, key)});
  GivenMap sets = sets_;
  if (auto found = sets.find(key); found != sets.end()) sets.erase(found);
  return unless_restart(*this, build(files_, std::move(sets), environment_, {}), apply);
}

Configuration::Built Configuration::reloaded(std::span<const Source> sources) const {
  Built fresh = load(sources, environment_);
  // Without what `set` added the files must stand for themselves: the next start reads nothing else.
  if (!fresh) return fresh;
  return unless_restart(*this, build(std::move(fresh->files_), sets_, environment_, {}), Apply::now);
}

std::vector<Entry> Configuration::entries() const {
  std::vector<Entry> all;
  for_each_key(settings_, [&](const Key& key, std::string_view instance) {
    std::string name = key_text(key, instance);
    const Given* origin = given(name);
    all.push_back({.key = name,
                   .value = key.format(key, settings_, instance),
                   .fallback = std::string{key.fallback},
                   .unit = std::string{key.unit},
                   .effect = key.effect,
                   .origin = origin ? origin->origin : Origin{}});
  });
  return all;
}

std::expected<Entry, Problem> Configuration::get(std::string_view key) const {
  std::optional<Match> match = find_key(key);
  if (!match) return std::unexpected(unknown_key({}, key));
  for (Entry& entry : entries())
    if (entry.key == key) return std::move(entry);
  return std::unexpected(problem_at({}, key, std::string{key}, "there is no " + std::string{match->key->family().substr(0, match->key->family().size() - 1)} + " " +
                                                           std::string{match->instance}));
}

std::string Configuration::dump() const {
  std::string out;
  for (const Entry& entry : entries()) out += entry.text() + "\n";
  return out;
}

std::vector<Change> Configuration::changes(const Configuration& from, const Configuration& to) {
  std::vector<Entry> before = from.entries(), after = to.entries();
  auto value_in = [](const std::vector<Entry>& entries, const std::string& key) {
    auto found = std::ranges::find(entries, key, &Entry::key);
    return found == entries.end() ? std::string{} : found->value;
  };
  std::vector<Change> all;
  for (const Entry& entry : after) {
    std::string was = value_in(before, entry.key);
    if (was != entry.value) all.push_back({entry.key, std::move(was), entry.value, entry.effect});
  }
  for (const Entry& entry : before)
    if (std::ranges::find(after, entry.key, &Entry::key) == after.end())
      all.push_back({entry.key, entry.value, "", entry.effect});
  return all;
}

std::vector<KeyInfo> keys() {
  std::vector<KeyInfo> all;
  for (const Key& key : table())
    all.push_back({.name = key.name,
                   .type = key.type_words(key),
                   .fallback = key.fallback,
                   .unit = key.unit,
                   .help = key.help,
                   .range = range_text(key),
                   .effect = key.effect,
                   .id = fnv1a(key.name)});
  return all;
}

std::string_view key_name(std::uint32_t id) {
  for (const Key& key : table())
    if (fnv1a(key.name) == id) return key.name;
  return {};
}

std::uint32_t key_id(std::string_view key) {
  std::optional<Match> match = find_key(key);
  return match ? fnv1a(match->key->name) : 0;
}

std::string_view key_instance(std::string_view key) {
  std::optional<Match> match = find_key(key);
  return match ? match->instance : std::string_view{};
}

}  // namespace ringpost::config
