#!/usr/bin/python3
"""bench/destinations.py [--build build] [--waiting 100000]: what mail for a destination in trouble costs mail for a healthy one.

Paced mail goes through two real servers that take turns, five times; one of them has a backlog for a destination that refuses
connections, drops packets (black hole), answers every 20 s (tarpit), or defers each message. Prints one JSON object: for each kind the
medians over the runs of p50 and p99 of the latency from the moment a message was due until the healthy sink has it, in milliseconds.
Needs root: everything runs in a network namespace of its own, in which a network without hosts is the black hole.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))
KINDS = ["refuses", "black_hole", "tarpit", "defers"]
IN_NAMESPACE = "RINGPOST_BENCH_NAMESPACE"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--waiting", type=int, default=100_000, help="messages for the destination in trouble")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6, help="of paced mail in one run")
    parser.add_argument("--rate", type=float, default=200, help="of paced mail, messages a second")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be given several times; all")
    parser.add_argument("--directory", default="/var/tmp")
    return parser.parse_args()


ARGUMENTS = parse()
if IN_NAMESPACE not in os.environ:
    os.environ[IN_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
os.environ["RINGPOST_BUILD"] = str(ARGUMENTS.build.resolve())
from server import Server, wait_until  # noqa: E402

BENCH = ARGUMENTS.build.resolve() / "ringpost-bench"
HOLE = "192.0.2.1"


def make_network():
    """Nobody answers for HOLE: packets go to the far end of a pair, which has no address."""
    for command in ("link set lo up", "link add hole type veth peer name away", "address add 192.0.2.254/24 dev hole", "link set hole up",
                    "link set away up", f"neighbour add {HOLE} lladdr 02:00:00:00:00:01 dev hole"):
        subprocess.run(["ip", *command.split()], check=True)


class Sink:
    def __init__(self, folder, name, mode=None):
        self.ledger = folder / f"{name}.ledger"
        command = [BENCH, "sink", "--listen", "127.0.0.1:0", "--ledger", self.ledger, "--quiet"]
        self.process = subprocess.Popen(command + (["--mode", mode] if mode else []), stdout=subprocess.PIPE, text=True)
        self.route = "smtp://" + self.process.stdout.readline().split()[2]

    def end(self):
        self.process.terminate()
        self.process.wait(30)


def send(server, domain, messages, *more):
    subprocess.run([BENCH, "send", "--to", f"127.0.0.1:{server.port}", "--messages", str(messages), "--to-domain", domain, "--quiet", *more],
                   check=True, stdout=subprocess.DEVNULL)


def by_token(ledger, of):
    """`of(TIME, VALUE)` of each line of a ledger."""
    lines = (line.split() for line in ledger.read_text().splitlines())
    return {token: of(float(at), int(value.partition("=")[2])) for token, _, _, _, at, value in lines}


def latencies(server, sink, folder):
    """Of paced mail, sorted, in milliseconds."""
    sent, count = folder / "sent.ledger", int(ARGUMENTS.seconds * ARGUMENTS.rate)
    sent.unlink(missing_ok=True)
    send(server, "good.example", count, "--rate", str(ARGUMENTS.rate), "--connections", "4", "--ledger", sent)
    due = by_token(sent, lambda at, latency_us: at - latency_us / 1e6)
    arrived = wait_until("the healthy deliveries", lambda: (found := by_token(sink.ledger, lambda at, _: at)).keys() >= due.keys() and found)
    return sorted((arrived[token] - moment) * 1e3 for token, moment in due.items())


def quantile(values, part):
    return values[min(int(part * len(values)), len(values) - 1)]


@contextlib.contextmanager
def asleep(server):
    """Stopped, so that it takes nothing from the other one; timers that ran out meanwhile have their effect before it is measured."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        time.sleep(2)


def measure(kind, folder):
    sink = Sink(folder, f"good-{kind}")
    other = {"tarpit": "slow=20s", "defers": "tempfail@mail"}.get(kind)
    trouble = Sink(folder, f"bad-{kind}", other) if other else None
    with socket.create_server(("127.0.0.1", 0)) as held:
        closed = f"smtp://127.0.0.1:{held.getsockname()[1]}"
    bad_route = trouble.route if trouble else {"refuses": closed, "black_hole": f"smtp://{HOLE}:25"}[kind]
    servers = {}
    for name in ("without", "with"):
        home = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-{name}-", dir=folder))
        servers[name] = Server(home, settings={
            "shards": str(ARGUMENTS.shards), "spool.segment_bytes": None, "spool.reserve_bytes": None, "retry.first": None, "log.level": "info",
            "route.good.example": sink.route, "route.bad.example": bad_route})
    found = {f"{name}_{what}_ms": [] for name in servers for what in ("p50", "p99")}
    try:
        for server in servers.values():
            server.start()
            latencies(server, sink, folder)
        send(servers["with"], "bad.example", ARGUMENTS.waiting, "--connections", "50")
        time.sleep(5)
        for _ in range(ARGUMENTS.runs):
            for name, server in servers.items():
                with asleep(next(one for one in servers.values() if one is not server)):
                    times = latencies(server, sink, folder)
                found[f"{name}_p50_ms"].append(quantile(times, 0.5))
                found[f"{name}_p99_ms"].append(quantile(times, 0.99))
        assert servers["with"].status()["queued"] >= ARGUMENTS.waiting, "the backlog is gone"
    finally:
        for server in servers.values():
            server.end()
        for one in filter(None, (sink, trouble)):
            one.end()
    medians = {what: round(statistics.median(values), 3) for what, values in found.items()}
    without, with_it = medians["without_p99_ms"], medians["with_p99_ms"]
    return {**medians, "p99_runs_ms": {name: [round(value, 2) for value in found[f"{name}_p99_ms"]] for name in servers},
            "within_25_percent_or_2_ms": with_it <= max(1.25 * without, without + 2)}


def main():
    make_network()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-destinations-", dir=ARGUMENTS.directory))
    folder.chmod(0o755)
    try:
        print(json.dumps({"waiting": ARGUMENTS.waiting, "rate": ARGUMENTS.rate,
                          **{kind: measure(kind, folder) for kind in ARGUMENTS.kind or KINDS}}, indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
