// What only one server may use at a time, and who uses it now.
#pragma once

#include <expected>
#include <string>

namespace ringpost::programs {

/// Takes the lock on `file` (a file or a directory; flock(2)) for as long as it is open. Whoever is just ending, killed or asked
/// to, is waited for; whoever runs is not. Errors: what holds it ("process 4711"), or the system's reason. A filesystem without
/// such locks has none to take: that is no error.
std::expected<void, std::string> lock_for_us(int file);

/// From here on others take this process for one that ends soon.
void say_that_we_end();

}  // namespace ringpost::programs
