#include "queue.hh"

#include <algorithm>
#include <map>

#include "print.hh"

namespace ringpost::ctl {

using nlohmann::json;

namespace {

/// Blanks, %, and what is not printable, as the server's filters want it.
std::string encoded(std::string_view value) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : value) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet > 0x20 && octet < 0x7f && c != '%') out += c;
    else out.append({'%', kDigits[octet >> 4], kDigits[octet & 15]});
  }
  return out;
}

/// "90m", "2h", "1d" or a number of seconds.
std::string seconds(const std::string& age, const char* option) {
  std::size_t end = 0;
  unsigned long long number = 0;
  try {
    number = std::stoull(age, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  const std::string unit = age.substr(end);
  const std::map<std::string, unsigned long long> kUnits = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}};
  if (end == 0 || !kUnits.contains(unit)) throw Failure{kNotAsked, std::string{option} + " is an age such as 90m, 2h or 1d, not " + age};
  return std::to_string(number * kUnits.at(unit));
}

/// One message on one line: id, size, arrival, state of its recipients.
void print_message(std::string_view line) {
  const json message = parse(line);
  std::string recipients;
  for (const json& recipient : message["recipients"]) {
    if (!recipients.empty()) recipients += ", ";
    recipients += recipient["address"].is_string() ? recipient["address"].get<std::string>() : "(sealed)";
    recipients += " " + recipient["state"].get<std::string>();
    if (recipient["reason"].is_string()) recipients += " (" + recipient["reason"].get<std::string>() + ")";
  }
  std::printf("%s  %9llu  %s  %s\n", message["id"].get<std::string>().c_str(), message["size"].get<unsigned long long>(),
              message["arrived"].get<std::string>().c_str(), recipients.c_str());
}

/// Adds what one shard counted to what is known of all.
void add_up(json& sum, const json& one) {
  for (const char* name : {"messages", "recipients", "bytes", "messages_to_several_domains"})
    if (one.contains(name)) sum[name] = sum.value(name, 0ull) + one[name].get<unsigned long long>();
  if (one["oldest"].is_string() && (!sum.contains("oldest") || sum["oldest"].is_null() || one["oldest"] < sum["oldest"])) sum["oldest"] = one["oldest"];
  for (const char* name : {"states", "reasons"}) {
    if (!one.contains(name)) continue;
    for (const auto& [what, number] : one[name].items()) sum[name][what] = sum[name].value(what, 0ull) + number.get<unsigned long long>();
  }
}

std::string plural(std::size_t count, const char* what) { return grouped(count) + " " + what + (count == 1 ? "" : "s"); }

}  // namespace

QueueCommands::QueueCommands(CLI::App& app) : queue_(app.add_subcommand("queue", "The messages the server answers for")) {
  queue_->require_subcommand(1);
  summary_ = queue_->add_subcommand("summary", "How many messages wait, by state, by reason and by domain");
  list_ = queue_->add_subcommand("list", "One line for every message: id, bytes, arrival (UTC), recipients with state and reason. The bytes are what is "
                                         "kept and relayed: what the client sent and our Received field");
  show_ = queue_->add_subcommand("show", "Everything about one message");
  show_->add_option("id", id_, "Its id, 32 hexadecimal digits")->required();
  for (CLI::App* command : {summary_, list_}) add_filters(*command);
  for (CLI::App* command : {summary_, list_, show_}) command->add_flag("--json", json_, "JSON, one object a line");
  add_order("hold", "held", "No attempt until it is released");
  add_order("release", "released", "Try again what was held by an operator, or set aside as damaged or dangerous");
  add_order("retry", "retried", "Try now instead of at the next time");
  add_order("bounce", "bounced", "Give up the recipients that are meant, and tell the sender");
  add_order("delete", "deleted", "Give up the recipients that are meant, and tell nobody");
  add_order("redirect", "redirected", "Send to another address instead of the recipients that are meant");
}

void QueueCommands::add_filters(CLI::App& command) {
  command.add_option("--sender", sender_, "Of this sender: anna@example.org, or @example.org");
  command.add_flag("--null-sender", null_sender_, "Of the null sender: reports and automatic replies");
  command.add_option("--recipient", recipient_, "To this recipient: bert@example.net, or @example.net");
  command.add_option("--domain", domain_, "To recipients in this domain; *.example.net: in those below it");
  command.add_option("--destination", destination_, "That was tried at, or goes to, this host: its name, IP or IP:PORT");
  command.add_option("--reason", reason_, "That waits for this reason, as list and summary name it");
  command.add_option("--state", state_, "queued, deferred, held, delivering or failed");
  command.add_option("--older", older_, "That has waited for at least so long: 90m, 2h, 1d");
  command.add_option("--younger", younger_, "That has waited for less than that");
}

void QueueCommands::add_order(const char* name, const char* done, const char* help) {
  CLI::App* command = queue_->add_subcommand(name, help);
  if (std::string_view{name} == "redirect") command->add_option("address", address_, "Where to")->required();
  command->add_option("ids", ids_, "Ids of messages");
  add_filters(*command);
  command->add_flag("--all", all_, "Everything that waits");
  command->add_flag("--json", json_, "One JSON object a line for each message: id, result");
  orders_.push_back({command, name, done});
}

