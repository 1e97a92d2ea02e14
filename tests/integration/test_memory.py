#!/usr/bin/python3
"""Memory that runs out: a limit on the process, one allocation after the other that fails, a helper that the kernel kills for it.

The promise is the same in each case: that session is told 4xx or loses its connection, the rest lives (or comes back when it is
started again, as systemd does), and what got 250 is there.
"""
import contextlib
import mmap
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess

import pytest

from server import BUILD, BenchSink, Client, Server, is_sanitized, wait_until, without_received

pytestmark = pytest.mark.skipif(is_sanitized(), reason="a sanitizer's allocator neither fails nor fits into a limit")
PRELOADED = BUILD / "tests" / "integration" / "libfailing-allocations.so"


def content(number):
    """One message in three fits the small buffer, one is a piece, one is several."""
    return b"Subject: %d\r\n\r\n" % number + b"x" * 70 + b"\r\n" + b"y" * 70 * (1 + number % 3 * 1_500) + b"\r\n"


class Sender:
    """Sends numbered messages, and remembers which of them the server took."""

    def __init__(self):
        self.sent, self.taken = 0, {}

    def __call__(self, server):
        """The first reply that was not good; the 250 of the message; or nothing, when the connection ended."""
        number, self.sent = self.sent, self.sent + 1
        with contextlib.suppress(OSError), Client(server.port, hello=False) as client:
            if not client.greeting.startswith("220"):
                return client.greeting
            for line, good in (("EHLO client.example.org", "250"), ("MAIL FROM:<anna@example.org>", "250"),
                               (f"RCPT TO:<bert{number}@example.net>", "250"), ("DATA", "354")):
                if not (reply := client.ask(line)).startswith(good):
                    return reply
            client.write(content(number) + b".\r\n")
            if (reply := client.reply()).startswith("250"):
                self.taken[number] = re.search("queued as ([0-9a-f]+)", reply)[1]
            return reply
        return ""

    def check(self, server):
        """All that was taken is there, and arrives as it was sent."""
        assert set(self.taken.values()) <= {message["id"] for message in server.queue()}
        with BenchSink() as sink:
            server.settings["route.default"] = sink.route
            server.write_config()
            server.ctl("reload")
            server.wait_delivered()
            arrived = {int(recipients[0].removeprefix("bert").partition("@")[0]): without_received(text)
                       for _, recipients, text in sink.messages()}
        assert set(self.taken) <= set(arrived)
        assert all(text == content(number) for number, text in arrived.items())


class Allocations:
    """The page that failing_allocations.cc looks at."""

    def __init__(self, home):
        self.path = home / "allocations"
        self.path.write_bytes(bytes(4096))
        with self.path.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        self.environment = {"LD_PRELOAD": str(PRELOADED), "RINGPOST_FAILING_ALLOCATIONS": str(self.path)}

    def get(self, place):
        return struct.unpack_from("=Q", self.page, 8 * place)[0]

    def set(self, place, value):
        struct.pack_into("=Q", self.page, 8 * place, value)

    def asked(self):
        return self.get(0)

    def failed(self):
        return self.get(3)

    def fail(self, nth, length):
        """Counted from now on. The place is written last: it is what begins it."""
        self.set(1, 0)
        self.set(2, length)
        self.set(1, self.asked() + nth)

    def heal(self):
        self.set(1, 0)


@pytest.mark.skipif(not PRELOADED.exists(), reason="this build has no failing-allocations")
@pytest.mark.parametrize("length", [1, 1 << 40], ids=["one", "all_from_there_on"])
def test_H12_the_nth_allocation_fails(home, length):
    allocations, sender = Allocations(home), Sender()
    server = Server(home, settings={"memory.allow_swap": "yes"}, environment=allocations.environment)
    outcomes, deaths, points = {"250": 0, "4": 0, "": 0}, 0, 0
    try:
        server.start()
        for _ in range(6):
            assert sender(server).startswith("250"), server.said()
        before = allocations.asked()
        for _ in range(6):
            assert sender(server).startswith("250")
        span = (allocations.asked() - before) // 6
        assert span > 0
        for nth in range(1, 3 * span + 1):
            failed = allocations.failed()
            allocations.fail(nth, length)
            reply = sender(server)
            allocations.heal()
            points += allocations.failed() > failed
            assert reply[:3] in ("250", "421", "451", "452", ""), reply
            outcomes[reply[:1] if reply[:1] == "4" else reply[:3]] += 1
            if not server.banner():
                wait_until("its end or its banner", lambda: server.process.poll() is not None or server.banner())
            if server.process.poll() is not None:
                deaths += 1
                server.start()
            wait_until("a message that is taken", lambda: sender(server).startswith("250"), meanwhile=server.must_run)
        print(f"\n{span} allocations for a message; {points} times one failed: {outcomes}, {deaths} restarts")
        assert points >= span // 2
        if length == 1:
            assert deaths < points / 4, "one allocation that fails is what the reserve is for"
        sender.check(server)
        server.stop()
    finally:
        server.end()


