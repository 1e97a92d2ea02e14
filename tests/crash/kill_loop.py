#!/usr/bin/python3
"""Kills Ringpost at random moments while mail runs through it, and checks that no promise was broken.

    tests/crash/kill_loop.py --build build --rounds 200 --seconds 2

Each round lets mail run for up to --seconds and then kills, in turn: ringpostd alone; every process; keyd; auditd. Every tenth
round is a storm: the server is killed again and again while it still recovers. At the end everything drains, and then:
- every message that got 250 arrived, unchanged;
- a copy beyond the first is of a delivery that was in flight at a kill: answered by the next hop, not yet on record. The server was
  killed between the two copies, and shortly behind the first. Anything else is a finding: two copies from one life of the server,
  or a copy whose first one was on record (it would have two recipient_delivered events);
- each accepted message has exactly one message_accepted event, each delivery one recipient_delivered; no sequence is missing,
  none stands twice, auditd found no gap.
"""
import argparse
import collections
import itertools
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from audit_log import AuditLog  # noqa: E402
from server import Broken, Peer, Server, connections_of, wait_until  # noqa: E402

VICTIMS = ("ringpostd", "all", "keyd", "auditd")
STORM_EVERY = 10
DELIVERY_WINDOW_S = 5  # a delivery's record is durable long before, also on a machine under load


def in_flight(arrivals, kills):
    """Which copies a kill explains: ([(kill, seconds since the copy before it arrived)], [what nothing explains]).

    `arrivals`: the times of each token's copies. `kills`: (when it was killed, when the next life began); what arrived before that
    came from the life that was killed, read late.
    """
    explained, problems = [], []
    for token, times in arrivals.items():
        for first, again in itertools.pairwise(sorted(times)):
            kill = next((killed for killed, began in kills if began >= first), None)
            if kill is None or kill > again:
                before = max((began for _, began in kills if began < first), default=0)
                problems.append(f"{token} arrived at {first}, {first - before:.3f} s behind a start, and {again - first:.3f} s later again, "
                                "and nothing was killed between")
            elif kill - first > DELIVERY_WINDOW_S:
                problems.append(f"{token} arrived at {first} and at {again}, and the kill came only at {kill}")
            else:
                explained.append((kill, max(kill - first, 0.0)))
    return explained, problems


