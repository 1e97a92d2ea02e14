#!/usr/bin/python3
"""The micro benchmarks: recorded, and compared.

    bench/micro.py record [--build build] [--out bench/baseline.json]    medians of every benchmark of a build, with the machine they are of
    bench/micro.py against [--build build] [--baseline bench/baseline.json]   a build beside the record: only ratios on a like machine mean something
    bench/micro.py compare BUILD BUILD                                   two builds run in turns: what changed from one to the other

CPU time of one iteration, in nanoseconds. compare exits 1 when a benchmark got slower by more than --worse percent in the median AND in
every pair of runs, so that one noisy run judges nothing.
"""
import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def programs(build):
    found = sorted(path for path in (build / "bench").glob("bench-*") if path.is_file())
    if not found:
        sys.exit(f"{build}/bench has no benchmarks: ninja -C {build} bench")
    return found


def run(program, name_filter):
    """CPU time of each benchmark of one program, in ns."""
    command = [program, "--benchmark_format=json"] + ([f"--benchmark_filter={name_filter}"] if name_filter else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program}: {done.stderr.strip()}")
    results = json.loads(done.stdout or "{}").get("benchmarks", [])
    return {f"{program.name}/{one['name']}": one["cpu_time"] * NANOSECONDS[one["time_unit"]]
            for one in results if one.get("run_type") != "aggregate" and "error_message" not in one}


def medians(build, runs, name_filter):
    times = {}
    for _ in range(runs):
        for program in programs(build):
            for name, time in run(program, name_filter).items():
                times.setdefault(name, []).append(time)
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def machine():
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return {"processor": model, "kernel": platform.release(), "recorded": datetime.date.today().isoformat(),
            "commit": subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()}


def show(name, before, after, note=""):
    print(f"{name:<58} {before:>12,.0f} {after:>12,.0f} {after / before:>7.2f}{note}")


def record(arguments):
    figures = medians(arguments.build, arguments.runs, arguments.filter)
    arguments.out.write_text(json.dumps({"machine": machine(), "cpu_ns": dict(sorted(figures.items()))}, indent=1) + "\n")
    print(f"{len(figures)} benchmarks in {arguments.out}")


def against(arguments):
    known = json.loads(arguments.baseline.read_text())
    print("recorded:", ", ".join(f"{name} {value}" for name, value in known["machine"].items()))
    now = medians(arguments.build, arguments.runs, arguments.filter)
    for name in sorted(now):
        if name in known["cpu_ns"]:
            show(name, known["cpu_ns"][name], now[name])
        else:
            print(f"{name:<58} {'new':>12} {now[name]:>12,.0f}")
    if not arguments.filter:
        for name in sorted(set(known["cpu_ns"]) - set(now)):
            print(f"{name:<58} is gone")


def compare(arguments):
    before, after = {}, {}
    names = [path.name for path in programs(arguments.builds[0]) if (arguments.builds[1] / "bench" / path.name).is_file()]
    for _ in range(arguments.runs):
        for name in names:  # in turns, so that a slow spell of the machine meets both
            for build, times in zip(arguments.builds, (before, after)):
                for benchmark, time in run(build / "bench" / name, arguments.filter).items():
                    times.setdefault(benchmark, []).append(time)
    slower = []
    bound = 1 + arguments.worse / 100
    for name in sorted(set(before) & set(after)):
        was, now = statistics.median(before[name]), statistics.median(after[name])
        worse = now > was * bound and all(second > first * bound for first, second in zip(before[name], after[name]))
        slower += [name] if worse else []
        show(name, was, now, "  slower" if worse else "")
    return 1 if slower else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--filter", help="only benchmarks whose name matches this regular expression")
    commands = parser.add_subparsers(required=True)
    for name, act in (("record", record), ("against", against), ("compare", compare)):
        command = commands.add_parser(name)
        command.set_defaults(act=act)
        if name == "compare":
            command.add_argument("builds", type=pathlib.Path, nargs=2, metavar="BUILD")
            command.add_argument("--worse", type=float, default=10, help="percent")
        else:
            command.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
            command.add_argument("--out" if name == "record" else "--baseline", type=pathlib.Path, default=ROOT / "bench/baseline.json")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse()
    sys.exit(chosen.act(chosen))
