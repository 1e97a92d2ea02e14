#include <fmt/core.h>

#include <algorithm>
#include <sstream>

#include "machine.hh"
#include "print.hh"

namespace ringpost::ctl {

namespace {

using config::Settings;

/// Gathers findings; each check says what it saw, and what would be better where that is worth saying.
struct Checks {
  const Machine& machine;
  const Settings& settings;
  std::vector<Finding> findings;
  std::uint64_t cores = 0;

  void say(std::string name, std::string found, bool good, std::string wanted) {
    findings.push_back({std::move(name), good, std::move(found), good ? std::string{} : std::move(wanted)});
  }

  void kernel() {
    auto release = machine.line("/proc/sys/kernel/osrelease");
    if (!release) return;
    int major = 0, minor = 0;
    char dot = 0;
    std::istringstream{*release} >> major >> dot >> minor;
    say("kernel", *release, major > 6 || (major == 6 && minor >= 1), "6.1 or later: earlier ones lack parts of io_uring that every shard needs");
  }

  void io_uring() {
    if (auto disabled = machine.number("/proc/sys/kernel/io_uring_disabled"))
      say("io_uring", *disabled == 0 ? "allowed" : fmt::format("kernel.io_uring_disabled = {}", *disabled), *disabled == 0,
          "kernel.io_uring_disabled = 0: the server starts with a ring or not at all");
  }

  void processor() {
    auto info = machine.text("/proc/cpuinfo");
    if (!info) return;
    const std::size_t flags = info->find("flags\t");
    if (flags == std::string::npos) return;
    std::istringstream words{info->substr(flags, info->find('\n', flags) - flags)};
    std::string missing, word;
    std::vector<std::string> known;
    while (words >> word) known.push_back(word);
    for (const char* wanted : {"aes", "pclmulqdq", "avx2", "bmi2", "adx", "sha_ni", "vaes"})
      if (std::ranges::find(known, wanted) == known.end()) missing += (missing.empty() ? "" : " ") + std::string{wanted};
    const bool slow = missing.starts_with("aes") || missing.contains("pclmulqdq");
    say("processor", missing.empty() ? "all instructions that encryption uses" : "without " + missing, !slow,
        "AES and PCLMULQDQ: without them AES-256-GCM is about forty times slower");
  }

  void clock() {
    if (auto source = machine.line("/sys/devices/system/clocksource/clocksource0/current_clocksource"))
      say("clock", *source, *source == "tsc" || *source == "kvm-clock" || *source == "arch_sys_counter",
          "tsc: reading any other is a system call, and the server reads the clock several times a message");
  }

  /// What a process may do: the running server's, else what this command could.
  std::optional<std::uint64_t> limit(const std::string& name) {
    auto limits = machine.text("/proc/" + machine.server().value_or("self") + "/limits");
    if (!limits) return std::nullopt;
    const std::size_t at = limits->find(name);
    if (at == std::string::npos) return std::nullopt;
    std::istringstream words{limits->substr(at + name.size())};
    std::string soft, hard;
    words >> soft >> hard;
    if (hard == "unlimited") return UINT64_MAX;
    std::uint64_t value = 0;
    return std::istringstream{hard} >> value ? std::optional{value} : std::nullopt;
  }

  void descriptors() {
    const std::uint64_t wanted = settings.limits.connections_max + 1000;
    if (auto files = limit("Max open files"))
      say("open files", *files == UINT64_MAX ? "unlimited" : grouped(*files), *files >= wanted,
          fmt::format("{}: limits.connections_max, and a thousand for next hops and files (LimitNOFILE= of the unit)", grouped(wanted)));
    if (auto most = machine.number("/proc/sys/fs/file-max"))
      say("file-max", grouped(*most), *most >= 2 * wanted, fmt::format("fs.file-max = {} or more", 2 * wanted));
    constexpr std::uint64_t kLocked = 64ull << 20;
    if (auto locked = limit("Max locked memory"))
      say("locked memory", *locked == UINT64_MAX ? "unlimited" : bytes_text(static_cast<double>(*locked)), *locked >= kLocked,
          "64 MB for each shard (LimitMEMLOCK= of the unit), or a start as root: keys are locked, and buffers registered with the kernel");
  }

