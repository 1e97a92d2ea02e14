#!/usr/bin/python3
"""No 250 before the message's sync, as the kernel saw it.

The log syncs through its ring, which is no system call that strace sees; the filesystem's own trace points see it. perf and the
client use one clock. The check is a function of two lists, so that it is itself tested: with traces of servers that cheat.
"""
import collections
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from server import BUILD, PATIENCE_S, Client, Server, wait_until

pytestmark = pytest.mark.alone

Sync = collections.namedtuple("Sync", "inode begin end")          # seconds of CLOCK_MONOTONIC
Message = collections.namedtuple("Message", "last_byte replied")  # the client's last send began; its 250 was there

EVENTS = "ext4:ext4_sync_file_enter,ext4:ext4_sync_file_exit"
LINE = re.compile(r"\s(?P<thread>\d+) +\[\d+\] +(?P<seconds>\d+\.\d+): +ext4:ext4_sync_file_(?P<what>enter|exit): "
                  r"dev (?P<device>\d+,\d+) ino (?P<inode>\d+)(?: .*ret (?P<result>-?\d+))?")


def read_trace(text):
    """Syncs that succeeded in `perf script`'s lines. A thread does one at a time; those cut off at either end are left out."""
    running, syncs = {}, []
    for line in text.splitlines():
        found = LINE.search(line)
        if not found:
            continue
        place = (found["device"], int(found["inode"]))
        if found["what"] == "enter":
            running[found["thread"]] = (place, float(found["seconds"]))
        elif running.get(found["thread"], (None,))[0] == place:
            begin = running.pop(found["thread"])[1]
            if found["result"] == "0":
                syncs.append(Sync(place[1], begin, float(found["seconds"])))
    return syncs


def not_synced(messages, syncs, inodes):
    """Messages without a sync of one of `inodes` that lies between their last byte and their reply."""
    return [message for message in messages
            if not any(sync.inode in inodes and message.last_byte <= sync.begin and sync.end <= message.replied for sync in syncs)]


# ---- the check itself

TRACE = """\
 iou-wrk-77   78 [000]  100.000100000: ext4:ext4_sync_file_enter: dev 254,0 ino 11 parent 5 datasync 1 
 iou-wrk-77   79 [001]  100.000200000: ext4:ext4_sync_file_enter: dev 254,0 ino 12 parent 5 datasync 1 
 iou-wrk-77   78 [000]  100.000900000:  ext4:ext4_sync_file_exit: dev 254,0 ino 11 ret 0
 iou-wrk-77   79 [001]  100.001000000:  ext4:ext4_sync_file_exit: dev 254,0 ino 12 ret -5
"""


def test_a_trace_is_read():
    assert read_trace(TRACE) == [Sync(11, 100.0001, 100.0009)]


@pytest.mark.parametrize("last_byte, replied, inodes, cheats", [
    (100.0, 100.001, {11}, False),
    (100.0, 100.001, {11, 12}, False),
    (100.0, 100.0005, {11}, True),     # answered while the sync ran
    (100.0, 100.00005, {11}, True),    # answered before it began
    (100.0002, 100.001, {11}, True),   # the sync had begun before the last byte was there
    (100.0, 100.002, {12}, True),      # the sync failed
    (100.0, 100.001, {13}, True),      # some other file's sync
])
def test_an_answer_before_its_sync_is_found(last_byte, replied, inodes, cheats):
    message = Message(last_byte, replied)
    assert not_synced([message], read_trace(TRACE), inodes) == ([message] if cheats else [])


# ---- the server under the check

