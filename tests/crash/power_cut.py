#!/usr/bin/python3
"""Cuts the power of a machine that runs Ringpost under load, and checks that what was acknowledged survived on its disk.

    tools/test-guest                                    (once: fetches QEMU, a kernel and busybox)
    tests/crash/power_cut.py --build build --cuts 50
    tests/crash/power_cut.py --build build --cuts 5 --plant hasty      (must fail: this server answers before its sync)

Each cut boots a guest (guest.py) whose disk, ext4 with a journal, logs every write and flush (write_log.py). Mail comes from a
generator here and goes to a sink here, slower than it comes, so that a backlog grows; both keep ledgers with times. At a random
moment the guest is killed. From the log, disks are made as the cut could have left them: all that a finished flush covered, and
of the rest none, all, or any subset with torn writes; at the moment of the kill and at random moments before it. Each such disk is
mounted here, which replays its journal, and a server started on it must deliver everything. Then:

- each message whose 250 was read before the cut arrived, before it or now, unchanged;
- a second copy is of a delivery that was in flight at a cut: a cut lies between the two, shortly behind the first, whose outcome was
  not on record (two records would be a finding, too);
- each accepted message has one message_accepted event, each delivery one recipient_delivered; no sequence is missing or doubled;
- the filesystem is clean afterwards.

Every five cuts share a disk: the next guest boots from what the cut before left, recovers under load, and is cut again. Every
second disk's server writes with O_DIRECT, the others through the page cache. As root: the disks are loop-mounted.
"""
import argparse
import collections
import contextlib
import copy
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from audit_log import AuditLog  # noqa: E402
from guest import Guest, Mounted, best_accelerator, make_disk, make_initramfs, tools, why_not  # noqa: E402
from kill_loop import in_flight  # noqa: E402
from server import Broken, Peer, Server, free_port  # noqa: E402
from write_log import LoggedDisk, left_by_cut  # noqa: E402

DISK_MB = 384
CUTS_OF_ONE_DISK = 5
READ_LATE_S = 1  # what was on its way at the kill may be read after it
DRAIN_PATIENCE_S = 300
LIFE_S = 300  # of a guest that does not get on
EARLY_WRITES = 200
PLANTS = {"hasty": "tests/integration/ringpostd-hasty"}