  void network() {
    if (auto queue = machine.number("/proc/sys/net/core/somaxconn"))
      say("somaxconn", grouped(*queue), *queue >= 4096, "net.core.somaxconn = 4096 or more: a burst of connections beyond it is dropped by the kernel");
    if (auto queue = machine.number("/proc/sys/net/ipv4/tcp_max_syn_backlog"))
      say("SYN backlog", grouped(*queue), *queue >= 1024, "net.ipv4.tcp_max_syn_backlog = 4096");
    if (auto range = machine.line("/proc/sys/net/ipv4/ip_local_port_range")) {
      std::uint64_t low = 0, high = 0;
      std::istringstream{*range} >> low >> high;
      say("local ports", grouped(high - low + 1), high - low >= 20'000, "net.ipv4.ip_local_port_range = 10240 65535: connections to one next hop need a port each");
    }
  }

  void memory() {
    std::istringstream lines{machine.text("/proc/swaps").value_or("")};
    std::string header, device;
    std::getline(lines, header);
    std::string active;
    while (lines >> device) {
      active += (active.empty() ? "" : ", ") + device;
      std::getline(lines, header);
    }
    if (machine.exists("/proc/swaps"))
      say("swap", active.empty() ? "none" : active, active.empty() || settings.memory.allow_swap,
          "none, or encrypted: pages of the server may hold mail in clear (memory.allow_swap says that you know)");
    if (auto pages = machine.line("/sys/kernel/mm/transparent_hugepage/enabled"))
      say("huge pages", *pages, !pages->contains("[always]"),
          "madvise: with always an idle connection may cost a huge page's share of memory");
  }

  void spool() {
    const std::string folder = settings.spool.directory;
    auto mount = machine.mount_of(folder);
    if (!mount) return;
    const bool plain = mount->type == "ext4" || mount->type == "xfs";
    say("spool's file system", mount->type + " at " + mount->point, plain,
        "ext4 or xfs: the spool writes around the page cache and syncs each group of messages");
    if (plain)
      say("access times", mount->options, mount->options.contains("noatime") || mount->options.contains("relatime"),
          "noatime: no write for each read");
    // A partition's folder lies in its disk's.
    std::string block = "/sys/dev/block/" + mount->device;
    std::string queue = machine.exists(block + "/queue") ? block + "/queue" : block + "/../queue";
    if (auto cache = machine.line(queue + "/write_cache"))
      say("write cache", *cache, true, "");  // both are safe; what a flush costs is what a disk is chosen by
    if (auto turning = machine.number(queue + "/rotational"))
      say("disk", *turning == 0 ? "solid state" : "turning", *turning == 0, "solid state: each group of messages waits for one flush of the disk");
    if (auto scheduler = machine.line(queue + "/scheduler"))
      say("I/O scheduler", *scheduler, scheduler->contains("[none]") || scheduler->contains("[mq-deadline]") || *scheduler == "none",
          "none (or mq-deadline): others hold small synced writes back");
  }

  void processors() {
    auto online = machine.line("/sys/devices/system/cpu/online");
    for (const std::string& name : machine.entries("/sys/devices/system/cpu"))
      if (name.size() > 3 && name.starts_with("cpu") && std::ranges::all_of(name.substr(3), [](char c) { return c >= '0' && c <= '9'; })) {
        // Each core counts once: by the first of its threads.
        auto siblings = machine.line("/sys/devices/system/cpu/" + name + "/topology/thread_siblings_list");
        const std::string first = siblings ? siblings->substr(0, siblings->find_first_of(",-")) : name.substr(3);
        if (first == name.substr(3)) ++cores;
      }
    if (online && cores > 0)
      say("cores", fmt::format("{} ({} cores)", *online, cores), settings.shards <= cores,
          fmt::format("shards = {} at most: two shards on the threads of one core share its cipher and hash units", cores));
    if (auto governor = machine.line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
      say("frequency", *governor, *governor == "performance", "performance: the others wake slowly, and a message is a chain of wake-ups");
    if (auto isolated = machine.line("/sys/devices/system/cpu/isolated"))
      say("isolated cores", isolated->empty() ? "none" : *isolated, true, "");
  }

  /// Interrupts of a network card should come to as many cores as there are shards.
  void interrupts() {
    for (const std::string& card : machine.entries("/sys/class/net")) {
      const std::string folder = "/sys/class/net/" + card;
      if (!machine.exists(folder + "/device")) continue;  // not hardware
      const std::uint64_t shards = settings.shards != 0 ? settings.shards : cores;
      const auto queues = std::ranges::count_if(machine.entries(folder + "/queues"), [](const std::string& name) { return name.starts_with("rx-"); });
      say("queues of " + card, std::to_string(queues), queues >= static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(shards, 8)),
          fmt::format("{}: one for each shard (ethtool -L {} combined N), or all packets pass one core", shards, card));
    }
  }
};

}  // namespace

std::vector<Finding> look_at(const Machine& machine, const Settings& settings) {
  Checks checks{.machine = machine, .settings = settings};
  checks.kernel();
  checks.io_uring();
  checks.processor();
  checks.clock();
  checks.descriptors();
  checks.network();
  checks.memory();
  checks.spool();
  checks.processors();
  checks.interrupts();
  return std::move(checks.findings);
}

}  // namespace ringpost::ctl
