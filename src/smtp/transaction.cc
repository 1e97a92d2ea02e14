#include "ringpost/smtp/transaction.hh"

namespace ringpost::smtp {

Decision TransactionState::decide(Verb verb) const {
  RP_ASSERT(stage_ != Stage::data);  // the session reads text then, not commands
  if (verb == Verb::alien) return {replies::kAlienProtocol};
  if (verb == Verb::unknown) return {replies::kUnknownCommand};
  const CommandTraits& row = traits(verb);
  if (!row.offered || (verb == Verb::starttls && tls_ == TlsOffer::none) || (verb == Verb::auth && auth_ == AuthOffer::none))
    return {replies::kNotImplemented};
  if (tls_ == TlsOffer::required && !row.before_tls) return {replies::kTlsRequired, verb == Verb::bdat};
  if (verb == Verb::starttls) {
    if (tls_ == TlsOffer::active) return {replies::kTlsActive};
    return greeting_ == Greeting::ehlo ? Decision{} : Decision{replies::kNeedEhlo};
  }
  if (verb == Verb::auth) {
    if (greeting_ != Greeting::ehlo) return {replies::kNeedEhlo};
    if (tls_ != TlsOffer::active) return {replies::kAuthNeedsTls};
    if (authenticated_) return {replies::kAuthDone};
    return stage_ == Stage::idle ? Decision{} : Decision{replies::kAuthInTransaction};
  }
  if (verb == Verb::mail) {
    if (greeting_ == Greeting::none) return {replies::kNeedGreeting};
    if (auth_ == AuthOffer::required && !authenticated_) return {replies::kAuthRequired};
    return stage_ == Stage::idle ? Decision{} : Decision{replies::kNestedMail};
  }
  if (verb == Verb::xclient || verb == Verb::xforward) return stage_ == Stage::idle ? Decision{} : Decision{replies::kNestedMail};
  if (!row.needs_transaction) return {};

  // A chunk follows its BDAT whatever we think of it (RFC 3030 section 2): it is dropped, never read as commands.
  bool chunk = verb == Verb::bdat;
  auto refuse = [&](const Reply& reply) { return Decision{reply, chunk}; };
  if (greeting_ == Greeting::none) return refuse(replies::kNeedGreeting);
  if (stage_ == Stage::idle) return refuse(replies::kNeedMail);
  if (stage_ == Stage::failed) return refuse(replies::kChunkAfterFailure);
  if (verb == Verb::rcpt) return stage_ == Stage::chunks ? refuse(replies::kRcptAfterChunk) : Decision{};
  if (verb == Verb::data && stage_ == Stage::chunks) return refuse(replies::kDataAfterChunk);
  if (chunk && greeting_ != Greeting::ehlo) return refuse(replies::kChunkNeedsEhlo);
  return recipients_ ? Decision{} : refuse(replies::kNoValidRecipients);
}

void TransactionState::greeted(bool extended) {
  RP_ASSERT(stage_ != Stage::data);
  reset();
  greeting_ = extended ? Greeting::ehlo : Greeting::helo;
}

void TransactionState::mail_accepted() {
  RP_ASSERT(decide(Verb::mail).allowed());
  stage_ = Stage::mail;
}

void TransactionState::rcpt_accepted() {
  RP_ASSERT(decide(Verb::rcpt).allowed());
  recipients_ = true;
}

void TransactionState::data_started() {
  RP_ASSERT(decide(Verb::data).allowed());
  stage_ = Stage::data;
}

void TransactionState::chunk_accepted(bool last) {
  RP_ASSERT(decide(Verb::bdat).allowed());
  if (last) return reset();
  stage_ = Stage::chunks;
}

void TransactionState::chunk_refused(bool last) {
  if (stage_ == Stage::idle) return;  // a chunk without a transaction leaves none behind
  if (last) return reset();
  stage_ = Stage::failed;
}

void TransactionState::message_ended() {
  RP_ASSERT(stage_ == Stage::data);
  reset();
}

void TransactionState::reset() {
  stage_ = Stage::idle;
  recipients_ = false;
}

void TransactionState::authenticated() {
  RP_ASSERT(decide(Verb::auth).allowed());
  authenticated_ = true;
}

void TransactionState::start_over() {
  reset();
  greeting_ = Greeting::none;
  authenticated_ = false;
}

void TransactionState::forget_all() {
  RP_ASSERT(offers_tls());
  start_over();
  tls_ = TlsOffer::active;
}

}  // namespace ringpost::smtp
