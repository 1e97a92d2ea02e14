#!/usr/bin/python3
"""bench/bad_logins.py [--build build] [--rate 500]: what people who guess passwords cost somebody else's mail.

Paced mail goes to a listener of role relay, five times with and five times without so many wrong logins a second on a listener of role
submissions, in turns. The guessers come from a network of their own each, so that no ban stops them for long, and take a new connection
for each try. Prints one JSON object: medians over the runs of p50 and p99 of the latency from when a message was due to its 250, in
microseconds, and how many tries there were a second, by their answer.
"""
import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--rate", type=int, default=500, help="wrong logins a second")
    parser.add_argument("--mail-rate", type=int, default=200, help="messages a second")
    parser.add_argument("--seconds", type=float, default=8, help="of one run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--spread", choices=["load", "even"], default="load", help="of connections over the shards")
    return parser.parse_args()


ARGUMENTS = parse()
os.environ["RINGPOST_BUILD"] = str(ARGUMENTS.build.resolve())
BENCH = ARGUMENTS.build / "ringpost-bench"


def wrong_logins(server):
    """How many the server has answered."""
    return sum(int(line.split()[1]) for line in server.ctl("metrics").splitlines()
               if line.startswith(("ringpost_logins_refused_total", "ringpost_logins_put_off_total")))


def main():
    from certificates import Authority
    from server import Server, free_port, wait_until

    with tempfile.TemporaryDirectory(prefix="ringpost-bench.", dir="/var/tmp") as folder:
        home = pathlib.Path(folder)
        home.chmod(0o711)
        port = free_port()
        (home / "guess").write_text("letmein\n")
        server = Server(home, settings={
            "shards": str(ARGUMENTS.shards), "shards.spread": ARGUMENTS.spread, "listener.users.address": f"127.0.0.1:{port}", "listener.users.role": "submissions",
            "listener.users.tls": "implicit", "auth.password_file": home / "accounts", "auth.never_ban": "none", "auth.failures_max": "3",
            **Authority(home).files("main", "relay.example.com")})
        subprocess.run([ARGUMENTS.build / "ringpostctl", "-c", server.config, "user", "add", "anna@example.com", "--password-stdin"],
                       input="correct horse battery\n", text=True, check=True)
        found = {"without": [], "with": []}
        answers = collections.Counter()
        with server:
            for _ in range(ARGUMENTS.runs):
                for kind, results in found.items():
                    guesses = home / "guesses.json"
                    guesser = kind == "with" and subprocess.Popen(
                        [BENCH, "login", "--to", f"127.0.0.1:{port}", "--tls", "implicit", "--rate", str(ARGUMENTS.rate), "--seconds",
                         str(ARGUMENTS.seconds + 2), "--user", "@example.com", "--numbered", "--password-file", home / "guess",
                         "--from-network", "127.64.0.0/10", "--json", guesses, "--quiet"])
                    if guesser:
                        goal = wrong_logins(server) + ARGUMENTS.rate // 2
                        wait_until("the guessers' rate", lambda: wrong_logins(server) >= goal)
                    report = home / "report.json"
                    subprocess.run([BENCH, "send", "--to", f"127.0.0.1:{server.port}", "--rate", str(ARGUMENTS.mail_rate),
                                    "--messages", str(int(ARGUMENTS.mail_rate * ARGUMENTS.seconds)), "--connections", "4", "--quiet", "--json", report],
                                   check=True, stdout=subprocess.DEVNULL)
                    results.append(json.loads(report.read_text())["latency_us"])
                    if guesser:
                        guesser.wait()
                        answers.update(json.loads(guesses.read_text())["troubles"])
        seconds = ARGUMENTS.runs * (ARGUMENTS.seconds + 2)
        print(json.dumps({
            "wrong_logins_per_s": {answer: round(count / seconds, 1) for answer, count in sorted(answers.items())},
            **{kind: {quantile: statistics.median(run[quantile] for run in runs) for quantile in ("p50", "p99")} for kind, runs in found.items()}}))


main()
