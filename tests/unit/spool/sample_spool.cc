// Writes a spool as a server leaves it, and the keys that open it, for readers written in other languages.
// Usage: sample-spool DIRECTORY
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "support.hh"

namespace ringpost::spool {
namespace {

void write_file(const std::filesystem::path& path, Bytes bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

int write_sample(const std::filesystem::path& folder) {
  Machine machine({.seed = 5, .segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  if (!machine.open()) return 1;
  const Mail mails[] = {make_mail(1, 0), make_mail(2, 900, 3), make_mail(3, 150'000), make_mail(4, 16'384)};
  for (const Mail& mail : mails)
    if (!outcome_of(machine, machine.accept(mail, as_bytes("event of " + hex(mail.id)), mail.id.prefix()))) return 1;
  const std::vector<Outcome::Recipient> deferred{
      {1, {RecipientState::waiting, 1, event::Reason::next_hop_deferred, {451, 4, 7, 1}}, "451 come back later"}};
  if (!outcome_of(machine, machine.record(mails[1].id, deferred, 1))) return 1;
  machine.settle();
  machine.world.faults().fail_nth(Fault::disk_sync_error, 1);
  if (outcome_of(machine, machine.accept(make_mail(5, 100)))) return 1;  // refused: a reader must ignore it
  if (!outcome_of(machine, machine.accept(make_mail(6, 100)))) return 1;
  machine.stop();

  const std::filesystem::path spool = folder / "spool", partition = spool / hex(machine.partition), content = folder / "content";
  std::filesystem::create_directories(partition);
  std::filesystem::create_directories(content);
  write_file(spool / "store", encode_store_file(machine.store));
  for (int number = 1; number < 100; ++number) {
    char name[16];
    std::snprintf(name, sizeof name, "%08d.seg", number);
    if (const auto bytes = machine.world.disk().content(machine.directory + '/' + name)) write_file(partition / name, *bytes);
  }
  for (const Mail& mail : mails) write_file(content / hex(mail.id), as_bytes(mail.body));
  write_file(content / hex(make_id<MessageId>(6)), as_bytes(make_mail(6, 100).body));
  const std::string keys = hex(machine.store) + ' ' + hex(machine.metadata_key) + ' ' + hex(make_id<KeyId>(1)) + ' ' +
                           hex(machine.scope_key.view()) + '\n';
  write_file(folder / "keys", as_bytes(keys));
  machine.boot();
  return 0;
}

}  // namespace
}  // namespace ringpost::spool

int main(int count, char** arguments) { return count == 2 ? ringpost::spool::write_sample(arguments[1]) : 2; }
