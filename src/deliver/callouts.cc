#include "ringpost/deliver/callouts.hh"

#include <algorithm>

#include "deliver/callout_memory.hh"
#include "deliver/connection.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/policy/recipients.hh"

namespace ringpost::deliver {

namespace {

using Verdict = CalloutResult::Verdict;

constexpr std::size_t kExistingMax = 100'000, kOthersMax = 20'000;
// So many questions are under way at a time, and so many wait for their answers; beyond that nobody knows.
constexpr std::size_t kQuestionsMax = 1'000, kWaitingMax = 4'000;
// Of a next hop with many addresses so many are tried for one connection; when none works, it is left alone for a while.
constexpr std::size_t kAddressesTried = 3;
constexpr Duration kRest = std::chrono::seconds(10);
// Next hops that are remembered with nothing to ask them.
constexpr std::size_t kLinesMax = 10'000;

smtp::EnhancedCode enhanced_of(const event::ReplyCode& reply) {
  return {static_cast<std::uint8_t>(reply.enhanced_class), reply.enhanced_subject, reply.enhanced_detail};
}

CalloutResult result_of(const RecipientResult& heard) {
  switch (heard.verdict) {
    case RecipientResult::Verdict::delivered: return {Verdict::exists};
    case RecipientResult::Verdict::failed: return {Verdict::does_not, enhanced_of(heard.reply)};
    default: return {};
  }
}

}  // namespace

/// One address that is asked about. It lives until the last of those who wait for it has its answer.
struct Callouts::Question {
  Question(runtime::Ring& ring, const Hash& name, std::string mailbox) : hash(name), address(std::move(mailbox)), done(ring) {}
  Hash hash;
  std::string address;
  Instant until{};
  runtime::Signal done;
  std::size_t waiting = 0;
  bool answered = false;
  CalloutResult result;
};

/// The questions for one site, and the connections that ask them.
struct Callouts::Line {
  Line(runtime::Ring& ring, std::string name) : key(std::move(name)), work(ring) {}
  std::string key;
  std::vector<SocketAddress> addresses;
  Protocol protocol = Protocol::smtp;
  Security security;
  HopMemory memory;
  std::deque<Question*> questions;
  runtime::Signal work;
  std::size_t workers = 0, idle = 0, open = 0;
  Instant rests_until{};
  Duration rest = kRest;  ///< when no connection can be had
};

Callouts::Callouts(runtime::Ring& ring, Deliverer& deliverer, metrics::ShardMetrics& metrics, Log& log, const Key256& key,
                   std::shared_ptr<const config::Settings> settings)
    : ring_(ring),
      deliverer_(deliverer),
      metrics_(metrics),
      log_(log),
      key_(key.duplicate()),
      settings_(std::move(settings)),
      scope_(ring),
      memory_(std::make_unique<CalloutMemory>(kExistingMax, kOthersMax)),
      failure_log_(5, std::chrono::seconds(1)) {}

Callouts::~Callouts() = default;

// An address at another next hop is another question.
Callouts::Hash Callouts::hash_of(std::string_view address) const {
  const config::Route& route = policy::route_for(*settings_, address);
  std::string text{address};
  text.append(1, '\0').append(route.host).append(1, ':').append(std::to_string(route.port)).append(1, static_cast<char>('0' + static_cast<int>(route.kind)));
  return crypto::keyed_hash(key_.view(), text);
}

CalloutResult Callouts::remembered(const Hash& hash, Duration positive_max, Duration negative_max) {
  const CalloutMemory::Entry* entry = memory_->find(hash);
  if (!entry || ring_.now() - entry->asked >= (entry->exists ? positive_max : negative_max)) return {};
  return {entry->exists ? Verdict::exists : Verdict::does_not, entry->enhanced};
}

runtime::Task<CalloutResult> Callouts::ask(std::string address) {
  const config::Settings::Callout limits = settings_->callout;
  const Hash hash = hash_of(address);
  CalloutResult result = remembered(hash, limits.positive_ttl, limits.negative_ttl);
  if (result.verdict != Verdict::unsure) {
    metrics_.callouts_remembered.add();
    co_return result;
  }
  auto found = questions_.find(hash);
  const bool room = waiting_ < kWaitingMax && (found != questions_.end() || questions_.size() < kQuestionsMax);
  if (room && !stopping_) {
    const Instant until = ring_.now() + limits.timeout;
    const bool shared = found != questions_.end();
    if (!shared) found = questions_.emplace(hash, std::make_unique<Question>(ring_, hash, std::move(address))).first;
    Question& question = *found->second;
    ++question.waiting;
    ++waiting_;
    if (!shared) {
      question.until = until;
      scope_.spawn(place(question));
    }
    for (bool in_time = true; in_time && !question.answered && !stopping_;) in_time = co_await question.done.wait(until);
    result = question.result;
    --waiting_;
    --question.waiting;
    forget(question);
  }
  if (result.verdict == Verdict::unsure) {
    metrics_.callouts_unsure.add();
    result = remembered(hash, limits.stale_ttl, limits.negative_ttl);
  }
  co_return result;
}

// Puts a question into the line of its next hop.
runtime::Task<void> Callouts::place(Question& question) {
  const WayView way = co_await deliverer_.explain(question.address);
  const bool left_alone = way.site && way.site->suspended_for > Duration{};
  if (stopping_ || way.site_name.empty() || left_alone) co_return answer(question, {});
  std::unique_ptr<Line>& line = lines_.try_emplace(way.site_name, nullptr).first->second;
  if (!line) line = std::make_unique<Line>(ring_, way.site_name);
  if (ring_.now() < line->rests_until) co_return answer(question, {});
  line->addresses = way.addresses;
  line->protocol = way.lmtp ? Protocol::lmtp : Protocol::smtp;
  line->security = {.policy = way.tls, .name = way.tls_name, .context = tls_, .proofs = way.proofs, .sts = way.sts.cached, .shows = way.shows};
  line->questions.push_back(&question);
  if (line->idle > 0) {
    line->work.notify_one();
  } else if (line->workers < settings_->callout.connections_max) {
    ++line->workers;
    scope_.spawn(work(*line));
  }
}

void Callouts::answer(Question& question, const CalloutResult& result) {
  question.answered = true;
  question.result = result;
  if (result.verdict != Verdict::unsure)
    memory_->put({question.hash, ring_.now(), result.verdict == Verdict::exists, result.enhanced});
  question.done.notify_all();
  forget(question);
}

void Callouts::forget(Question& question) {
  if (question.answered && question.waiting == 0) questions_.erase(question.hash);
}

// One connection's life: question after question, a while of idleness, the end.
runtime::Task<void> Callouts::work(Line& line) {
  std::unique_ptr<Connection> connection;
  while (!stopping_) {
    if (line.questions.empty()) {
      ++line.idle;
      const bool woken = co_await line.work.wait(ring_.now() + settings_->deliver.timeout.idle);
      --line.idle;
      if (!woken && line.questions.empty()) break;
      continue;
    }
    Question& question = *line.questions.front();
    line.questions.pop_front();
    if (ring_.now() >= question.until) {
      answer(question, {});
      continue;
    }
    const std::optional<CalloutResult> result = co_await put(question, line, connection);
    if (result) {
      answer(question, *result);
    } else if (line.open > 0 && !stopping_) {
      line.questions.push_front(&question);  // one connection too many: the others ask
      line.work.notify_one();
      break;
    } else {
      answer(question, {});
      line.rests_until = ring_.now() + line.rest;
      give_up(line);
      break;
    }
  }
  co_await close(line, connection);
  --line.workers;
  if (stopping_) give_up(line);
  if (line.workers > 0) co_return;
  if (!line.questions.empty()) {
    ++line.workers;
    scope_.spawn(work(line));
  } else if (stopping_ || lines_.size() > kLinesMax) {
    lines_.erase(line.key);
  }
}

// Nothing when there is no connection.
runtime::Task<std::optional<CalloutResult>> Callouts::put(Question& question, Line& line, std::unique_ptr<Connection>& connection) {
  for (;;) {
    if (!connection || !connection->usable()) {
      co_await close(line, connection);
      const bool opened = co_await open(line, connection);
      if (!opened) co_return std::nullopt;
    }
    metrics_.callouts_sent.add();
    const std::optional<RecipientResult> heard = co_await connection->ask_about(question.address, ring_.now() + settings_->callout.timeout);
    if (!heard) continue;  // it was closed while it was idle
    if (heard->verdict == RecipientResult::Verdict::deferred) {
      if (auto suppressed = failure_log_.admit(ring_.now()))
        log_.warning("a next hop does not say whether a recipient exists",
                     {{"host", connection->host().ip}, {"code", heard->reply.code}, {"suppressed", *suppressed}});
    }
    co_return result_of(*heard);
  }
}

runtime::Task<bool> Callouts::open(Line& line, std::unique_ptr<Connection>& connection) {
  const std::vector<SocketAddress> addresses = line.addresses;
  const Instant until = ring_.now() + settings_->callout.timeout;
  for (std::size_t i = 0; i < std::min(addresses.size(), kAddressesTried) && !stopping_ && ring_.now() < until;) {
    connection = std::make_unique<Connection>(ring_, settings_, addresses[i], line.protocol, line.memory,
                                              settings_->deliver.messages_per_connection, line.security);
    open_.push_back(connection.get());
    auto opened = co_await connection->open(until);
    if (opened) {
      ++line.open;
      co_return true;
    }
    if (auto suppressed = failure_log_.admit(ring_.now()))
      log_.warning("a next hop cannot be asked who exists", {{"host", addresses[i]}, {"code", opened.error().reply.code}, {"suppressed", *suppressed}});
    const std::unique_ptr<Connection> failed = std::move(connection);
    co_await failed->close();
    std::erase(open_, failed.get());
    // Who keeps trying a wrong password is locked out; the other addresses would count it, too.
    const bool refused = opened.error().reason == event::Reason::hop_login_refused;
    line.rest = refused ? settings_->retry.first : kRest;
    if (refused) break;
    i += !failed->may_go_in_clear();  // else the same host again
  }
  co_return false;
}

runtime::Task<void> Callouts::close(Line& line, std::unique_ptr<Connection>& connection) {
  if (!connection) co_return;
  --line.open;
  const std::unique_ptr<Connection> gone = std::move(connection);
  co_await gone->close();
  std::erase(open_, gone.get());
}

void Callouts::give_up(Line& line) {
  while (!line.questions.empty()) {
    Question& question = *line.questions.front();
    line.questions.pop_front();
    answer(question, {});
  }
}

void Callouts::refuse() {
  stopping_ = true;
  for (auto& [hash, question] : questions_) question->done.notify_all();
  for (auto& [key, line] : lines_) line->work.notify_all();
}

runtime::Task<void> Callouts::stop() {
  refuse();
  const std::vector<Connection*> open = open_;
  for (Connection* connection : open)
    if (std::ranges::find(open_, connection) != open_.end()) co_await connection->cut();
  co_await scope_.join();
}

}  // namespace ringpost::deliver
