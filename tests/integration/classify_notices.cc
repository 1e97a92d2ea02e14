// Prints what classify_notice says of each file named on standard input, one JSON object a line.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ringpost/mime/notice.hh"

using namespace ringpost;

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    std::ifstream file(path, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>{file}, {}};
    const mime::NoticeFacts facts = mime::classify_notice(as_bytes(content));
    const nlohmann::json line{{"path", path},
                              {"notice", mime::name_of(facts.notice)},
                              {"machine_readable", facts.machine_readable},
                              {"status", {facts.status_class, facts.status_subject, facts.status_detail}},
                              {"recipient", facts.recipient}};
    std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  return 0;
}
