#!/usr/bin/python3
"""bench/backlog.py [--build build] [--messages 1000000] [--cgroup-bytes 400000000]: what a backlog of held mail costs.

Fills the queue of a real server and prints one JSON object: private memory of all its processes, what the rate of acceptance is with
and without the backlog (medians of runs that take turns), and how long starts take until their first 250: after a stop in order, after
SIGKILL, and with the index deleted; then how fast the index is made anew, from the start on. Takes 5 GiB of disk for a million messages.
With --cgroup-bytes (as root) each server lives in a memory cgroup of that size, and what it took of it at most is printed too.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=20_000, help="messages of one measured run")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--directory", default="/var/tmp")
    parser.add_argument("--cgroup-bytes", type=int)
    return parser.parse_args()


ARGUMENTS = parse()
os.environ["RINGPOST_BUILD"] = str(ARGUMENTS.build.resolve())
from server import Client, Server, wait_until  # noqa: E402


def private_bytes(server):
    """Pss_Anon of ringpostd and its helpers."""
    total = 0
    for pid in [server.process.pid, *server.family()]:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1]) * 1024
    return total


def send(server, messages, connections=50):
    """Rate of acceptance, messages a second."""
    result = pathlib.Path(server.home) / "send.json"
    subprocess.run([ARGUMENTS.build / "ringpost-bench", "send", "--to", f"127.0.0.1:{server.port}", "--connections", str(connections),
                    "--messages", str(messages), "--size", "4096", "--json", result, "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())["rate"]


class Cgroup:
    """A memory cgroup below our own, of version 1 or 2; what is started in `inside` stays in it."""

    def __init__(self, name):
        lines = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
        one = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
        self.version = 1 if one else 2
        root = pathlib.Path("/sys/fs/cgroup/memory" if one else "/sys/fs/cgroup")
        self.ours = root / (one or [path for number, _, path in lines if number == "0"])[0].lstrip("/")
        self.path = self.ours / f"ringpost-{name}-{os.getpid()}"
        self.path.mkdir()
        self.write("memory.limit_in_bytes" if one else "memory.max", ARGUMENTS.cgroup_bytes)

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    @contextlib.contextmanager
    def inside(self):
        self.write("cgroup.procs", os.getpid())
        try:
            yield
        finally:
            (self.ours / "cgroup.procs").write_text(str(os.getpid()))

    def most(self):
        return int((self.path / ("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")).read_text())

    def kills(self):
        words = (self.path / ("memory.oom_control" if self.version == 1 else "memory.events")).read_text().split()
        return int(words[words.index("oom_kill") + 1])


class Confined(Server):
    """A server in a memory cgroup of its own, if one was asked for."""

    cgroup = None

    def launch(self):
        if not ARGUMENTS.cgroup_bytes:
            return super().launch()
        self.cgroup = self.cgroup or Cgroup(self.home.name)
        with self.cgroup.inside():
            return super().launch()

    def end(self):
        super().end()
        if self.cgroup:
            wait_until("an empty cgroup", lambda: not (self.cgroup.path / "cgroup.procs").read_text(), 30)
            self.cgroup.path.rmdir()
            self.cgroup = None


def first_250(server):
    """Seconds from launching it to the first 250 after DATA."""
    began = time.monotonic()
    server.launch()
    while True:
        server.must_run()
        try:
            with Client(server.port) as client:
                client.send("anna@example.org", ["bert@example.net"], b"Subject: first\r\n\r\nx\r\n")
            return time.monotonic() - began
        except (OSError, AssertionError):
            time.sleep(0.01)


def fresh(name):
    home = pathlib.Path(tempfile.mkdtemp(prefix=f"ringpost-backlog-{name}-", dir=ARGUMENTS.directory))
    settings = {"shards": str(ARGUMENTS.shards), "spool.segment_bytes": None, "spool.reserve_bytes": None, "log.level": "info"}
    return Confined(home, settings=settings)


def main():
    full, empty = fresh("full"), fresh("empty")
    found = {"messages": ARGUMENTS.messages}
    try:
        full.start()
        began = time.monotonic()
        for _ in range(0, ARGUMENTS.messages, 50_000):
            send(full, min(50_000, ARGUMENTS.messages))
        found["fill_s"] = time.monotonic() - began
        wait_until("the index", lambda: full.status()["queued"] >= ARGUMENTS.messages, 60)
        time.sleep(5)
        found["private_bytes"] = private_bytes(full)
        rates = {"full": [], "empty": []}
        empty.start()
        for _ in range(ARGUMENTS.runs):
            rates["full"].append(send(full, ARGUMENTS.batch))
            rates["empty"].append(send(empty, ARGUMENTS.batch))
            empty.stop()  # its queue is to be empty each time
            shutil.rmtree(empty.spool)
            shutil.rmtree(empty.keys)
            empty.start()
        empty.end()
        found["rates"] = rates
        found["acceptance_ratio"] = statistics.median(rates["full"]) / statistics.median(rates["empty"])
        full.stop()
        found["first_250_after_stop_s"] = first_250(full)
        full.settle()
        full.kill()
        wait_until("the end of its helpers", lambda: not full.family(), 30)
        found["first_250_after_sigkill_s"] = first_250(full)
        full.settle()
        full.stop()
        for index in full.spool.glob("*/index"):
            shutil.rmtree(index)
        began = time.monotonic()
        found["first_250_without_index_s"] = first_250(full)
        while full.status()["recovering"]:
            time.sleep(0.1)  # asking costs a process each time
        found["rebuild_s"] = time.monotonic() - began
        found["rebuilt_per_s"] = full.status()["queued"] / max(found["rebuild_s"], 0.001)
        found["queued"] = full.status()["queued"]
        found["private_bytes_after_rebuild"] = private_bytes(full)
        if full.cgroup:
            found |= {"cgroup_bytes": ARGUMENTS.cgroup_bytes, "cgroup_bytes_most": full.cgroup.most(), "cgroup_kills": full.cgroup.kills()}
        full.stop()
    finally:
        for server in (full, empty):
            server.end()
            shutil.rmtree(server.home, ignore_errors=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