def ledger(path):
    """[(token, (size, hash), time)] of a ledger of ringpost-bench; a last line may be cut short."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().split("\n")[:-1]]
    return [(words[0], (words[1], words[2]), float(words[4])) for words in lines]


@dataclasses.dataclass
class History:
    """What happened to the mail of one disk, as those outside of it saw it. A cut makes everything after it not have happened."""
    acknowledged: dict = dataclasses.field(default_factory=dict)  # token: (size, hash)
    arrived: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(list))  # token: [time]
    cuts: list = dataclasses.field(default_factory=list)

    def then(self, acknowledged, arrived, until, end):
        """This history and what happened next, up to a cut at `until`. All ended at `end`, but for what was read a bit later."""
        told = {token: content for token, content, at in acknowledged if at < until}
        before = collections.defaultdict(list, {token: [*times] for token, times in self.arrived.items()})
        after = History(self.acknowledged | told, before, [*self.cuts, min(until, end)])
        for token, _, at in arrived:
            if at < until:
                after.arrived[token].append(at)
        return after


class Verdict(collections.Counter):
    """Counts over all disks that were looked at; `problems` says what was wrong with which."""

    def __init__(self):
        super().__init__()
        self.problems, self.oldest_repeated_s = [], 0.0

    def problem(self, where, what):
        self.problems.append(f"{where}: {what}")

    def judge(self, where, history, audit):
        lost = [token for token in history.acknowledged if not history.arrived.get(token)]
        self["acknowledged"] += len(history.acknowledged)
        self["lost"] += len(lost)
        if lost:
            self.problem(where, f"{len(lost)} of {len(history.acknowledged)} acknowledged messages are lost, such as {lost[:3]}")
        repeated, unexplained = in_flight(history.arrived, [(cut, cut + READ_LATE_S) for cut in history.cuts])
        self["duplicates"] += len(repeated)
        self.oldest_repeated_s = max([self.oldest_repeated_s, *(age for _, age in repeated)])
        self["unexplained"] += len(unexplained)
        for problem in unexplained:
            self.problem(where, problem)
        for problem in audit.problems:
            self["audit"] += 1
            self.problem(where, problem)
        if len(history.arrived) != len(audit.accepted):
            self["audit"] += 1
            self.problem(where, f"{len(history.arrived)} messages arrived, but {len(audit.accepted)} were recorded as accepted")
        if {message for message, _ in audit.delivered} != set(audit.accepted):
            self["audit"] += 1
            self.problem(where, "messages are recorded as accepted or as delivered, not as both")

    def compare(self, where, received, contents):
        """Everything that arrived is what was sent."""
        for token, content, _ in received:
            if token in contents and contents[token] != content:
                self["changed"] += 1
                self.problem(where, f"{token} arrived as {content}, but {contents[token]} was sent")


class PowerCuts:
    def __init__(self, build, home, known, seed, plant=None, reconstructions=4, messages=300, early=0.15, accelerator=None,
                 say=print):
        self.build, self.home, self.say = pathlib.Path(build).resolve(), pathlib.Path(home), say
        self.random, self.reconstructions, self.messages, self.early = random.Random(seed), reconstructions, messages, early
        self.known, self.verdict, self.number = known, Verdict(), 0
        # A server that loses parts of messages never gets rid of the rest: that is found, and not waited for.
        self.drain_patience_s = 5 if plant else DRAIN_PATIENCE_S
        self.contents = {}  # of all messages that any generator was told are kept
        self.sink_port, self.port = free_port(), free_port()
        self.initramfs = self.home / "initramfs"
        make_initramfs(self.initramfs, self.known, self.build, self.sink_port, PLANTS[plant] if plant else "ringpostd")
        self.accelerator = accelerator or best_accelerator(self.known, self.initramfs, self.home)
        self.say(f"the guest runs under {self.accelerator}", flush=True)

    def run(self, cuts):
        """Returns the verdict. Raises Broken when nothing can be said."""
        for number in range(cuts):
            if number % CUTS_OF_ONE_DISK == 0:
                disk, history = self.home / "disk", History()
                self.direct = number // CUTS_OF_ONE_DISK % 2 == 0  # with O_DIRECT, or through the guest's page cache
                make_disk(disk, DISK_MB)
            history = self.cut(disk, history)
        return self.verdict

    # ---- the cut

    def cut(self, disk, history):
        """One life of the guest on `disk`, and all disks that its end could have left. `disk` becomes one of them."""
        self.number += 1
        began = time.monotonic()
        running = self.home / "running"
        copy_file(disk, running)
        log, acknowledged, received, ended = self.life(running)
        running.unlink()
        self.contents |= {token: content for token, content, _ in acknowledged}
        self.verdict["cuts"] += 1
        self.verdict["acknowledged_in_guests"] += len(acknowledged)
        self.verdict["delivered_by_guests"] += len(received)
        self.verdict["writes"] += log.writes
        self.verdict.compare(f"cut {self.number}, in the guest", received, self.contents)

        end = len(log.events)
        positions = [end] + [self.moment(log) for _ in range(self.reconstructions - 1)]
        hows = ["some"] + [self.random.choice(("some", "some", "some", "none", "all")) for _ in positions[1:]]
        left, candidate, following = self.home / "left", self.home / "candidate", None
        for number, (position, how) in enumerate(zip(positions, hows)):
            copy_file(disk, left)
            pieces, undecided = left_by_cut(log, position, how, self.random)
            put(left, pieces)
            self.verdict["undecided_writes"] += undecided
            after = history.then(acknowledged, received, log.cut_time(position), ended)
            copy_file(left, candidate)
            its_history = copy.deepcopy(after)  # it goes another way than `look` takes
            where = f"cut {self.number}, event {position} of {end}, {how} of {undecided}"
            try:
                self.look(where, left, after)
            except Broken as reason:
                self.verdict["broken"] += 1
                self.verdict.problem(where, str(reason))
            else:  # each of those that are good is as likely to be the one that the next guest boots from
                if following is None or self.random.random() < 1 / (number + 1):
                    os.replace(candidate, disk.with_suffix(".next"))
                    following = its_history
        if following is None:
            raise Broken(f"nothing can be done with any disk that cut {self.number} left: {self.verdict.problems[-1]}")
        os.replace(disk.with_suffix(".next"), disk)
        counts = {name: self.verdict[name] for name in ("reconstructions", "acknowledged", "lost", "changed", "duplicates")}
        self.say(f"cut {self.number}{' (O_DIRECT)' if self.direct else ''}: {len(acknowledged)} acknowledged, "
                 f"{len(received)} delivered, {log.writes} writes, {time.monotonic() - began:.1f} s; so far {counts}", flush=True)
        return following

    def moment(self, log):
        """A random one, most often one of those at which the disk has much that no flush covered."""
        candidates = [self.random.randint(0, len(log.events)) for _ in range(self.random.choice((1, 4, 16)))]
        return max(candidates, key=log.open_writes)

    def life(self, disk):
        """Boots a guest, sends it mail, kills it. (the disk's log, what was acknowledged, what arrived, when it was killed)"""
        folder = self.home / f"life-{self.number}"
        folder.mkdir()
        logged = LoggedDisk(disk, folder / "disk.sock", self.random.random())
        with contextlib.ExitStack() as stack:
            guest = Guest(self.known, self.accelerator, self.initramfs, folder / "console",
                          folder / "disk.sock", self.port, self.direct)
            stack.callback(logged.close)
            stack.callback(guest.cut_power)
            sink = Peer(self.build, folder, "sink", "sink", "--listen", f"127.0.0.1:{self.sink_port}", "--ledger",
                        str(folder / "received"), "--quiet", "--mode", "slow=40ms")
            stack.callback(sink.stop)
            senders = [self.sender(folder, "small", "--size", "128-32k", "--connections", "12", "--rate", "300", "--pipeline"),
                       self.sender(folder, "large", "--size", "100k-600k", "--connections", "2", "--rate", "5", "--bdat", "--chunk",
                                   "100k")]
            for sender in senders:
                stack.callback(sender.stop)
            # Counted in what happens, not in seconds: a guest is slow on a busy machine.
            if self.random.random() < self.early:  # while it starts: its first writes, or its recovery
                writes = self.random.randint(0, EARLY_WRITES)
                self.let_run(guest, lambda: logged.log.writes >= writes)
            else:
                wanted = self.random.randint(1, self.messages)
                self.let_run(guest, lambda: sum(len(ledger(folder / f"sent-{name}")) for name in ("small", "large")) >= wanted)
                self.let_run(guest, lambda end=time.monotonic() + self.random.uniform(0, 0.1): time.monotonic() > end)
            guest.cut_power()
            ended = time.time()
            if any(sender.process.poll() is not None for sender in senders):
                raise Broken("a generator gave up")
        told = [one for name in ("small", "large") for one in ledger(folder / f"sent-{name}")]
        received = ledger(folder / "received")
        shutil.rmtree(folder)
        return logged.log, told, received, ended

    def sender(self, folder, name, *words):
        return Peer(self.build, folder, name, "send", "--to", f"127.0.0.1:{self.port}", "--ledger", str(folder / f"sent-{name}"),
                    "--run-id", f"{name}{self.number}", "--keep-going", "--reconnect-for", "120", "--seconds", "86400", "--quiet",
                    *words)

    def let_run(self, guest, until):
        """The moment of the cut, unless the guest ends before it."""
        deadline = time.monotonic() + LIFE_S
        while not until() and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                guest.process.wait(0.01)
            guest.must_run()

    # ---- what it left

    def look(self, where, image, history):
        """Starts a server on a disk that a cut left, and lets it deliver all that it has."""
        self.verdict["reconstructions"] += 1
        mount, received = self.home / "mount", self.home / "received"
        with Mounted(image, mount):
            server = Server(self.build, mount)
            sink = Peer(self.build, self.home, "sink", "sink", "--listen", f"127.0.0.1:{server.sink_port}", "--ledger", str(received),
                        "--quiet")
            try:
                server.start()
                server.wait_ready()
                server.drain(self.drain_patience_s)
                server.stop()
            except Broken as reason:
                said = (mount / "ringpostd.log").read_text(errors="replace")[-2000:]
                self.verdict["broken"] += 1
                self.verdict.problem(where, f"{reason}\n{said}")
            finally:
                server.clear_away()
                server.log.close()
                sink.stop()
            arrived = ledger(received)
            received.unlink(missing_ok=True)
            for token, _, at in arrived:
                history.arrived[token].append(at)
            try:
                audit = AuditLog(mount / "audit")
            except ValueError as reason:
                self.verdict["audit"] += 1
                self.verdict.problem(where, f"the audit log cannot be read: {reason}")
            else:
                self.verdict.compare(where, arrived, self.contents)
                self.verdict.judge(where, history, audit)
        check = subprocess.run(["/sbin/e2fsck", "-fn", image], capture_output=True, text=True)
        if check.returncode != 0:
            self.verdict["broken"] += 1
            self.verdict.problem(where, f"the filesystem is damaged: {check.stdout[-500:]}")


def copy_file(source, target):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def put(image, pieces):
    with open(image, "r+b") as file:
        for offset, data in pieces:
            os.pwrite(file.fileno(), data, offset)


def disk_folder():
    """In memory where there is room: what is durable is decided by the log, not by this machine."""
    if shutil.disk_usage("/dev/shm").free > 4 << 30:
        return "/dev/shm"
    return "/var/tmp"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True, help="the build folder")
    arguments.add_argument("--cuts", type=int, default=50)
    arguments.add_argument("--reconstructions", type=int, default=4, help="disks that are made of each cut")
    arguments.add_argument("--messages", type=int, default=300, help="the most that are acknowledged before a cut")
    arguments.add_argument("--early", type=float, default=0.15, help="how many of the cuts come while the server starts (0..1)")
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="of moments and of what is left")
    arguments.add_argument("--accelerator", choices=("kvm", "tcg"), help="by default kvm, where a guest boots with it")
    arguments.add_argument("--plant", choices=sorted(PLANTS), help="the guest runs a server with a bug, which must be found")
    words = arguments.parse_args()
    if why := why_not():
        print(f"no guest can run here: {why}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-cuts-", dir=disk_folder()))
    home.chmod(0o755)
    print(f"seed {words.seed}, files in {home}", flush=True)
    try:
        cuts = PowerCuts(words.build, home, tools(), words.seed, words.plant, words.reconstructions, words.messages, words.early,
                         words.accelerator)
        verdict = cuts.run(words.cuts)
    except Broken as reason:
        print(f"broken: {reason}")
        return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for problem in verdict.problems[:50]:
        print(problem)
    names = ("cuts", "reconstructions", "writes", "undecided_writes", "acknowledged_in_guests", "delivered_by_guests", "acknowledged",
             "lost", "changed", "duplicates", "unexplained", "audit", "broken")
    print(json.dumps({name: verdict[name] for name in names} | {"oldest_repeated_s": round(verdict.oldest_repeated_s, 3)}))
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
