// ringpostctl top: what the server does, live.
#pragma once

#include "server.hh"

namespace ringpost::ctl {

/// Draws a frame every `interval_s` seconds until Ctrl-C; `frames`: so many only, 0: for ever. On no terminal, frames follow each other.
void run_top(const Server& server, double interval_s, unsigned frames);

}  // namespace ringpost::ctl
