"""Ringpost as a test runs it: ringpostd with its helpers, a sink behind it and generators before it, on loopback."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from network import free_port  # noqa: E402

PATIENCE_S = 120
POLL_S = 0.02


class Broken(Exception):
    """A promise of the server's did not hold, or it did not come back."""


def wait_until(what, look, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Broken(f"{what}: not within {patience_s} s")
        time.sleep(POLL_S)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(512).startswith(b"220")
    except OSError:
        return False


def connections_of(port):
    """How many connections a local IPv4 listener has that it has not closed yet."""
    open_states = {"01", "04", "05", "08", "09", "0B"}  # all but those that wait for packets alone; include/net/tcp_states.h
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in open_states for row in rows)


def members(session):
    """The living processes of a session that this test opened: {pid: name}. Zombies are no longer alive."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        if int(rest[3]) == session and rest[0] not in "ZX":
            found[int(entry)] = name
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def configuration(home, listen, next_hop, connections=8):
    """What a test's server is told. `listen` and `next_hop`: IP:PORT."""
    return f"""listener.test.address = {listen}
relay.clients = 127.0.0.0/8, 10.0.0.0/8
route.default = smtp://{next_hop}
deliver.connections_max = {connections}
retry.first = 200 ms
retry.max = 1 s
spool.directory = {home}/spool
spool.segment_bytes = 4 MiB
spool.low_space_percent = 0
keys.directory = {home}/keys
keys.allow_same_filesystem = yes
audit.directory = {home}/audit
control.socket = {home}/control/ringpost.sock
memory.allow_swap = yes
shards.spread = even
"""


class Server:
    """ringpostd, of which there may be many lives. Each life is a session of its own, so that no stranger is ever killed."""

    def __init__(self, build, home, connections=8):
        self.build, self.home, self.life, self.sessions = pathlib.Path(build), pathlib.Path(home), None, []
        self.port, self.sink_port = free_port(), free_port()
        self.config = self.home / "ringpost.conf"
        self.config.write_text(configuration(home, f"127.0.0.1:{self.port}", f"127.0.0.1:{self.sink_port}", connections))
        self.log = (self.home / "ringpostd.log").open("ab")

    def start(self):
        self.life = subprocess.Popen([self.build / "ringpostd", "-c", self.config], stdin=subprocess.DEVNULL, stdout=self.log,
                                     stderr=subprocess.STDOUT, start_new_session=True)
        self.sessions.append(self.life.pid)

    def wait_ready(self):
        def ready():
            if self.life.poll() is not None:
                raise Broken(f"ringpostd ended by itself with {self.life.returncode}; see {self.home}/ringpostd.log")
            return answers(self.port)
        wait_until("ringpostd's 220", ready)

    def kill_alone(self):
        self.life.kill()
        self.life.wait()

    def kill_all(self):
        for pid in members(self.life.pid):
            kill(pid)
        self.life.kill()
        self.life.wait()

    def kill_helper(self, name):
        """Returns whether there was one: it may be just about to be started anew."""
        pids = [pid for pid, called in members(self.life.pid).items() if called == name]
        for pid in pids:
            kill(pid)
        return bool(pids)

    def wait_no_orphans(self):
        """Helpers of a life that was killed end by themselves."""
        def left():
            self.sessions = [one for one in self.sessions if one == self.life.pid or members(one)]
            return self.sessions == [self.life.pid]
        wait_until("the end of the helpers of killed servers", left)

    def control(self, *words):
        run = subprocess.run([self.build / "ringpostctl", "-c", self.config, *words], capture_output=True, text=True,
                             timeout=PATIENCE_S)
        if run.returncode != 0:
            raise Broken(f"ringpostctl {' '.join(words)}: {run.stdout}{run.stderr}")
        return run.stdout

    def queued(self):
        return [json.loads(line) for line in self.control("queue", "list", "--json").splitlines() if line]

    def audit_pending(self):
        lines = [line for line in self.control("metrics").splitlines() if line.startswith("ringpost_audit_pending")]
        if not lines:
            raise Broken("there is no metric ringpost_audit_pending")
        return sum(float(line.split()[-1]) for line in lines)

    def recovering(self):
        return json.loads(self.control("status", "--json"))["recovering"]

    def drain(self, patience_s=PATIENCE_S):
        # Before that it does not know all that it holds, nor all the events that auditd is to have.
        wait_until("the end of the recovery", lambda: not self.recovering(), patience_s)
        wait_until("an empty queue", lambda: not self.queued(), patience_s)
        wait_until("auditd to have every event", lambda: self.audit_pending() == 0, patience_s)

    def stop(self):
        self.life.terminate()
        code = self.life.wait(PATIENCE_S)
        if code != 0:
            raise Broken(f"ringpostd stopped with exit code {code}")
        wait_until("the end of the helpers", lambda: not members(self.life.pid))

    def clear_away(self):
        """Whatever happened, nothing of it stays."""
        for session in self.sessions:
            for pid in members(session):
                kill(pid)
        if self.life:
            self.life.wait()
        said = (self.home / "ringpostd.log").read_text(errors="replace")
        if at := re.search(r"ERROR: \w+Sanitizer|runtime error:", said):
            raise Broken(f"a sanitizer found something: {said[at.start():at.start() + 5_000]}")


class Peer:
    """A ringpost-bench that runs beside the server."""

    def __init__(self, build, home, name, *words):
        self.output = (pathlib.Path(home) / f"{name}.log").open("ab")
        self.process = subprocess.Popen([pathlib.Path(build) / "ringpost-bench", *words], stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)
