"""SIGKILL at each point of a message's way (attack H1): not when a timer says so, but when the client has seen the server get there."""
import contextlib
import os
import pathlib
import re
import socket
import time

import pytest

from audit_log import AuditLog
from server import Peer, Server
from test_kill_loop import home  # noqa: F401 (a fixture)

BUILD = os.environ.get("RINGPOST_BUILD") or pathlib.Path(__file__).parents[2] / "build"
HALF = b"x" * 70 + b"\r\n"
PATIENCE_S = 120

# (its name, what is sent, what must be read before the next step): the kill comes behind the last step that was taken.
WAYS = {
    "data": [("banner", b"", b"220 "), ("ehlo", b"EHLO client.example.org\r\n", b"250 "), ("mail", b"MAIL FROM:<a@example.org>\r\n", b"250 "),
             ("rcpt", b"RCPT TO:<b@example.net>\r\n", b"250 "), ("data", b"DATA\r\n", b"354 "), ("half", HALF * 2_000, None),
             ("all_but_the_dot", HALF * 2_000, None), ("last_byte", b".\r\n", None), ("acknowledged", b"", b"250 ")],
    "bdat": [("banner", b"", b"220 "), ("envelope", b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n", b"250 2.1.5"),
             ("chunk", b"BDAT 72\r\n" + HALF, b"250 "), ("half_a_chunk", b"BDAT 144000 LAST\r\n" + HALF * 1_000, None),
             ("last_byte", HALF * 1_000, None), ("acknowledged", b"", b"250 ")],
}
POINTS = [(way, number) for way, steps in WAYS.items() for number in range(len(steps))]


class Walk:
    """One message on its way, step by step."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.seen = b""

    def step(self, sent, awaited):
        """False when the server says "later" instead of what is awaited."""
        self.socket.sendall(sent)
        while awaited and awaited not in self.seen:
            if re.search(rb"^4[0-9][0-9] .*\n", self.seen, re.M):
                return False
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended before {awaited}: {self.seen}"
            self.seen += piece
        if awaited:
            self.seen = self.seen[self.seen.index(awaited) + len(awaited):]
        return True

    def was_acknowledged(self):
        """After the kill: did a 250 arrive that nobody had read yet?"""
        with contextlib.suppress(OSError):
            while piece := self.socket.recv(65536):
                self.seen += piece
        return b"250 2.0.0" in self.seen


def walk_to(server, steps):
    """As far as `steps` go; from the beginning again while a helper that was killed before is not back, and the server says "later"."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        walk = Walk(server.port)
        if all(walk.step(sent, awaited) for _, sent, awaited in steps):
            return walk
        walk.socket.close()
        assert time.monotonic() < deadline, walk.seen


@pytest.mark.parametrize("who", ["ringpostd", "all", "ringpost-keyd", "ringpost-auditd"])
def test_H1_a_kill_at_each_point_of_a_messages_way(home, who):  # noqa: F811
    server, received, acknowledged = Server(pathlib.Path(BUILD), home), home / "received", 0
    sink = Peer(BUILD, home, "sink", "sink", "--listen", f"127.0.0.1:{server.sink_port}", "--store", str(received), "--quiet")
    try:
        server.start()
        server.wait_ready()
        for way, last in POINTS:
            walk = walk_to(server, WAYS[way][:last + 1])
            ends_here = last == len(WAYS[way]) - 1
            if who in ("ringpostd", "all"):
                (server.kill_alone if who == "ringpostd" else server.kill_all)()
                acknowledged += ends_here or (WAYS[way][last][0] == "last_byte" and walk.was_acknowledged())
                server.start()
                server.wait_ready()
            else:
                server.kill_helper(who)
                # The server itself lives, and so does the session: it goes on to its end, or is told to come again.
                goes_on = all(walk.step(sent, awaited) for _, sent, awaited in WAYS[way][last + 1:-1])
                if not goes_on:
                    pass  # without keys nothing is taken; a busy machine starts a helper late
                elif not ends_here:
                    reply = b""
                    while b"\r\n" not in reply:
                        piece = walk.socket.recv(65536)
                        assert piece, "the session ended with its helper"
                        reply += piece
                    assert reply[:3] in (b"250", b"451", b"421"), reply
                    acknowledged += reply.startswith(b"250")
                else:
                    acknowledged += 1
            walk.socket.close()
        server.drain()
        server.stop()
    finally:
        server.clear_away()
        sink.stop()
    arrived = len(list(received.glob("*.eml")))
    audit = AuditLog(home / "audit")
    assert audit.problems == []
    # What was killed between its sync and its 250 may be there although nobody was told.
    assert acknowledged <= len(audit.accepted) <= acknowledged + 2, (acknowledged, len(audit.accepted))
    assert {message for message, _ in audit.delivered} == set(audit.accepted)
    assert arrived >= len(audit.accepted)
    for path in received.glob("*.eml"):
        assert path.read_bytes().count(HALF) in (4_000, 2_001)
