// Deaths of the process: in the middle of commits, and while an index is being opened.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <functional>

#include "index_world.hh"

namespace ringpost::index {
namespace {

using runtime::Ring;
using runtime::Task;

constexpr std::uint64_t kGroupsMax = 100'000;

/// The changes of one group, the same in every process: some messages come, some change, some go.
template <typename Insert, typename Put, typename Erase>
void change(Model& model, std::uint64_t group, Insert insert, Put put, Erase erase) {
  Prng prng(group);
  for (int i = 0; i < 30; ++i) {
    const Entry entry = random_entry(prng);
    insert(entry);
    model.insert_or_assign(entry.id, entry);
  }
  std::vector<MessageId> some;
  for (const auto& [id, entry] : model)
    if (prng.one_in(6)) some.push_back(id);
  for (const MessageId& id : some) {
    if (prng.one_in(2)) {
      const Entry entry = random_entry(prng, id);
      put(entry);
      model.insert_or_assign(id, entry);
    } else {
      erase(id);
      model.erase(id);
    }
  }
}

Model model_after(std::uint64_t groups) {
  Model model;
  const auto nothing = [](const auto&) {};
  for (std::uint64_t group = 1; group <= groups; ++group) change(model, group, nothing, nothing, nothing);
  return model;
}

/// Seen by parent and child.
struct Progress {
  std::atomic<std::uint64_t> started{0}, committed{0};
};
struct SharedProgress {
  SharedProgress()
      : progress(new(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Progress) {}
  ~SharedProgress() { ::munmap(progress, sizeof(Progress)); }
  Progress* progress;
};

pid_t fork_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  // What a sanitizer says about a death that is meant to happen is nobody's business.
  const int null = ::open("/dev/null", O_WRONLY);
  ::dup2(null, STDERR_FILENO);
  ::dup2(null, STDOUT_FILENO);
  body();
  ::_exit(0);
}

int wait_for(pid_t child) {
  int status = 0;
  RP_ASSERT(::waitpid(child, &status, 0) == child);
  return status;
}

Task<void> commit_until_killed(Ring& ring, std::string directory, Progress& progress) {
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey, {.lmdb = {.map_bytes = 1_MiB}}));
  if (!opened) ::_exit(2);
  Index& index = *opened->index;
  Model model = model_after(opened->mark.group);
  for (std::uint64_t group = opened->mark.group + 1; group < kGroupsMax; ++group) {
    change(
        model, group, [&](const Entry& entry) { index.insert(entry); }, [&](const Entry& entry) { index.put(entry); },
        [&](const MessageId& id) { index.erase(id); });
    progress.started = group;
    auto committed = co_await index.commit({1, group});
    if (!committed || !*committed) ::_exit(3);
    progress.committed = group;
  }
}

Task<void> expect_a_committed_state(Ring& ring, std::string directory, const Progress& progress) {
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  const std::uint64_t group = opened->mark.group;
  EXPECT_GE(group, progress.committed);
  EXPECT_LE(group, progress.started);
  if (group > 0) EXPECT_EQ(opened->state, Opening::restored);
  Collector collector;
  auto visited = co_await visit_all(*opened->index, collector);
  CO_ASSERT(visited);
  EXPECT_TRUE(collector.entries == model_after(group)) << "after group " << group;
}

TEST(IndexCrash, killed_in_the_middle_of_commits_it_equals_a_committed_state) {
  Directory directory;
  Prng prng(1);
  SharedProgress shared;
  Progress& progress = *shared.progress;
  for (int round = 0; round < 25; ++round) {
    const std::uint64_t wanted = progress.committed + 1 + prng.below(6);
    const pid_t child = fork_child([&] {
      World world;
      world.run(commit_until_killed(world.ring(), directory.index(), progress));
    });
    // Not at a commit's end but somewhere after it; a few more turns make it another moment each time.
    bool ended = false;
    while (progress.committed < wanted && !ended) ended = ::waitpid(child, nullptr, WNOHANG) != 0;
    ASSERT_FALSE(ended) << "the child ended by itself";
    for (std::uint64_t turns = prng.below(200); turns > 0; --turns) ::sched_yield();
    ::kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
    ASSERT_GE(progress.committed, wanted);
    World world;
    world.run(expect_a_committed_state(world.ring(), directory.index(), progress));
    if (testing::Test::HasFailure()) break;
  }
}

