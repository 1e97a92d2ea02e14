// A ContractWorld of two UringRings on the calling thread, with a temporary directory.
#pragma once

#include "ring_contract.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::runtime::contract {

class UringWorld final : public ContractWorld {
 public:
  explicit UringWorld(const ContractOptions& options, bool submit_at_once = false);
  ~UringWorld() override;

  Ring& ring(std::size_t index = 0) override { return *rings_[index]; }
  UringRing& uring(std::size_t index = 0) { return *rings_[index]; }
  void drive(Task<void> task) override;
  SocketAddress stream_address() override { return *SocketAddress::parse("127.0.0.1:0"); }
  std::string directory() override;
  std::uint64_t in_flight() override;

 private:
  std::unique_ptr<UringRing> rings_[2];
  std::string directory_;
};

/// A started ring for the calling thread; aborts when there is none.
std::unique_ptr<UringRing> started_ring(const UringOptions& options = {});

/// Runs `task` on `ring` to its end, as a program would.
void run_task(UringRing& ring, Task<void> task);

}  // namespace ringpost::runtime::contract
