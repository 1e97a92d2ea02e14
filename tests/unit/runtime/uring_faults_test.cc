// The whole contract on a kernel that fails calls and lets operations overtake each other (attack H5).
//
// Linked with --wrap: calls of io_uring_enter end with EINTR, EAGAIN, ENOMEM or EBUSY before they did anything, and completions of
// different operations change places. Those of one operation stay in order, and a chain's stay behind each other: so the kernel has it.
#include <gtest/gtest.h>
#include <liburing.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <vector>

#include "ring_contract.hh"
#include "uring_world.hh"

namespace ringpost::runtime::contract {

namespace {

std::atomic<std::uint64_t> calls = 0, failed = 0, swapped = 0;

/// Which error this call ends with; 0: none. Two in a row at most, as a kernel short of memory comes round again.
int fault() {
  constexpr std::array kErrors{0, EINTR, 0, 0, EAGAIN, ENOMEM, 0, EBUSY, 0, 0, 0};
  const int error = kErrors[calls.fetch_add(1) % kErrors.size()];
  if (error != 0) ++failed;
  return error;
}

}  // namespace

extern "C" {

int __real_io_uring_submit(io_uring* ring);
int __wrap_io_uring_submit(io_uring* ring) {
  if (int error = fault()) return -error;
  return __real_io_uring_submit(ring);
}

int __real_io_uring_submit_and_get_events(io_uring* ring);
int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
  if (int error = fault()) return -error;
  return __real_io_uring_submit_and_get_events(ring);
}

int __real_io_uring_get_events(io_uring* ring);
int __wrap_io_uring_get_events(io_uring* ring) {
  if (int error = fault()) return -error;
  return __real_io_uring_get_events(ring);
}

int __real_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned count, __kernel_timespec* time,
                                            sigset_t* signals);
int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned count, __kernel_timespec* time,
                                            sigset_t* signals) {
  if (int error = fault()) return -error;
  return __real_io_uring_submit_and_wait_timeout(ring, first, count, time, signals);
}

unsigned __real_io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** batch, unsigned count);
unsigned __wrap_io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** batch, unsigned count) {
  const unsigned found = __real_io_uring_peek_batch_cqe(ring, batch, count);
  // Last operation first, each with its completions in their order.
  std::vector<io_uring_cqe*> before(batch, batch + found);
  unsigned written = 0;
  for (unsigned i = found; i-- > 0;) {
    const auto same = [&](const io_uring_cqe* other) { return other->user_data == before[i]->user_data; };
    if (std::any_of(before.begin() + i + 1, before.end(), same)) continue;
    for (io_uring_cqe* one : before)
      if (same(one)) batch[written++] = one;
  }
  swapped += !std::equal(before.begin(), before.end(), batch);
  return found;
}

}  // extern "C"

std::unique_ptr<ContractWorld> make_faulty_world(const ContractOptions& options) { return std::make_unique<UringWorld>(options); }

std::unique_ptr<ContractWorld> make_hasty_world(const ContractOptions& options) { return std::make_unique<UringWorld>(options, true); }

INSTANTIATE_TEST_SUITE_P(H5_UringUnderFaults, RingContract, testing::Values(&make_faulty_world));
INSTANTIATE_TEST_SUITE_P(H5_UringAtOnceUnderFaults, RingContract, testing::Values(&make_hasty_world));

/// Runs last: what the others were shown.
struct Report final : testing::Environment {
  void TearDown() override {
    if (calls < 1000) return;  // a part of the tests was asked for
    EXPECT_GT(failed, calls / 10);
    EXPECT_GT(swapped, 10u);
  }
};
const testing::Environment* const report = testing::AddGlobalTestEnvironment(new Report);

}  // namespace ringpost::runtime::contract
