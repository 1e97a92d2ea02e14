#!/usr/bin/python3
"""The audit process is stopped, dead, or has no room for its log: new mail is told to come again, nothing grows without bound, and
when it is back mail flows by itself, each acknowledged message with its record."""
import collections
import contextlib
import os
import pathlib
import re
import signal
import threading
import time

import pytest
from server import MIB, BenchSink, Client, Server, process_name, small_ext4, wait_until

DISK_MIB = 8
CLIENTS = 4
CONTENT = b"Subject: audit\r\n\r\n" + (b"x" * 70 + b"\r\n") * 20
# What clients may wait for an answer, on a busy machine; an outage must not be felt as silence.
ANSWER_S = 15


@pytest.fixture
def audit_disk(home):
    """Where the audit log goes."""
    yield from small_ext4(home / "audit", DISK_MIB)


# ---- ways to be away, and to come back

@contextlib.contextmanager
def paused(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stopped(server):
    return paused(server.helper("ringpost-auditd"))


@contextlib.contextmanager
def dead(server):
    """Its nanny does not start it again: the nanny is stopped."""
    pid = server.helper("ringpost-auditd")
    nanny = int(re.search(r"^PPid:\s+(\d+)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
    assert process_name(nanny) == "ringpost-nanny"
    with paused(nanny):
        os.kill(pid, signal.SIGKILL)
        yield


@contextlib.contextmanager
def full(server):
    filler = server.audit / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
            file.flush()
    try:
        yield
    finally:
        filler.unlink()


# ---- clients and what they are told

class Clients:
    """Several at a time, each message on a connection of its own, until they are told to end."""

    def __init__(self, server):
        self.server, self.replies, self.slowest, self.ending = server, collections.Counter(), 0.0, False
        self.lock, self.trouble = threading.Lock(), []
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]

    def run(self):
        while not self.ending and not self.trouble:
            began = time.monotonic()
            try:
                with Client(self.server.port) as client:
                    reply = client.ask("MAIL FROM:<anna@example.org>")
                    if reply.startswith("250"):
                        assert client.ask("RCPT TO:<bert@example.net>").startswith("250")
                        reply = client.data(CONTENT)
            except (OSError, AssertionError) as error:
                self.trouble.append(error)
                return
            with self.lock:
                self.replies[reply[:3]] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def taken(self):
        return self.replies["250"]

    def must_go_on(self):
        self.server.must_run()
        assert not self.trouble, self.trouble

    def wait_for(self, code, more):
        """Until so many more were answered with `code`."""
        goal = self.replies[code] + more
        wait_until(f"{more} answers {code}", lambda: self.replies[code] >= goal, meanwhile=self.must_go_on)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join()


def at_rest(what, count, server, seconds=2):
    """The count once it has not changed for so long."""
    last, since = count(), time.monotonic()

    def look():
        nonlocal last, since
        if (now := count()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > seconds
    wait_until(f"the end of {what}", look, meanwhile=server.must_run)
    return last


def private_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+) kB$", status, re.M)[1]) * 1024


def check_log(server, taken):
    """Each acknowledged message was recorded once, was delivered and that recorded, and no event is missing."""
    def count(kind):
        return sum(line["event"] == kind for line in server.audit_lines())
    wait_until("all records", lambda: count("message_accepted") >= taken and count("recipient_delivered") >= taken, meanwhile=server.must_run)
    events = server.audit_lines()
    accepted = [line["message"] for line in events if line["event"] == "message_accepted"]
    assert len(accepted) == len(set(accepted)) == taken
    assert {line["message"] for line in events if line["event"] == "recipient_delivered"} == set(accepted)
    assert not [line for line in events if line["event"] == "audit_gap"]
    sequences = collections.defaultdict(list)
    for line in events:
        sequences[line["incarnation"]].append(line["sequence"])
    for numbers in sequences.values():
        assert numbers == list(range(1, len(numbers) + 1))


# ---- the tests

@pytest.mark.parametrize("away", [stopped, dead, full])
@pytest.mark.parametrize("policy", ["defer", "buffer"])
def test_H14_mail_waits_while_the_audit_log_is_away_and_flows_again_by_itself(home, away, policy, request):
    if away is full:
        request.getfixturevalue("audit_disk")
    settings = {"audit.when_unavailable": policy, "audit.buffer_bytes_max": "30 KiB", "retry.max": "1 s"}
    with BenchSink() as sink, Server(home, sink.route, settings) as server, Clients(server) as clients:
        clients.wait_for("250", 20)
        with away(server):
            clients.wait_for("451", 200)
            taken, memory = clients.taken(), private_bytes(server.process.pid)
            clients.wait_for("451", 2_000)
            assert clients.taken() == taken, "mail is taken although there is no room for its records"
            assert private_bytes(server.process.pid) < memory + 16 * MIB
            events = server.audit_pending()
            if policy == "buffer":
                assert events >= 100, "nothing was buffered"
            assert events < 1_000, "more is kept than there may be"
        clients.wait_for("250", 100)
        assert clients.slowest < ANSWER_S
        assert set(clients.replies) <= {"250", "451"}
        clients.__exit__()
        server.wait_delivered()
        check_log(server, clients.taken())


def test_H14_deliveries_wait_too_when_there_is_no_room_for_their_records(home):
    """What was taken before is much more than the buffer holds."""
    held = 2_000
    with BenchSink() as sink, Server(home) as server:
        with Client(server.port) as client:
            for _ in range(held):
                client.send("anna@example.org", ["bert@example.net"], CONTENT)
        wait_until("the records so far", lambda: server.audit_pending() == 0, meanwhile=server.must_run)
        server.ctl("set", "audit.buffer_bytes_max=30 KiB")
        with stopped(server):
            server.ctl("set", f"route.default={sink.route}")
            wait_until("a full buffer", lambda: server.audit_pending() >= 200, meanwhile=server.must_run)
            assert at_rest("deliveries", sink.count, server) < held
            assert server.audit_pending() < 1_500
        server.wait_delivered()
        check_log(server, held)
