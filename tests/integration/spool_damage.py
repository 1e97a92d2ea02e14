"""A spool that a real server made, copies of it, and ways to hurt them."""
import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

from server import BUILD, PATIENCE_S, AioSink, Client, Server, wait_until

BLOCK = 4096
Group = collections.namedtuple("Group", "offset size number records")


def run_spool(server, *words, spool=None):
    """`ringpostctl spool WORDS`; on a copy, if given."""
    where = ["--spool", spool] if spool else []
    return subprocess.run([BUILD / "ringpostctl", "-c", server.config, "spool", *words, *where], capture_output=True, text=True,
                          timeout=PATIENCE_S)


def examine(server, *words, spool=None):
    """Exit code, findings, and the summary of `spool verify --json`."""
    run = run_spool(server, "verify", "--json", *words, spool=spool)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode in (0, 1), (run.returncode, run.stdout, run.stderr)
    assert list(lines[-1]) == ["summary"], run.stdout
    findings, summary = lines[:-1], lines[-1]["summary"]
    assert summary["damages"] == sum(finding["damage"] for finding in findings)
    assert (run.returncode == 1) == (summary["damages"] > 0)
    return run.returncode, findings, summary


def kinds(findings):
    return sorted({finding["finding"] for finding in findings})


def deliver(server, messages, recipients=("bert@example.net",)):
    """Accepted by the server; content by subject."""
    with Client(server.port) as client:
        for message in messages:
            client.send("anna@example.org", list(recipients), message)


class Halves(AioSink):
    """Takes a message for bert and not yet for cleo."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("cleo"):
            return "450 4.2.1 cleo is out"
        envelope.rcpt_tos.append(address)
        return "250 OK"


SIZES = [10, 3_000, 70_000, 300_000]


def content(number, size):
    chance = random.Random(number)
    lines = b"".join(b"%064x\r\n" % chance.getrandbits(256) for _ in range(size // 66))
    return b"Subject: number %d\r\n\r\n" % number + lines


@contextlib.contextmanager
def sound_server(sizes=SIZES):
    """A server, stopped in order: of each size a message that was delivered (0 and on), one that was for one of two recipients
    (100 and on), and one that was not tried (200 and on)."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-test.", dir="/var/tmp"))
    os.chmod(home, 0o711)
    try:
        with Halves() as sink, Server(home, route=sink.route, settings={"shards": "1", "retry.first": "300 s"}) as server:
            deliver(server, [content(number, size) for number, size in enumerate(sizes)])
            server.wait_delivered()
            deliver(server, [content(100 + number, size) for number, size in enumerate(sizes)],
                    ["bert@example.net", "cleo@example.net"])
            wait_until("halves", lambda: [r["state"] for r in server.recipients()].count("delivered") == len(sizes))
            server.ctl("set", "route.default=hold")
            deliver(server, [content(200 + number, size) for number, size in enumerate(sizes)])
            server.stop()
            server.settings["route.default"] = "hold"
            server.write_config()
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def numbers(messages):
    """The numbers in the subjects of relayed messages; each must be as it was made."""
    found = []
    for _, _, relayed in messages:
        number = int(relayed.partition(b"Subject: number ")[2].partition(b"\r\n")[0])
        assert relayed.endswith(b"\r\n" + content(number, SIZES[number % 100])), f"message {number} is not what was sent"
        found.append(number)
    return sorted(found)


def segments(spool):
    return sorted(pathlib.Path(spool).glob("*/*.seg"))


def generation_of(segment):
    with open(segment, "rb") as file:
        head = file.read(BLOCK)
    return struct.unpack_from("<Q", head, 64)[0] if head.startswith(b"RPSEGMNT") else 0


def groups_of(segment):
    """The commit groups of a sound segment, in order."""
    data, groups, at = pathlib.Path(segment).read_bytes(), [], BLOCK
    generation = struct.unpack_from("<Q", data, 64)[0]
    while data[at:at + 8] == b"RPGROUP1" and struct.unpack_from("<Q", data, at + 16)[0] == generation:
        records, number, size = (struct.unpack_from("<I", data, at + 12)[0], struct.unpack_from("<Q", data, at + 24)[0],
                                 struct.unpack_from("<I", data, at + 40)[0])
        whole = -(-(144 + size) // BLOCK) * BLOCK
        groups.append(Group(at, whole, number, records))
        at += whole
    return groups


def records_of(segment, group):
    """(offset, length, kind, message id) of each record of a group."""
    data, at, found = pathlib.Path(segment).read_bytes(), group.offset + 144, []
    for _ in range(group.records):
        kind, length = data[at], struct.unpack_from("<I", data, at + 4)[0]
        found.append((at, length, kind, data[at + 8:at + 24].hex()))
        at += length
    return found


def all_records(spool):
    """(segment, offset, length, kind, message id) of everything in a sound spool."""
    return [(segment, *record) for segment in segments(spool) if generation_of(segment)
            for group in groups_of(segment) for record in records_of(segment, group)]


KINDS = {2: "chunk", 3: "message", 4: "outcome", 5: "audit", 7: "abandon", 8: "checkpoint"}


def flip(path, offset, mask=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def overwrite(path, offset, content):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def copy_spool(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)  # its owner too
    return pathlib.Path(target)
