#!/usr/bin/python3
"""Ten thousand clients that send one byte every ten seconds, beside one that sends mail (slowloris)."""
import contextlib
import json
import pathlib
import resource
import select
import subprocess
import sys
import time

import pytest

from server import PATIENCE_S, POLL_S, BenchSink, Client, Server, wait_until
from slow_clients import PLACES

pytestmark = pytest.mark.alone

CROWD = pathlib.Path(__file__).with_name("slow_clients.py")
LIMITS = {"limits.connections_max": "11000", "memory.allow_swap": "yes"}
CONTENT = b"Subject: in time\r\n\r\n" + b"x" * 2000 + b"\r\n"
DELAY_MAX_S = 1


class Crowd:
    """The slow clients, in a process of their own: their work must not look like the server's."""

    def __init__(self, port, seconds):
        self.process = subprocess.Popen([sys.executable, CROWD, str(port), str(seconds)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, words, meanwhile=lambda: None):
        """Runs `meanwhile` over and over until the crowd has done what it was asked."""
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while not select.select([self.process.stdout], [], [], POLL_S)[0]:
            assert time.monotonic() < deadline, f"{words} did not happen"
            meanwhile()
        line = self.process.stdout.readline()
        assert line, f"the crowd ended at: {words}"
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class GoodClient:
    """Sends a message over a connection of its own, and waits until the next hop has it."""

    def __init__(self, server, sink):
        self.server, self.sink, self.accepted_s, self.relayed_s = server, sink, [], []

    def __call__(self):
        before, began = self.sink.count(), time.monotonic()
        with Client(self.server.port) as client:
            client.send("anna@example.org", ["bert@example.net"], CONTENT)
        self.accepted_s.append(time.monotonic() - began)
        wait_until("its arrival", lambda: self.sink.count() > before, meanwhile=self.server.must_run)
        self.relayed_s.append(time.monotonic() - began)

    def worst_s(self):
        return max(self.relayed_s)


def resident_bytes(server):
    line = next(line for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_C16_ten_thousand_slow_clients_delay_nobody(home):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 11_000:
        pytest.skip("fewer than 11,000 open files are allowed here")
    places, each = ["data", "bdat", "command", "greeting"], 2_500
    with BenchSink() as sink, Server(home, route=sink.route, settings=LIMITS) as server:
        alone = GoodClient(server, sink)
        for _ in range(50):
            alone()
        beside = GoodClient(server, sink)
        with Crowd(server.port, seconds=10) as crowd:
            memory = {}
            for place in places:
                before = resident_bytes(server)
                crowd.ask(f"join {place} {each}", beside)
                memory[place] = (resident_bytes(server) - before) // each
            began = time.monotonic()
            assert crowd.ask("round", beside)["connected"] == len(places) * each
            print(f"\n{len(places) * each} slow clients, {time.monotonic() - began:.1f} s; bytes of memory for each: {memory}")
            # A message slower than smtp.bytes_per_s_min is given up by default, and its place is free again.
            for place in places[:2]:
                assert crowd.ask(f"ended {place} {each}", beside)["told"] == each
            wait_until("free places", lambda: server.connections_open() <= 2 * each + 1)
        print(f"{len(beside.relayed_s)} messages beside them: accepted within {max(beside.accepted_s):.3f} s, at the next hop within "
              f"{beside.worst_s():.3f} s; alone {max(alone.accepted_s):.3f} s and {alone.worst_s():.3f} s")
        assert beside.worst_s() - alone.worst_s() < DELAY_MAX_S
        wait_until("every slow client's end", lambda: server.connections_open() == 0, meanwhile=server.must_run)
        assert server.stop() < 10


def test_C16_a_slow_client_loses_its_place_however_steadily_it_drips(home):
    timeouts = {f"smtp.timeout.{phase}": "2 s" for phase in ("greeting", "command", "message")}
    with Server(home, settings={**LIMITS, **timeouts}) as server, Crowd(server.port, seconds=0.5) as crowd:
        count = 500
        for place in PLACES:
            crowd.ask(f"join {place} {count}")
        for place in PLACES:
            assert crowd.ask(f"ended {place} {count}")["told"] == count
        wait_until("free places", lambda: server.connections_open() == 0)
        server.stop()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-s"]))
