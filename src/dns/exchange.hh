// One question to one server: over UDP, and over TCP when UDP cannot carry the answer or cannot be believed.
#pragma once

#include <list>
#include <string>

#include "ringpost/dns/packet.hh"
#include "ringpost/dns/resolver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::dns {

class Wire;

/// What all exchanges of a resolver share.
struct Exchanges {
  runtime::Ring& ring;
  ResolverCounters& counters;
  std::list<Wire*> wires{};  ///< those with a socket
  bool stopped = false;

  /// Ends what is under way, and whatever begins.
  void stop();
};

/// A socket whose operations end early when the resolver stops. Await close() before it dies.
class Wire {
 public:
  explicit Wire(Exchanges& all) : all_(all) { all_.wires.push_back(this); }
  Wire(const Wire&) = delete;
  ~Wire() { all_.wires.remove(this); }

  runtime::Task<Result<>> open(SocketAddress server, runtime::SocketKind kind, Instant deadline);
  runtime::Task<Result<std::uint32_t>> send(Bytes bytes, Instant deadline);
  runtime::Task<Result<std::uint32_t>> receive(MutableBytes into, Instant deadline);
  runtime::Task<void> close();
  void cancel() {
    if (pending_) pending_->cancel();
  }

 private:
  runtime::Task<Result<std::uint32_t>> finish(runtime::OpAwait& operation);

  Exchanges& all_;
  Fd socket_;
  runtime::OpAwait* pending_ = nullptr;
};

enum class Heard : std::uint8_t {
  answer,    ///< `response`
  nonsense,  ///< it answered us, but not in the DNS format, or it truncates and does not speak TCP
  silence,   ///< nothing in time
  nobody,    ///< its machine says that nobody listens there, or there is no way to it
  no_means,  ///< we have no descriptor or no memory for it just now
  stopped,
};

struct Asked {
  SocketAddress server;
  std::string name;
  Type type;
  bool edns = true;
  bool mix_letters = true;
  Instant deadline;
};
struct HeardBack {
  Heard heard = Heard::silence;
  Response response;
  bool folds_case = false;  ///< it changed the letters of our question
};
runtime::Task<HeardBack> exchange(Exchanges& all, Asked asked);

}  // namespace ringpost::dns