std::string QueueCommands::filter_words() const {
  std::string words;
  const auto add = [&words](const char* name, const std::string& value) {
    if (!value.empty()) words += std::string{" "} + name + "=" + encoded(value);
  };
  if (null_sender_ && !sender_.empty()) throw Failure{kNotAsked, "--sender and --null-sender exclude each other"};
  if (null_sender_) words += " sender=";
  add("sender", sender_);
  add("recipient", recipient_);
  add("domain", domain_);
  add("destination", destination_);
  add("reason", reason_);
  add("state", state_);
  if (!older_.empty()) add("older", seconds(older_, "--older"));
  if (!younger_.empty()) add("younger", seconds(younger_, "--younger"));
  return words;
}

int QueueCommands::run(const Server& server) const {
  if (*list_) list(server);
  if (*show_) show(server);
  if (*summary_) summary(server);
  for (const Order& order : orders_)
    if (*order.command) return carry_out(server, order);
  return 0;
}

void QueueCommands::list(const Server& server) const {
  server.ask_all("queue-list" + filter_words(), json_ ? TakeLine{print_line} : TakeLine{print_message});
}

void QueueCommands::show(const Server& server) const {
  std::size_t found = 0;
  server.ask_all("queue-list id=" + encoded(id_), [&](std::string_view line) {
    ++found;
    if (json_) print_line(line);
    else print_object(parse(line));
  });
  if (found == 0) throw Failure{kRefused, "no message has that id"};
}

void QueueCommands::summary(const Server& server) const {
  json sum = {{"messages", 0}, {"recipients", 0}, {"bytes", 0}, {"oldest", nullptr}, {"states", json::object()}, {"reasons", json::object()}};
  std::map<std::string, json> domains;
  server.ask_all("queue-summary" + filter_words(), [&](std::string_view line) {
    const json one = parse(line);
    add_up(sum, one);
    for (const json& domain : one["domains"]) {
      const std::string name = domain["domain"].is_string() ? domain["domain"].get<std::string>() : "(sealed)";
      add_up(domains.try_emplace(name, json::object()).first->second, domain);
    }
  });
  std::vector<json> largest;
  for (auto& [name, domain] : domains) {
    domain["domain"] = name;
    largest.push_back(domain);
  }
  std::ranges::sort(largest, [](const json& a, const json& b) { return std::pair{b["messages"], a["domain"]} < std::pair{a["messages"], b["domain"]}; });
  sum["domains"] = largest;
  if (json_) return print_line(sum.dump());
  std::printf("%s for %s, %s; the oldest arrived %s\n", plural(sum["messages"], "message").c_str(), plural(sum["recipients"], "recipient").c_str(),
              bytes_text(sum["bytes"]).c_str(), sum["oldest"].is_string() ? sum["oldest"].get<std::string>().c_str() : "-");
  for (const char* name : {"states", "reasons"}) {
    if (sum[name].empty()) continue;
    std::printf("\n%s\n", name);
    for (const auto& [what, number] : sum[name].items()) std::printf("  %12s  %s\n", grouped(number).c_str(), what.c_str());
  }
  if (!largest.empty()) std::printf("\n      messages  recipients       bytes  oldest                domain\n");
  for (const json& domain : largest)
    std::printf("  %12s%12s%12s  %s  %s\n", grouped(domain["messages"]).c_str(), grouped(domain["recipients"]).c_str(),
                bytes_text(domain["bytes"]).c_str(), domain["oldest"].get<std::string>().c_str(), domain["domain"].get<std::string>().c_str());
}

int QueueCommands::carry_out(const Server& server, const Order& order) const {
  const std::string words = filter_words();
  if (ids_.empty() && words.empty() && !all_)
    throw Failure{kNotAsked, "queue " + order.name + " needs ids, filters, or --all (ringpostctl queue " + order.name + " --help)"};
  std::map<std::string, std::size_t> results;
  const auto ask = [&](const std::string& filter) {
    const std::string target = order.name == "redirect" ? " to=" + encoded(address_) : "";
    server.ask_all("queue-" + order.name + target + filter, [&](std::string_view line) {
      ++results[parse(line)["result"].get<std::string>()];
      if (json_) print_line(line);
    });
  };
  for (const std::string& id : ids_) ask(" id=" + encoded(id) + words);
  if (ids_.empty()) ask(words);
  const std::size_t done = results["done"];
  if (!json_) std::printf("%s %s\n", plural(done, "message").c_str(), order.done.c_str());
  const std::pair<const char*, const char*> kLeft[] = {{"in_delivery", "in delivery right now, and left as they are: ask again"},
                                                       {"not_now", "not possible now: their keys cannot be had, or there is no space"},
                                                       {"unreadable", "damaged: they can only be held, released or deleted"}};
  std::size_t left = 0;
  for (const auto& [result, why] : kLeft) {
    if (results[result] == 0) continue;
    left += results[result];
    std::fprintf(stderr, "ringpostctl: %s %s\n", plural(results[result], "message").c_str(), why);
  }
  if (done == 0 && left == 0) std::fprintf(stderr, "ringpostctl: nothing there that could be %s\n", order.done.c_str());
  return done > 0 && left == 0 ? 0 : kRefused;
}

}  // namespace ringpost::ctl
