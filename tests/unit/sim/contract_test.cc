// The contract of Ring, on the simulator.
#include "ring_contract.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {
namespace {

using runtime::contract::ContractOptions;
using runtime::contract::ContractWorld;
using runtime::contract::RingContract;

class SimContractWorld final : public ContractWorld {
 public:
  explicit SimContractWorld(const ContractOptions& options) : world_(20261122) {
    const RingOptions ring{
        .process = "contract", .receive_buffers = options.receive_buffers, .receive_buffer_bytes = options.receive_buffer_bytes};
    rings_[0] = &world_.make_ring("first", ring);
    rings_[1] = &world_.make_ring("second", ring);
    world_.disk().make_directory("/contract");
  }

  runtime::Ring& ring(std::size_t index) override { return *rings_[index]; }
  void drive(runtime::Task<void> task) override {
    runtime::Scope scope(*rings_[0]);
    scope.spawn(std::move(task));
    const Stop stop = world_.run_until([&] { return scope.running() == 0; }, std::chrono::hours{1});
    RP_ASSERT(stop == Stop::reached);
  }
  SocketAddress stream_address() override { return *SocketAddress::parse("127.0.0.1:0"); }
  std::string directory() override { return "/contract"; }
  std::uint64_t in_flight() override {
    std::uint64_t count = 0;
    for (SimRing* ring : rings_) count += ring->operations_in() - ring->operations_out();
    return count;
  }

 private:
  World world_;
  SimRing* rings_[2];
};

std::unique_ptr<ContractWorld> make_sim_world(const ContractOptions& options) {
  return std::make_unique<SimContractWorld>(options);
}

INSTANTIATE_TEST_SUITE_P(Sim, RingContract, testing::Values(&make_sim_world));

}  // namespace
}  // namespace ringpost::sim
