#include "bench/crew.hh"

#include <fmt/core.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>

namespace ringpost::bench {

namespace {

// Read buffers as large as a burst of a pipelining client.
constexpr std::size_t kReceiveBufferBytes = 32_KiB;
constexpr unsigned kReceiveBuffersMin = 1024, kReceiveBuffersMax = 16384;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

std::unique_ptr<runtime::UringRing> make_ring(int cpu, Sends sends, unsigned connections) {
  runtime::UringOptions options;
  options.receive_buffer_bytes = kReceiveBufferBytes;
  options.receive_buffers = std::bit_ceil(std::clamp(connections, kReceiveBuffersMin, kReceiveBuffersMax));
  options.cpu = cpu;
  options.submit_at_once = sends == Sends::at_once;
  runtime::Missing missing;
  auto ring = runtime::UringRing::create(options, &missing);
  if (ring) return std::move(*ring);
  fmt::print(stderr, "ringpost-bench: no ring: {}\n",
             missing.empty() ? std::string{error_name(ring.error().code)} : missing.text());
  return nullptr;
}

std::unique_ptr<runtime::UringRing> start_ring() {
  auto ring = make_ring(-1, Sends::together);
  if (!ring) return nullptr;
  if (auto started = ring->start(); !started) {
    say_no_ring(started.error());
    return nullptr;
  }
  return ring;
}

void say_no_ring(const Error& error) { fmt::print(stderr, "ringpost-bench: no ring: {}\n", error_name(error.code)); }

StopSignals::StopSignals() {
  sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

bool StopSignals::wait(Duration wait) const {
  sigset_t set = stop_signals();
  timespec limit{.tv_sec = wait.count() / 1'000'000'000, .tv_nsec = wait.count() % 1'000'000'000};
  return ::sigtimedwait(&set, nullptr, &limit) > 0;
}

LiveLine::LiveLine(bool wanted) : shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}

LiveLine::~LiveLine() {
  if (width_ > 0) fmt::print(stderr, "\n");
}

void LiveLine::show(std::string_view text) {
  if (!shown_) return;
  std::size_t width = text.size();
  fmt::print(stderr, "\r{:<{}}", text, std::max(width, width_));
  std::fflush(stderr);
  width_ = width;
}

void raise_descriptor_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace ringpost::bench
