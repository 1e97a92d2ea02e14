#!/usr/bin/python3
"""bench/backlog.py [--build build] [--messages 1000000]: what a backlog of held mail costs.

Fills the queue of a real server and prints one JSON object: private memory of all its processes, what the rate of acceptance is with
and without the backlog (medians of runs that take turns), and how long starts take until their first 250: after a stop in order, after
SIGKILL, and with the index deleted; then how fast the index is made anew. Takes 5 GiB of disk for a million messages.
"""
import argparse
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
    return json.loads(result.read_text())["messages_per_s"]


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
    return Server(home, settings=settings)


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
        found["first_250_without_index_s"] = first_250(full)
        began = time.monotonic()
        wait_until("the index made anew", lambda: full.status()["recovering"] == 0, 600)
        found["rebuild_s"] = time.monotonic() - began
        found["rebuilt_per_s"] = full.status()["queued"] / max(found["rebuild_s"], 0.001)
        found["queued"] = full.status()["queued"]
        found["private_bytes_after_rebuild"] = private_bytes(full)
        full.stop()
    finally:
        for server in (full, empty):
            server.end()
            shutil.rmtree(server.home, ignore_errors=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
