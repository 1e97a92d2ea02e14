// Prints docs/configuration.md.
#include <cstdio>

#include "ringpost/config/configuration.hh"

int main() {
  std::fputs(ringpost::config::reference_page().c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