// ---- deaths while opening

Task<void> make_index(Ring& ring, std::string directory, std::uint64_t groups) {
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  for (const auto& [id, entry] : model_after(groups)) opened->index->insert(entry);
  EXPECT_EQ(co_await opened->index->commit({1, groups}), true);
}

Task<void> expect_open(Ring& ring, std::string directory, Opening& state, Model& content) {
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  state = opened->state;
  Collector collector;
  auto visited = co_await visit_all(*opened->index, collector);
  CO_ASSERT(visited);
  content = std::move(collector.entries);
}

TEST(IndexCrash, a_death_while_opening_makes_the_next_start_rebuild) {
  Directory directory;
  {
    World world;
    world.run(make_index(world.ring(), directory.index(), 3));
  }
  const pid_t child = fork_child([&] {
    auto rows = make_lmdb_store(directory.index(), {});
    if (auto found = rows->open(); !found || *found != IndexStore::Found::content) ::_exit(2);
    ::raise(SIGKILL);  // nobody called settle()
  });
  EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
  EXPECT_TRUE(std::filesystem::exists(directory.mark()));
  World world;
  Opening state{};
  Model content;
  world.run(expect_open(world.ring(), directory.index(), state, content));
  EXPECT_EQ(state, Opening::unproven);
  EXPECT_TRUE(content.empty());
  EXPECT_FALSE(std::filesystem::exists(directory.mark()));
  world.run(expect_open(world.ring(), directory.index(), state, content));
  EXPECT_EQ(state, Opening::created) << "empty and proven";
}

/// Opens a damaged index in a process of its own, then here: whatever happened there, here it is good again, never wrong.
void expect_recovery(const Directory& directory, const Model& model, bool& died, Opening& state) {
  const pid_t child = fork_child([&] {
    World world;
    Opening ignored{};
    Model content;
    world.run(expect_open(world.ring(), directory.index(), ignored, content));
    ::_exit(!content.empty() && content != model ? 3 : 0);
  });
  const int status = wait_for(child);
  died = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << "a wrong content was taken for a good one";
  World world;
  Model content;
  world.run(expect_open(world.ring(), directory.index(), state, content));
  if (state == Opening::restored)
    EXPECT_TRUE(content == model);
  else
    EXPECT_TRUE(content.empty());
  if (died) EXPECT_EQ(state, Opening::unproven);
}

void overwrite(const std::string& path, std::uint64_t offset, Bytes bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY);
  RP_ASSERT(fd >= 0 &&
            ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes.size()));
  ::close(fd);
}

TEST(IndexCrash, a_truncated_file_leads_to_a_rebuild) {
  const Model model = model_after(40);
  for (const int percent : {0, 1, 10, 50, 90, 99}) {
    SCOPED_TRACE(percent);
    Directory directory;
    {
      World world;
      world.run(make_index(world.ring(), directory.index(), 40));
    }
    const std::uint64_t size = std::filesystem::file_size(directory.data());
    std::filesystem::resize_file(directory.data(), size * static_cast<std::uint64_t>(percent) / 100);
    bool died = false;
    Opening state{};
    expect_recovery(directory, model, died, state);
    EXPECT_FALSE(died) << "the file's size is looked at before its pages are";
    EXPECT_NE(state, Opening::restored);
  }
}

TEST(IndexCrash, garbled_pages_lead_to_a_rebuild_whatever_they_do_to_lmdb) {
  const Model model = model_after(40);
  Prng prng(9);
  int rebuilt = 0;
  for (int round = 0; round < 24; ++round) {
    SCOPED_TRACE(round);
    Directory directory;
    {
      World world;
      world.run(make_index(world.ring(), directory.index(), 40));
    }
    const std::uint64_t size = std::filesystem::file_size(directory.data());
    for (std::uint64_t pieces = 1 + prng.below(12); pieces > 0; --pieces) {
      std::vector<std::byte> noise(1 + prng.below(round % 2 ? 4096 : 16));
      for (std::byte& byte : noise) byte = static_cast<std::byte>(prng.next());
      overwrite(directory.data(), prng.below(size - noise.size()), noise);
    }
    bool died = false;
    Opening state{};
    expect_recovery(directory, model, died, state);
    rebuilt += died || state != Opening::restored;
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(rebuilt, 5);
}

}  // namespace
}  // namespace ringpost::index
