#include "programs/nanny.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "ringpost/harden/process.hh"

namespace ringpost::programs {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRestartFirst{20};
constexpr milliseconds kRestartMax{2000};
constexpr std::chrono::seconds kSettled{5};  // a helper that ran for so long starts anew at once
constexpr milliseconds kEndPatience{500};    // between asking a helper to end and ending it
constexpr int kCannotStart = 127;
constexpr int kAside = 20;  // above all numbers that keep_only() gives out

/// Closes everything but `keep`, which become the descriptors from kFirstInherited on. Returns false when one cannot be kept.
bool keep_only(const std::vector<int>& keep) {
  std::vector<int> aside;
  for (int descriptor : keep) aside.push_back(::fcntl(descriptor, F_DUPFD, kAside));
  int next = kFirstInherited;
  for (int descriptor : aside)
    if (descriptor < 0 || ::dup2(descriptor, next++) < 0) return false;
  return ::close_range(static_cast<unsigned>(next), ~0u, 0) == 0;
}

/// Nanny's side of one helper.
class Nanny {
 public:
  /// Descriptors are where keep_only() has put them: those the helper inherits, its executable, the lifeline.
  Nanny(const HelperProgram& program, Log& log)
      : program_(program),
        log_(log),
        executable_(kFirstInherited + static_cast<int>(program.inherited.size())),
        lifeline_(executable_ + 1) {}

  /// Returns when ringpostd is gone and the helper has ended.
  void run() {
    if (const auto forbidden = harden::forbid_core_dumps(); !forbidden) log_.warning("a nanny could leave a core", {{"error", forbidden.error()}});
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, nullptr);
    signals_ = ::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    ::fcntl(executable_, F_SETFD, FD_CLOEXEC);

    milliseconds back_off = kRestartFirst;
    while (!abandoned_) {
      const Clock::time_point started = Clock::now();
      const pid_t helper = ::fork();
      if (helper == 0) become_helper();
      if (helper > 0) look_after(helper);
      if (abandoned_) break;
      if (Clock::now() - started >= kSettled) back_off = kRestartFirst;
      wait(back_off);
      back_off = std::min(back_off * 2, kRestartMax);
    }
  }

 private:
  [[noreturn]] void become_helper() {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE}) ::signal(number, SIG_DFL);
    std::vector<char*> arguments{const_cast<char*>(program_.path.c_str())};
    for (const std::string& argument : program_.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    // The nanny may be killed: the helper then goes on alone and ends by itself.
    const std::string option = "--lifeline", number = std::to_string(lifeline_);
    for (const std::string* argument : {&option, &number}) arguments.push_back(const_cast<char*>(argument->c_str()));
    arguments.push_back(nullptr);
    ::execveat(executable_, "", arguments.data(), environ, AT_EMPTY_PATH);
    ::_exit(kCannotStart);
  }

  /// Until the helper has ended.
  void look_after(pid_t helper) {
    int status = 0;
    while (::waitpid(helper, &status, WNOHANG) == 0) {
      wait(milliseconds{-1});
      if (abandoned_) return end(helper);
    }
    if (WIFSIGNALED(status))
      log_.error("a helper was killed and is started anew",
                 {{"program", OperatorText{program_.path}}, {"signal", WTERMSIG(status)}});
    else
      log_.error("a helper has ended and is started anew",
                 {{"program", OperatorText{program_.path}}, {"code", WEXITSTATUS(status)}});
  }

  /// Asks the helper to end, and then ends it.
  void end(pid_t helper) {
    ::kill(helper, SIGTERM);
    const Clock::time_point deadline = Clock::now() + kEndPatience;
    for (milliseconds left = kEndPatience; left.count() > 0;
         left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now())) {
      if (::waitpid(helper, nullptr, WNOHANG) != 0) return;
      pollfd ended{signals_, POLLIN, 0};
      ::poll(&ended, 1, static_cast<int>(left.count()));
      drain();
    }
    ::kill(helper, SIGKILL);
    ::waitpid(helper, nullptr, 0);
  }

  /// Until a child has ended, ringpostd is gone, or the time is over (negative: never).
  void wait(milliseconds time) {
    pollfd events[] = {{signals_, POLLIN, 0}, {lifeline_, 0, 0}};
    ::poll(events, 2, static_cast<int>(time.count()));
    if (events[1].revents != 0) abandoned_ = true;
    if (events[0].revents != 0) drain();
  }

  void drain() {
    signalfd_siginfo signal;
    while (::read(signals_, &signal, sizeof signal) > 0) {
    }
  }

  const HelperProgram& program_;
  Log& log_;
  const int executable_, lifeline_;
  int signals_ = -1;
  bool abandoned_ = false;
};

[[noreturn]] void run_nanny(const HelperProgram& program, int lifeline, Log& log) {
  // What is sent to ringpostd's group (Ctrl-C) is for ringpostd alone: it lets go of the lifeline when its last event is out.
  ::setpgid(0, 0);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(number, SIG_IGN);
  if (program.identity && !harden::become(*program.identity)) ::_exit(kCannotStart);
  ::prctl(PR_SET_NAME, "ringpost-nanny");
  std::vector<int> keep = program.inherited;
  keep.push_back(program.executable);
  keep.push_back(lifeline);
  if (!keep_only(keep)) ::_exit(kCannotStart);
  Nanny{program, log}.run();
  ::_exit(0);
}

}  // namespace

std::expected<int, std::string> start_nanny(const HelperProgram& program, int lifeline, Log& log) {
  const pid_t nanny = ::fork();
  if (nanny == 0) run_nanny(program, lifeline, log);
  if (nanny < 0) return std::unexpected("fork: " + std::string{std::strerror(errno)});
  return nanny;
}

}  // namespace ringpost::programs
