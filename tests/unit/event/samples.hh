#pragma once

#include <vector>

#include "ringpost/event/event.hh"

namespace ringpost::event {

template <typename IdType>
IdType counting_id(unsigned first) {
  IdType id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(first + i);
  return id;
}

inline Stamp stamp(std::uint64_t sequence) {
  using namespace std::chrono;
  constexpr WallTime kTime = sys_days{year{2026} / January / 2} + hours{3} + minutes{4} + seconds{5} + nanoseconds{6};
  return {.incarnation = counting_id<IncarnationId>(0),
          .sequence = sequence,
          .time = kTime,
          .process = Process::ringpostd,
          .shard = 3};
}

/// The worked example of docs/formats/audit-event.md.
inline Event deferred(std::uint64_t sequence = 7) {
  return {.kind = Kind::recipient_deferred,
          .stamp = stamp(sequence),
          .partition = counting_id<PartitionId>(0xa0),
          .message = counting_id<MessageId>(0xb0),
          .next_hop = Host{*IpAddress::parse("192.0.2.1"), 25},
          .reply = ReplyCode{451, 4, 7, 1},
          .reason = Reason::next_hop_deferred,
          .recipient = counting_id<AddressHash>(0xc0),
          .attempt = 2};
}

/// One valid event of each kind, with every field it allows.
inline std::vector<Event> one_of_each() {
  auto partition = counting_id<PartitionId>(1);
  auto message = counting_id<MessageId>(2);
  auto sender = counting_id<AddressHash>(3), recipient = counting_id<AddressHash>(4);
  auto key = counting_id<KeyId>(5);
  auto client = *IpAddress::parse("2001:db8::1");
  Host hop{*IpAddress::parse("2001:db8::2"), 2525};
  std::vector<Event> all;
  auto add = [&](Event event) {
    event.stamp = stamp(all.size() + 1);
    all.push_back(event);
  };
  add({.kind = Kind::message_accepted,
       .partition = partition,
       .message = message,
       .size = 0,
       .recipients = 1,
       .client = client,
       .reply = ReplyCode{250, 2, 0, 0},
       .sender = sender,
       .login = counting_id<AddressHash>(8),
       .authentication = Authentication::client_certificate});
  add({.kind = Kind::message_refused,
       .partition = partition,
       .message = message,
       .size = UINT64_MAX,
       .recipients = 1000,
       .client = client,
       .reply = ReplyCode{554, 5, 999, 999},
       .reason = Reason::syntax,
       .sender = sender,
       .recipient = recipient});
  add({.kind = Kind::recipient_delivered,
       .partition = partition,
       .message = message,
       .size = 5,
       .next_hop = hop,
       .reply = ReplyCode{250},
       .sender = sender,
       .recipient = recipient,
       .attempt = 1,
       .tls = TlsResult{0x0304, 0x1301, TlsResult::Policy::dane, true}});
  add({.kind = Kind::recipient_deferred,
       .partition = partition,
       .message = message,
       .size = 5,
       .next_hop = hop,
       .reply = ReplyCode{451, 4, 3, 0},
       .reason = Reason::next_hop_deferred,
       .sender = sender,
       .recipient = recipient,
       .attempt = 1,
       .tls = TlsResult{0, 0, TlsResult::Policy::verify, false, TlsResult::Shortfall::certificate}});
  add({.kind = Kind::recipient_failed,
       .partition = partition,
       .message = message,
       .size = 5,
       .next_hop = hop,
       .reply = ReplyCode{550, 5, 1, 1},
       .reason = Reason::next_hop_refused,
       .sender = sender,
       .recipient = recipient,
       .attempt = UINT32_MAX,
       .tls = TlsResult{0x0303, 0xcca9, TlsResult::Policy::opportunistic, false, TlsResult::Shortfall::dns_insecure}});
  add({.kind = Kind::key_created, .key = key, .user = 0});
  add({.kind = Kind::key_leased, .partition = partition, .key = key});
  add({.kind = Kind::kek_created, .key = key, .user = 1000});
  add({.kind = Kind::process_started, .partition = partition, .user = 0});
  add({.kind = Kind::process_stopped, .partition = partition, .user = 0});
  add({.kind = Kind::config_changed,
       .setting = 0x1234,
       .user = 0,
       .instance = SettingText{"example.org"},
       .before = SettingText{"smtp://192.0.2.1:25"},
       .after = SettingText{std::string(SettingText::kBytesMax, 'x')}});
  add({.kind = Kind::separation_none, .user = 1000});
  add({.kind = Kind::audit_gap, .source = counting_id<IncarnationId>(9), .first = 1, .count = 5});
  add({.kind = Kind::refusals_suppressed, .client = client, .count = 1});
  add({.kind = Kind::key_budget_exceeded, .user = 999});
  add({.kind = Kind::report_sent,
       .partition = partition,
       .message = message,
       .size = 2000,
       .recipients = 2,
       .report = counting_id<MessageId>(5)});
  add({.kind = Kind::message_held, .partition = partition, .message = message, .user = 1000});
  add({.kind = Kind::message_released, .partition = partition, .message = message, .user = 0});
  add({.kind = Kind::message_retried, .partition = partition, .message = message, .user = 0});
  add({.kind = Kind::message_bounced, .partition = partition, .message = message, .recipients = 3, .user = 0});
  add({.kind = Kind::message_deleted, .partition = partition, .message = message, .recipients = 1, .user = 0});
  add({.kind = Kind::message_redirected,
       .partition = partition,
       .message = message,
       .recipients = 2,
       .recipient = recipient,
       .user = 0,
       .successor = counting_id<MessageId>(6)});
  add({.kind = Kind::message_over_budget,
       .partition = partition,
       .message = message,
       .recipients = 2,
       .client = client,
       .sender = sender,
       .login = counting_id<AddressHash>(7)});
  add({.kind = Kind::login_refused, .client = client, .login = counting_id<AddressHash>(8), .authentication = Authentication::xoauth2});
  return all;
}

}  // namespace ringpost::event