class Perf:
    """Records all syncs of the machine while it is open; `syncs` afterwards."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "perf.data"

    def __enter__(self):
        control = self.folder / "perf-control"
        answers = self.folder / "perf-answers"
        for pipe in (control, answers):
            os.mkfifo(pipe)
        self.log = (self.folder / "perf.log").open("wb")
        self.process = subprocess.Popen(
            ["perf", "record", "-o", self.data, "-k", "CLOCK_MONOTONIC", "-m", "4M", "-a", "-e", EVENTS, "-D", "-1",
             f"--control=fifo:{control},{answers}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        # Open for both directions: opening waits for nobody, should perf not live that long.
        self.pipes = [open(os.open(pipe, os.O_RDWR), "r+b", buffering=0) for pipe in (control, answers)]
        try:
            self.tell("enable")
        except BaseException:
            self.end()
            raise
        return self

    def tell(self, word):
        """One word to perf, which acknowledges it when it has obeyed."""
        self.pipes[0].write(word.encode() + b"\n")
        assert select.select([self.pipes[1]], [], [], PATIENCE_S)[0], (self.folder / "perf.log").read_text()
        assert self.pipes[1].read(16).strip(b"\0\n") == b"ack"

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        for opened in (*self.pipes, self.log):
            opened.close()

    def __exit__(self, *_):
        try:
            self.tell("disable")
        finally:
            self.end()
        run = subprocess.run(["perf", "script", "-i", self.data, "--ns", "-F", "comm,tid,cpu,time,event,trace"],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert "LOST" not in run.stdout
        self.syncs = read_trace(run.stdout)


def why_not():
    """Why perf cannot be used here, or an empty string."""
    if os.geteuid() != 0:
        return "perf needs root for the filesystem's trace points"
    if not shutil.which("perf"):
        return "perf (Debian's linux-perf) is not installed"
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", "/var/tmp"], capture_output=True, text=True).stdout.strip()
    if filesystem != "ext2/ext3":
        return f"/var/tmp is on {filesystem}, not on ext4"
    probe = subprocess.run(["perf", "record", "-o", "/dev/null", "-k", "CLOCK_MONOTONIC", "-a", "-e", EVENTS, "true"],
                           capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"perf does not work here: {probe.stderr.strip()[-200:]}"


@pytest.fixture(scope="module")
def perf_works():
    if why := why_not():
        pytest.skip(why)


@pytest.fixture
def server(home, perf_works):
    with Server(home) as server:
        yield server
        server.stop()


def segment_inodes(server):
    """Inode of each file of the log. New ones may have been made since; old ones keep their numbers."""
    return {path.stat().st_ino for path in server.spool.rglob("*") if path.is_file() and path.suffix != ".mdb"}


def timed_data(client, content):
    """Sends a message whose envelope was taken, its last byte by itself."""
    assert client.ask("DATA").startswith("354")
    client.write(content + b".\r")
    last_byte = time.monotonic()
    client.write(b"\n")
    reply = client.reply()
    replied = time.monotonic()
    assert reply.startswith("250"), reply
    return Message(last_byte, replied)


def timed_bdat(client, content):
    client.write(b"BDAT %d LAST\r\n" % len(content) + content[:-1])
    last_byte = time.monotonic()
    client.write(content[-1:])
    reply = client.reply()
    replied = time.monotonic()
    assert reply.startswith("250"), reply
    return Message(last_byte, replied)


@pytest.mark.parametrize("how", [timed_data, timed_bdat])
@pytest.mark.parametrize("size", [100, 4_000, 300_000, 6_000_000])
def test_every_250_comes_after_its_sync(server, home, how, size):
    content = b"Subject: s\r\n\r\n" + b"x" * 78 + b"\r\n"
    content += (b"y" * 78 + b"\r\n") * (size // 80)
    with Perf(home) as perf, Client(server.port) as client:
        messages = []
        for _ in range(12 if size < 1_000_000 else 4):
            client.envelope("anna@example.org", ["bert@example.net"])
            messages.append(how(client, content))
        inodes = segment_inodes(server)
    assert not_synced(messages, perf.syncs, inodes) == []


@pytest.fixture
def hasty_server(home, perf_works):
    """The real server but for one thing, which is the bug that is looked for: it does not wait for the sync (hasty.cc)."""
    programs = home / "programs"
    programs.mkdir(mode=0o755)
    shutil.copy(BUILD / "tests" / "integration" / "ringpostd-hasty", programs / "ringpostd")
    for name in ("ringpost-keyd", "ringpost-auditd", "ringpost-helperd"):
        shutil.copy(BUILD / name, programs / name)
    with Server(home, program=programs / "ringpostd") as server:
        yield server
        server.stop()


@pytest.mark.parametrize("how", [timed_data, timed_bdat])
def test_a_server_that_answers_before_its_sync_is_found(hasty_server, home, how):
    with Perf(home) as perf, Client(hasty_server.port) as client:
        messages, content = [], b"Subject: s\r\n\r\n" + (b"y" * 78 + b"\r\n") * 3_000
        for _ in range(24):
            client.envelope("anna@example.org", ["bert@example.net"])
            messages.append(how(client, content))
        # The mail is written and synced all the same, later.
        wait_until("the mail in the queue", lambda: len(hasty_server.queue()) == len(messages))
        inodes = segment_inodes(hasty_server)
    assert any(sync.inode in inodes for sync in perf.syncs)
    # Not all: a disk may be faster than a client that is put aside for a moment.
    early = not_synced(messages, perf.syncs, inodes)
    print(f"{len(early)} of {len(messages)} answered before their sync")
    assert len(early) >= 3


def test_clients_share_their_syncs(server, home):
    clients, rounds, content = 50, 20, b"Subject: s\r\n\r\n" + b"x" * 1000 + b"\r\n"
    messages, barrier, failures = [], threading.Barrier(clients), []

    def send():
        try:
            with Client(server.port) as client:
                barrier.wait(PATIENCE_S)
                for _ in range(rounds):
                    client.envelope("anna@example.org", ["bert@example.net"])
                    messages.append(timed_data(client, content))
        except Exception as failure:  # for the test's own thread to tell
            failures.append(failure)
    with Perf(home) as perf:
        threads = [threading.Thread(target=send) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        inodes = segment_inodes(server)
    assert not failures, failures
    assert len(messages) == clients * rounds
    assert not_synced(messages, perf.syncs, inodes) == []
    begin, end = min(message.last_byte for message in messages), max(message.replied for message in messages)
    syncs = [sync for sync in perf.syncs if sync.inode in inodes and begin <= sync.begin <= end]
    assert len(syncs) < 0.5 * len(messages), f"{len(syncs)} syncs for {len(messages)} messages"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
