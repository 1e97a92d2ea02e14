#!/usr/bin/python3
"""bench/agreement.py --client COMMAND [--tls]: whether `ringpost-bench send` and another load client measure the same of one server.

Both drive the same running server for the same time, with the same connections, messages for each and size, in turns whose order changes
from run to run; the server has the last core (and one shard), they have the first. COMMAND has {port}, {connections}, {per_connection},
{size} and {seconds} where these go, and prints a JSON object with `done`, messages accepted, and `rate`, how many a second. With --tls
the server offers STARTTLS, which both are to use; with --route smtp://IP:PORT it passes everything on to there, and the CPU time counts
until nothing is queued. Prints one JSON object: medians over the runs of the rate and of the CPU time that a message costs the server's
processes, in microseconds, and how far ringpost-bench's are from the other's in percent: `by_medians_percent` compares the medians,
`by_pairs_percent` is the median of the runs compared two by two.
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", required=True, type=shlex.split)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--per-connection", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--route", default="hold")
    parser.add_argument("--seconds", type=int, default=4, help="of one run")
    parser.add_argument("--runs", type=int, default=7)
    return parser.parse_args()


ARGUMENTS = parse()
os.environ["RINGPOST_BUILD"] = str(ARGUMENTS.build.resolve())
CORES = sorted(os.sched_getaffinity(0))
if len(CORES) < 2:
    sys.exit("bench/agreement.py: the server needs a core of its own, and there is but one")


def cpu_us(server):
    """User and system time of all the server's processes so far, threads that have ended included."""
    ticks = 0
    for pid in [server.process.pid, *server.family()]:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1e6 / os.sysconf("SC_CLK_TCK")


def run(command):
    os.sched_setaffinity(0, CORES[:1])
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout)


def with_other(server):
    result = run([word.format(port=server.port, **vars(ARGUMENTS)) for word in ARGUMENTS.client])
    return result["done"], result["rate"]


def with_ours(server):
    result = run([ARGUMENTS.build / "ringpost-bench", "send", "--to", f"127.0.0.1:{server.port}", "--connections", ARGUMENTS.connections,
                  "--per-connection", ARGUMENTS.per_connection, "--size", ARGUMENTS.size, "--seconds", ARGUMENTS.seconds,
                  "--tls", "starttls" if ARGUMENTS.tls else "none", "--json", "-", "--quiet"])
    return result["accepted"], result["rate"]


def main():
    from certificates import Authority
    from server import Server

    found = {with_other: [], with_ours: []}
    with tempfile.TemporaryDirectory(prefix="ringpost-bench.", dir="/var/tmp") as home:
        os.sched_setaffinity(0, CORES[-1:])
        limit = str(max(1000, 2 * ARGUMENTS.connections))
        settings = {"shards": "1", "spool.segment_bytes": None, "spool.reserve_bytes": None,
                    "limits.connections_per_client": limit, "limits.connections_per_prefix": limit}
        if ARGUMENTS.tls:
            settings |= {"listener.test.tls": "offered", **Authority(pathlib.Path(home)).files("main", "relay.example.com")}
        with Server(home, route=ARGUMENTS.route, settings=settings) as server:
            for number in range(ARGUMENTS.runs):
                for drive in list(found) if number % 2 == 0 else reversed(found):
                    before = cpu_us(server)
                    accepted, rate = drive(server)
                    if ARGUMENTS.route != "hold":
                        server.wait_delivered()
                    found[drive].append((rate, (cpu_us(server) - before) / accepted))
    print(json.dumps({name: summary([runs[column] for runs in found[with_other]], [runs[column] for runs in found[with_ours]])
                      for column, name in enumerate(["rate", "server_cpu_us_per_message"])}))


def summary(other, ours):
    medians = statistics.median(other), statistics.median(ours)
    return {"other": round(medians[0], 1), "ringpost_bench": round(medians[1], 1), "by_medians_percent": percent(medians[1] / medians[0]),
            "by_pairs_percent": percent(statistics.median(own / one for one, own in zip(other, ours)))}


def percent(ratio):
    return round(100 * (ratio - 1), 1)


main()