class KillLoop:
    def __init__(self, build, home, seed, say=print):
        self.build, self.home, self.say = pathlib.Path(build).resolve(), pathlib.Path(home), say
        self.random = random.Random(seed)
        self.server = Server(self.build, self.home)
        self.sent = [self.home / "sent-data", self.home / "sent-bdat"]
        self.received = self.home / "received"
        self.kills = collections.Counter()
        self.server_kills, self.server_starts = [], []  # wall times: each kill, and the start behind it
        self.recoveries_s = []

    def run(self, rounds, seconds):
        sink = Peer(self.build, self.home, "sink", "sink", "--listen", f"127.0.0.1:{self.server.sink_port}", "--ledger",
                    str(self.received), "--quiet")
        senders = []
        try:
            self.server.start()
            self.server.wait_ready()
            senders = [self.sender("data", self.sent[0], "--size", "128-32k", "--connections", "6", "--rate", "200"),
                       self.sender("bdat", self.sent[1], "--size", "128-1024k", "--connections", "3", "--rate", "12", "--bdat",
                                   "--chunk", "100k", "--pipeline")]
            for number in range(rounds):
                self.let_run(self.random.uniform(0.05, seconds))
                self.round(number)
                for sender in senders:
                    if sender.process.poll() is not None:
                        raise Broken("a generator gave up")
            for sender in senders:
                if sender.stop() != 0:
                    raise Broken("a generator failed")
            self.server.wait_no_orphans()
            self.server.drain()
            self.server.stop()
            if sink.stop() != 0:
                raise Broken("the sink failed")
            return self.judge()
        finally:
            for sender in senders:
                sender.stop()
            self.server.clear_away()
            sink.stop()

    def sender(self, name, ledger, *words):
        return Peer(self.build, self.home, name, "send", "--to", f"127.0.0.1:{self.server.port}", "--ledger", str(ledger),
                    "--run-id", name, "--keep-going", "--reconnect-for", "120", "--seconds", "86400", "--quiet", *words)

    def round(self, number):
        if number % STORM_EVERY == STORM_EVERY - 1:
            return self.storm()
        victim = VICTIMS[number % len(VICTIMS)]
        if victim in ("ringpostd", "all"):
            self.kill_server(victim)
            self.restart()
        elif self.server.kill_helper(f"ringpost-{victim}"):
            self.kills[victim] += 1

    def kill_server(self, victim):
        (self.server.kill_alone if victim == "ringpostd" else self.server.kill_all)()
        self.server_kills.append(time.time())
        self.kills[victim] += 1

    def start(self):
        # What the killed server had sent is read before the next one starts: then each copy is known to be of one life.
        wait_until("the end of the connections of a killed server", lambda: not connections_of(self.server.sink_port))
        self.server_starts.append(time.time())
        self.server.start()

    def restart(self):
        began = time.monotonic()
        self.start()
        self.server.wait_ready()
        self.recoveries_s.append(time.monotonic() - began)

    def let_run(self, seconds):
        """The moment of the next kill, unless the server dies before it is killed."""
        try:
            code = self.server.life.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise Broken(f"ringpostd ended by itself with {code}")

    def storm(self):
        """Kills while recovery runs: after milliseconds, in any state."""
        for _ in range(self.random.randint(3, 8)):
            self.kill_server(self.random.choice(VICTIMS[:2]))
            self.kills["in a storm"] += 1
            self.start()
            self.let_run(self.random.uniform(0.001, 0.4))
        self.kill_server("all")
        self.restart()

    def judge(self):
        words = [argument for path in self.sent for argument in ("--sent", str(path))]
        check = subprocess.run([self.build / "ringpost-bench", "check", *words, "--received", str(self.received), "--json", "-"],
                               capture_output=True, text=True)
        report = json.loads(check.stdout)
        audit = AuditLog(self.home / "audit")
        problems = list(audit.problems)
        if check.returncode != 0:
            problems.append(f"ringpost-bench check: {check.stdout}{check.stderr}")

        arrivals = collections.defaultdict(list)
        for line in self.received.read_text().splitlines():
            words = line.split()
            arrivals[words[0]].append(float(words[4]))
        repeated, unexplained = in_flight(arrivals, list(zip(self.server_kills, self.server_starts)))
        problems += unexplained
        if len(arrivals) != len(audit.accepted):
            problems.append(f"{len(arrivals)} messages arrived, but {len(audit.accepted)} were recorded as accepted")
        delivered = {message for message, _ in audit.delivered}
        if delivered != set(audit.accepted):
            problems.append(f"{len(delivered ^ set(audit.accepted))} messages are recorded as accepted or delivered, not as both")
        ages = sorted(age for _, age in repeated) or [0.0]
        recoveries = sorted(self.recoveries_s) or [0.0]
        return {
            "kills": dict(self.kills),
            "check": report,
            "server_kills": len(self.server_kills),
            "duplicates_in_flight": len(repeated),
            "duplicates_unexplained": len(unexplained),
            "duplicates_of_one_kill_max": max(collections.Counter(kill for kill, _ in repeated).values(), default=0),
            "arrived_before_the_kill_s": {"median": round(ages[len(ages) // 2], 3), "max": round(ages[-1], 3)},
            "audit_events": sum(audit.events.values()),
            "audit_by_kind": dict(audit.events),
            "audit_incarnations": audit.incarnations,
            "restart_s": {"median": round(recoveries[len(recoveries) // 2], 3), "max": round(recoveries[-1], 3)},
            "problems": problems,
        }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True, help="the build folder")
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--seconds", type=float, default=2, help="the longest time between two kills")
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="of the moments and victims")
    arguments.add_argument("--keep", action="store_true", help="do not remove the server's files")
    words = arguments.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-crash-", dir="/var/tmp"))
    home.chmod(0o755)
    print(f"seed {words.seed}, files in {home}", flush=True)
    good = False
    try:
        result = KillLoop(words.build, home, words.seed).run(words.rounds, words.seconds)
        good = not result["problems"]
        result["problems"] = result["problems"][:50]
        print(json.dumps(result, indent=1))
    except Broken as reason:
        print(f"broken: {reason}")
    if good and not words.keep:
        shutil.rmtree(home)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
