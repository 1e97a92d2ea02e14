#!/usr/bin/python3
"""bench/generators.py [--build build]: messages a CPU second of `ringpost-bench send` and of Postfix's smtp-source, in turns.

Both send the same number of messages of one size over as many connections, which stay open, to a `ringpost-bench sink`. smtp-source waits
for each reply; ringpost-bench does so, too, then pipelines a message's commands, then the next message's as well. Prints one JSON object:
medians over the runs of the CPU time a message costs each, in microseconds, and how many times smtp-source's that goes into.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--messages", type=int, default=30000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def smtp_source():
    for line in subprocess.run([ROOT / "tools/test-clients"], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith("smtp-source="):
            return line.removeprefix("smtp-source=")
    sys.exit("bench/generators.py: tools/test-clients knows no smtp-source")


def cpu_us(command):
    """CPU time of a command, with the kernel's share."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"bench/generators.py: {command[0]} ended with {child.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e6


def main():
    arguments = parse()
    bench = arguments.build / "ringpost-bench"
    with tempfile.TemporaryDirectory(prefix="ringpost-bench.", dir="/var/tmp") as folder:
        sink = subprocess.Popen([bench, "sink", "--listen", "127.0.0.1:0", "--ledger", pathlib.Path(folder) / "ledger", "--quiet"],
                                stdout=subprocess.PIPE, text=True)
        try:
            # "listening on ADDRESS:PORT ..."
            target = sink.stdout.readline().split()[2]
            send = [bench, "send", "--to", target, "--connections", str(arguments.connections), "--messages", str(arguments.messages),
                    "--size", str(arguments.size), "--quiet"]
            commands = {
                "smtp_source": [smtp_source(), "-d", "-s", str(arguments.connections), "-m", str(arguments.messages), "-l", str(arguments.size),
                                f"inet:{target}"],
                "each_reply_awaited": send, "pipelined": [*send, "--pipeline"], "two_under_way": [*send, "--pipeline", "--depth", "2"]}
            found = {name: [] for name in commands}
            for _ in range(arguments.runs):
                for name, command in commands.items():
                    found[name].append(cpu_us(command) / arguments.messages)
        finally:
            sink.terminate()
            sink.wait()
    medians = {name: round(statistics.median(runs), 2) for name, runs in found.items()}
    print(json.dumps({"cpu_us_per_message": medians, "times_smtp_source": {
        name: round(medians["smtp_source"] / cost, 2) for name, cost in medians.items() if name != "smtp_source"}}))


main()
