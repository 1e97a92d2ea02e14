#include "ringpost/tls/channel.hh"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "tls/client_hello.hh"
#include "tls/secure.hh"

namespace ringpost::tls {

namespace {

constexpr std::size_t kPlaintextBytes = 1 << 14;  // of a record (RFC 8446 section 5.1)
constexpr std::size_t kRecordOverheadMax = 512;   // more than a record adds, and small messages that wait with it
// From a peer that sends so much which is no data: empty records, key updates, alerts (attack T3).
constexpr std::size_t kBarrenBytesMax = 128 * 1024;
constexpr Duration kAlertPatience = std::chrono::seconds(1);

}  // namespace

Channel::Channel(runtime::Ring& ring, Fd socket) : ring_(ring), socket_(socket), receiver_(ring, socket) {}
Channel::~Channel() = default;

bool Channel::secured() const { return secure_ && secure_->done; }

const Handshake& Channel::handshake() const {
  RP_ASSERT(secure_);
  return secure_->handshake;
}

// ---- reading

std::coroutine_handle<> Channel::Next::await_suspend(std::coroutine_handle<> frame) {
  waited_ = true;
  if (channel_.secure_) {
    secure_ = channel_.read_more(deadline_);
    return secure_.await_suspend(frame);
  }
  plain_.await_suspend(frame);
  return std::noop_coroutine();
}

Result<runtime::Chunk> Channel::Next::await_resume() {
  if (!channel_.secure_) return plain_.await_resume();
  if (waited_) {
    Result<> read = secure_.await_resume();
    if (!read) return std::unexpected(read.error());
  }
  return channel_.take_decrypted();
}

Result<runtime::Chunk> Channel::take_decrypted() {
  if (!secure_->decrypted.empty()) return std::move(secure_->decrypted);
  RP_ASSERT(secure_->end);
  return std::unexpected(*secure_->end);
}

// Decrypts what is here. True when there is plaintext or its end; false when more must come from the wire, or what wolfSSL wants
// to say must leave first.
bool Channel::decrypt() {
  Secure& s = *secure_;
  if (!s.decrypted.empty() || s.end) return true;
  if (!s.done) {
    s.end = Error{Errc::protocol};
    return true;
  }
  if (!s.has_input() && !s.wire_end && !receiver_.ready() && wolfSSL_pending(s.ssl.get()) == 0) return false;
  BufferPool& pool = s.engine.buffers();
  const std::int32_t number = pool.take();
  const MutableBytes block = pool.block(number);
  std::size_t used = 0;
  {
    const crypto::LibraryCalls calls{s.engine};
    while (used < kPlaintextBytes && s.barren_bytes <= kBarrenBytesMax) {
      const int count = wolfSSL_read(s.ssl.get(), block.data() + used, static_cast<int>(kPlaintextBytes - used));
      if (count > 0) {
        used += static_cast<std::size_t>(count);
        s.barren_bytes = 0;
        continue;
      }
      const int error = wolfSSL_get_error(s.ssl.get(), count);
      if (error == WOLFSSL_ERROR_ZERO_RETURN)
        s.end = Error{Errc::closed};
      else if (error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_WANT_WRITE)
        s.end = Error{Errc::protocol, error};
      break;
    }
  }
  if (s.barren_bytes > kBarrenBytesMax && !s.end) s.end = Error{Errc::protocol};
  // The stream ended, but not under TLS: somebody on the path may have cut it.
  if (used == 0 && !s.end && s.wire_end && !s.has_input())
    s.end = s.wire_end->code == Errc::closed ? Error{Errc::reset} : *s.wire_end;
  if (used > 0) {
    s.decrypted = runtime::Chunk{pool, block.first(used), number};
    return true;
  }
  pool.release_buffer(number);
  return s.end.has_value();
}

runtime::Task<Result<>> Channel::read_more(Instant deadline) {
  Secure& s = *secure_;
  for (;;) {
    const bool decrypted = decrypt();
    if (s.has_output() && !s.flushing) {
      Result<> flushed = co_await flush(s.end ? ring_.now() + kAlertPatience : deadline);
      if (!flushed && !decrypted) co_return flushed;
      if (!decrypted) continue;
    }
    if (decrypted) co_return Result<>{};
    auto chunk = co_await receiver_.next(deadline);
    if (chunk) {
      RP_ASSERT(s.input.empty());
      s.input = std::move(*chunk);
    } else if (chunk.error().code == Errc::timed_out || chunk.error().code == Errc::cancelled) {
      co_return std::unexpected(chunk.error());
    } else {
      s.wire_end = chunk.error();
    }
  }
}

// ---- writing

std::coroutine_handle<> Channel::Send::await_suspend(std::coroutine_handle<> frame) {
  in_clear_ = channel_.secure_ == nullptr;
  if (!in_clear_) {
    secure_ = channel_.encrypt_and_send(bytes_, deadline_);
    return secure_.await_suspend(frame);
  }
  plain_.await_suspend(frame);
  return std::noop_coroutine();
}

Result<std::uint32_t> Channel::Send::await_resume() { return in_clear_ ? plain_.await_resume() : secure_.await_resume(); }

runtime::Task<Result<std::uint32_t>> Channel::encrypt_and_send(Bytes bytes, Instant deadline) {
  Secure& s = *secure_;
  if (!s.done) co_return std::unexpected(Error{Errc::protocol});
  for (std::size_t done = 0; done < bytes.size();) {
    const Bytes piece = bytes.subspan(done, std::min(bytes.size() - done, kPlaintextBytes));
    int count = 0, error = WOLFSSL_ERROR_WANT_WRITE;
    if (s.output_room() >= piece.size() + kRecordOverheadMax) {
      const crypto::LibraryCalls calls{s.engine};
      count = wolfSSL_write(s.ssl.get(), piece.data(), static_cast<int>(piece.size()));
      if (count <= 0) error = wolfSSL_get_error(s.ssl.get(), count);
    }
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (error == WOLFSSL_ERROR_WANT_WRITE) {
      Result<> flushed = co_await flush(deadline);
      if (!flushed) co_return std::unexpected(flushed.error());
    } else {
      co_return std::unexpected(Error{Errc::protocol, error});
    }
  }
  Result<> flushed = co_await flush(deadline);
  if (!flushed) co_return std::unexpected(flushed.error());
  co_return static_cast<std::uint32_t>(bytes.size());
}

runtime::Task<Result<>> Channel::flush(Instant deadline) {
  Secure& s = *secure_;
  while (s.flushing) {
    const bool in_time = co_await s.flushed.wait(deadline);
    if (!in_time) co_return std::unexpected(Error{Errc::timed_out, ETIME});
  }
  s.flushing = true;
  Result<> flushed;
  while (flushed && s.has_output()) {
    const Bytes rest = Bytes{s.engine.buffers().block(s.output)}.subspan(s.output_begin, s.output_end - s.output_begin);
    auto sent = co_await ring_.send(socket_, rest, deadline);
    if (sent)
      s.output_begin += *sent;
    else
      flushed = std::unexpected(sent.error());
  }
  if (!s.has_output()) s.release_output();
  s.flushing = false;
  s.flushed.notify_all();
  co_return flushed;
}

// ---- handshakes

void Channel::put_back(runtime::Chunk chunk) {
  RP_ASSERT(!secure_);
  receiver_.put_back(std::move(chunk));
}

std::size_t Channel::discard_input() {
  RP_ASSERT(!secure_);
  std::size_t dropped = 0;
  while (receiver_.ready()) {
    auto chunk = receiver_.take();
    if (!chunk || !*chunk) break;
    dropped += (*chunk)->bytes().size();
  }
  return dropped;
}

runtime::Task<Result<>> Channel::accept_tls(ServerContext& context, Instant deadline) {
  RP_ASSERT(!secure_);
  secure_ = std::make_unique<Secure>(context.engine(), receiver_);
  Secure& s = *secure_;
  s.server = &context;
  if (!context.has_certificates()) co_return std::unexpected(Error{Errc::not_found});
  HelloCollector collector;
  for (auto status = HelloCollector::Status::need_more; status != HelloCollector::Status::whole;) {
    auto chunk = co_await receiver_.next(deadline);
    if (!chunk) co_return std::unexpected(chunk.error());
    status = collector.feed(chunk->bytes());
    if (status == HelloCollector::Status::refused) co_return std::unexpected(Error{Errc::protocol});
    if (status == HelloCollector::Status::whole && s.early.empty())
      s.input = std::move(*chunk);
    else
      s.early.insert(s.early.end(), chunk->bytes().begin(), chunk->bytes().end());
  }
  if (!context.has_certificates()) co_return std::unexpected(Error{Errc::not_found});
  Result<> begun = context.prepare(s, parse_client_hello(collector.body()));
  if (!begun) co_return begun;
  Result<> shaken = co_await shake_hands(&wolfSSL_accept, deadline);
  co_return shaken;
}

runtime::Task<Result<>> Channel::connect_tls(ClientContext& context, const ClientOptions& options, Instant deadline) {
  RP_ASSERT(!secure_);
  secure_ = std::make_unique<Secure>(context.engine(), receiver_);
  Secure& s = *secure_;
  // Who speaks out of turn is not let into the protected part (RFC 3207 section 5).
  auto early = receiver_.take();
  if (early) co_return std::unexpected(*early ? Error{Errc::protocol} : early->error());
  s.asked = &options;
  Result<> begun = context.prepare(s, options);
  if (!begun) co_return begun;
  Result<> shaken = co_await shake_hands(&wolfSSL_connect, deadline);
  s.asked = nullptr;
  if (!shaken && options.must_be_ok && s.handshake.peer != PeerVerdict::none && s.handshake.peer != PeerVerdict::ok)
    shaken = std::unexpected(Error{Errc::permission});
  if (shaken && s.handshake.resumed && options.session) {
    s.handshake.peer = options.session->verdict_;
    s.handshake.peer_certificate = options.session->certificate_;
  }
  co_return shaken;
}

runtime::Task<Result<>> Channel::shake_hands(int (*step)(WOLFSSL*), Instant deadline) {
  Secure& s = *secure_;
  for (;;) {
    co_await s.engine.gate().pass();
    int error = 0;
    {
      const crypto::LibraryCalls calls{s.engine};
      const int result = step(s.ssl.get());
      if (result != WOLFSSL_SUCCESS) error = wolfSSL_get_error(s.ssl.get(), result);
      if (s.server) s.server->forget_authorities(s.ssl.get());
    }
    const bool failed = error != 0 && error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_WANT_WRITE;
    if (s.has_output()) {
      Result<> flushed = co_await flush(failed ? std::min(deadline, ring_.now() + kAlertPatience) : deadline);
      if (!flushed && !failed) co_return flushed;
    }
    if (failed) co_return std::unexpected(Error{Errc::protocol, error});
    if (error == 0) break;
    if (error == WOLFSSL_ERROR_WANT_WRITE || s.has_input()) continue;
    if (s.wire_end) co_return std::unexpected(*s.wire_end);
    auto chunk = co_await receiver_.next(deadline);
    if (!chunk) co_return std::unexpected(chunk.error());
    s.input = std::move(*chunk);
  }
  s.finish();
  co_return Result<>{};
}

ClientSession Channel::session() {
  if (!secured() || secure_->server) return {};
  const crypto::LibraryCalls calls{secure_->engine};
  unsigned char ticket[4096];  // wolfSSL's only way to say whether there is one is to copy it
  unsigned int size = sizeof ticket;
  const int found = wolfSSL_get_SessionTicket(secure_->ssl.get(), ticket, &size);
  if (found != WOLFSSL_SUCCESS || size == 0) return {};
  return ClientSession{wolfSSL_get1_session(secure_->ssl.get()), secure_->handshake.peer, secure_->handshake.peer_certificate};
}

// ---- the end

runtime::Task<void> Channel::shutdown(Instant deadline) {
  if (secure_) {
    if (secure_->done && (!secure_->end || secure_->end->code == Errc::closed)) {
      const crypto::LibraryCalls calls{secure_->engine};
      (void)wolfSSL_shutdown(secure_->ssl.get());
    }
    if (secure_->has_output()) (void)co_await flush(deadline);
  }
  (void)co_await ring_.shutdown(socket_, SHUT_WR);
}

runtime::Task<void> Channel::drain(Instant deadline, std::size_t chunks_max) {
  for (std::size_t i = 0; i < chunks_max; ++i) {
    auto rest = co_await receiver_.next(deadline);
    if (!rest) break;
  }
}

runtime::Task<void> Channel::stop() {
  co_await receiver_.stop();
  if (!secure_) co_return;
  secure_->input.release();
  secure_->decrypted.release();
  if (!secure_->flushing) secure_->release_output();
}

}  // namespace ringpost::tls