# Steady state, per message of one recipient: taken in, sealed, recorded, relayed, forgotten. Frames, buffers and parsers are
# recycled; what is left are the small objects of the queue and the audit trail. The bound is there to see it when more are added.
ALLOCATIONS_MAX = 32


@pytest.mark.skipif(not PRELOADED.exists(), reason="this build has no failing-allocations")
def test_a_message_costs_few_allocations_in_the_steady_state(home):
    allocations = Allocations(home)
    with BenchSink() as sink, Server(home, route=sink.route, settings={"shards": "1", "memory.allow_swap": "yes"},
                                     environment=allocations.environment) as server:
        def allocations_for(count):
            before = allocations.asked()
            with Client(server.port) as client:
                for _ in range(count):
                    client.send("anna@example.org", ["bert@example.net"], b"Subject: s\r\n\r\nx\r\n")
                arrived.append(count)
                wait_until("all mail", lambda: sink.count() == sum(arrived), meanwhile=server.must_run)
            return allocations.asked() - before

        arrived = []
        allocations_for(300)  # warm
        for_few, for_many = allocations_for(100), allocations_for(500)
        each = (for_many - for_few) / 400  # what a connection costs is in both
        print(f"\n{each:.1f} allocations for a message")
        assert 0 < each < ALLOCATIONS_MAX
        server.stop()


def limit_address_space(pid, most):
    """As the server's own user: root needs a capability for it that containers take away."""
    command = ["prlimit", f"--pid={pid}", f"--as={most}:"]
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    user, group = (int(status[key].split()[0]) for key in ("Uid", "Gid"))
    if user != os.getuid():
        command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *command]
    subprocess.run(command, check=True)


def test_H12_under_a_memory_limit_new_mail_is_refused_and_the_rest_lives(home):
    """RLIMIT_AS, which an ordinary user can set, too. The hogs hold messages of which one byte is still to come."""
    settings = {"limits.connections_per_client": "10000", "limits.connections_per_prefix": "10000",
                "memory.staging_bytes": "512 MiB", "memory.allow_swap": "yes"}
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 6_000:
        pytest.skip("fewer than 6,000 open files are allowed here")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    sender, hogs = Sender(), []
    try:
        with Server(home, settings=settings) as server:
            assert sender(server).startswith("250")
            pid = server.process.pid
            with open(f"/proc/{pid}/statm") as file:
                size = int(file.read().split()[0]) * mmap.PAGESIZE
            limit_address_space(pid, size)
            part = b"x" * 998 + b"\r\n"
            refusals = set()
            while len(hogs) < 5_000 and len(refusals) == 0:
                hogs.append(Client(server.port, hello=False))
                reply = hogs[-1].greeting
                for line in ("EHLO hog.example.org", "MAIL FROM:<hog@example.org>", "RCPT TO:<bert@example.net>", "DATA"):
                    if reply[:1] in ("2", "3"):
                        reply = hogs[-1].ask(line)
                if reply.startswith("354"):
                    hogs[-1].write(part * 60)
                else:
                    refusals.add(reply[:3])
                server.must_run()
            print(f"\n{len(hogs)} sessions within {size >> 20} MiB; then {refusals}")
            assert refusals and refusals <= {"421", "451", "452"}, (refusals, len(hogs))
            # Who was inside when it happened goes on, or is told to come again.
            ends = []
            for hog in hogs[:50]:
                hog.write(b"\r\n.\r\n")
                ends.append(hog.reply()[:3])
            print(f"50 of those inside: { {end: ends.count(end) for end in ends} }")
            assert set(ends) <= {"250", "451", "452", "421", ""}
            for hog in hogs:
                hog.close()
            wait_until("a message that is taken", lambda: sender(server).startswith("250"), meanwhile=server.must_run)
            assert server.process.pid == pid
            limit_address_space(pid, "unlimited")
            assert len(server.queue()) == len(sender.taken) + ends.count("250")
            server.stop()
    finally:
        for hog in hogs:
            hog.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("name", ["ringpost-keyd", "ringpost-auditd"])
def test_H12_a_helper_killed_for_memory_comes_back_and_mail_goes_on(home, name):
    """The kernel's OOM killer sends SIGKILL, to one process."""
    with BenchSink() as sink, Server(home, route=sink.route, settings={"memory.allow_swap": "yes"}) as server:
        sender, lives = Sender(), {server.helper(name)}
        for _ in range(3):
            os.kill(server.helper(name), signal.SIGKILL)
            for _ in range(5):
                wait_until("a message that is taken", lambda: sender(server).startswith("250"), meanwhile=server.must_run)
            wait_until(f"another {name}", lambda: server.helper(name) not in lives, meanwhile=server.must_run)
            lives.add(server.helper(name))
        wait_until("all mail", lambda: sink.count() >= len(sender.taken), meanwhile=server.must_run)
        server.wait_delivered()
        wait_until("all of it in the audit log", lambda: set(sender.taken.values()) <= {
            line["message"] for line in server.audit_lines() if line["event"] == "message_accepted"})
        assert len(lives) == 4
        server.stop()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-s"]))
