#include "bench/send.hh"

#include <algorithm>

#include "bench/send_connection.hh"

namespace ringpost::bench {

namespace {
constexpr Duration kReconnectPause = std::chrono::milliseconds(20);
}

void SendWorker::start(unsigned connections) {
  for (unsigned i = 0; i < connections; ++i) scope_.spawn(run_connection());
}

// One connection after the other, as long as there are messages.
runtime::Task<void> SendWorker::run_connection() {
  const SendOptions& options = shared_.options;
  SendConnection connection{*this};
  connections_.push_back(&connection);
  Instant reached = ring_.now();
  bool going = true;
  while (going && !cut_) {
    bool open = co_await connection.open();
    if (open) {
      reached = ring_.now();
      going = co_await connection.converse() == SendConnection::Ending::more;
    } else {
      counters_.connects_failed.add();
      bool patient = options.keep_going && !shared_.schedule.stopped() && ring_.now() - reached < options.reconnect_max;
      if (patient)
        co_await ring_.sleep_for(kReconnectPause);
      else
        going = false;
    }
    co_await connection.close();
  }
  std::erase(connections_, &connection);
}

runtime::Task<void> SendWorker::cut() {
  cut_ = true;
  std::vector<SendConnection*> all = connections_;
  for (SendConnection* connection : all) {
    if (std::find(connections_.begin(), connections_.end(), connection) == connections_.end()) continue;
    co_await connection->cut();
  }
}

}  // namespace ringpost::bench
