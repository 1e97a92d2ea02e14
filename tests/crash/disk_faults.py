#!/usr/bin/python3
"""Lets the spool's disk fail in all ways that a call can (attacks H4, H5), under load, and checks that no promise was broken.

    tests/crash/disk_faults.py --build build --rounds 100

The spool (or with --place audit the audit log) lies on a filesystem of the test's (fault_fs.py), below the real ring: writes,
syncs, reads, opens, new files, renames fail with EIO or ENOSPC, or reads and writes are short; a sync that fails also takes back
a part of what was written. Each round lets mail run, then lets one or a few of these strike for a while, now and then kills the
server in it, and heals the disk. In each round new mail must be taken again once the disk is well, by the server as it is: nothing is restarted for that. At the
end everything drains and is judged as in kill_loop.py; faults excuse no loss, no change, and no copy without a kill.
"""
import argparse
import collections
import json
import pathlib
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from fault_fs import Faults, why_not  # noqa: E402
from kill_loop import KillLoop  # noqa: E402
from server import Broken, wait_until  # noqa: E402

FAULTS = [
    {"op": "write", "kind": "EIO"},
    {"op": "fsync", "kind": "EIO"},
    {"op": "write", "kind": "short"},
    {"op": "read", "kind": "EIO"},
    {"op": "read", "kind": "short"},
    {"op": "write", "kind": "ENOSPC"},
    {"op": "create", "kind": "EIO"},
    {"op": "open", "kind": "EIO"},
    {"op": "rename", "kind": "EIO"},
]
KILL_EVERY = 4


class DiskFaults(KillLoop):
    def __init__(self, build, home, seed, only=None, place="spool", say=print):
        super().__init__(build, home, seed, say)
        self.kinds = [fault for fault in FAULTS if only in (None, f"{fault['op']} {fault['kind']}")]
        self.struck = collections.Counter()
        self.faults = Faults(self.home / "disk", self.home / place)

    def run(self, rounds, seconds):
        try:
            return super().run(rounds, seconds) | {"struck": self.struck}
        finally:
            self.faults.close()

    def round(self, number):
        # The first rounds take each fault by itself, the later ones any of them, together and often.
        alone = number < len(self.kinds)
        count = 1 if alone else min(self.random.randint(1, 4), len(self.kinds))
        chosen = [self.kinds[number]] if alone else self.random.sample(self.kinds, count)
        self.faults.set([fault | {"rate": self.random.choice((0.02, 0.2, 1)), "path": ".seg" if fault["kind"] == "short" else ""}
                         for fault in chosen])
        self.let_run(self.random.uniform(0.05, 1))
        if number % KILL_EVERY == KILL_EVERY - 1:
            self.kill_server("all")
            self.struck = self.faults.set([])
            self.restart()
        else:
            self.struck = self.faults.set([])
        self.wait_taken(number)

    def wait_taken(self, number):
        """Some mail is acknowledged after the disk is well again."""
        before = self.acknowledged()

        def taken():
            self.let_run(0.02)
            return self.acknowledged() > before
        wait_until(f"new mail after the faults of round {number}", taken)

    def acknowledged(self):
        return sum(path.stat().st_size for path in self.sent if path.exists())


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True, help="the build folder")
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--seconds", type=float, default=1, help="the longest time without faults")
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="of the moments and faults")
    arguments.add_argument("--only", choices=[f"{fault['op']} {fault['kind']}" for fault in FAULTS], help="one fault alone")
    arguments.add_argument("--place", choices=("spool", "audit"), default="spool", help="what lies on the disk that fails")
    arguments.add_argument("--keep", action="store_true", help="do not remove the server's files")
    words = arguments.parse_args()
    if why := why_not():
        print(f"no fault layer here: {why}")
        return 2
    home = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-faults-", dir="/var/tmp"))
    home.chmod(0o755)
    print(f"seed {words.seed}, files in {home}", flush=True)
    good = False
    try:
        result = DiskFaults(words.build, home, words.seed, words.only, words.place).run(words.rounds, words.seconds)
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
