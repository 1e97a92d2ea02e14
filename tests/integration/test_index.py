#!/usr/bin/python3
"""The index is a cache: with it a start reads less, and without it, or with a broken one, nothing is lost (H8)."""
import random
import re

import pytest
from server import BenchSink, Client, Server, wait_until, without_received

COUNT = 40  # of 256 KiB: more than one of the test's segments for one of the shards at least


def contents():
    chance = random.Random(7)
    return {f"Subject: number {number}\r\n\r\n".encode() + b"\r\n".join(b"%064x" % chance.getrandbits(256) for _ in range(4000)) + b"\r\n"
            for number in range(COUNT)}


def send(server, messages):
    """Each over a connection of its own, so that every shard gets some."""
    for message in messages:
        client = Client(server.port)
        client.envelope("anna@example.org", ["bert@example.net", "cleo@example.net"])
        assert client.data(message).startswith("250")
        client.close()


def start_said(server, number):
    """What the start with this number (from 1 on) said of each partition: number of messages, segments read, segments known already."""
    def look():
        found = re.findall(r"partition recovered.*?messages=(\d+) segments_read=(\d+) segments_known=(\d+)", server.said())
        return [tuple(map(int, numbers)) for numbers in found] if len(found) >= 2 * number else None
    return wait_until("the end of the recovery", look, meanwhile=server.must_run)[2 * number - 2:]


def all_arrives(server, messages):
    with BenchSink() as sink:
        server.ctl("set", f"route.default={sink.route}")
        server.wait_delivered()
        assert {without_received(content) for _, _, content in sink.messages()} == messages
        assert sink.count() == len(messages)


def index_files(server):
    files = list(server.spool.glob("*/index/data.mdb"))
    assert len(files) == 2
    return files


def test_a_start_reads_what_the_index_does_not_know(home):
    messages = contents()
    with Server(home) as server:
        assert [partition[0] for partition in start_said(server, 1)] == [0, 0]
        send(server, messages)
        wait_until("an audit log of all", lambda: sum(line["event"] == "message_accepted" for line in server.audit_lines()) == COUNT)
        server.stop()
        server.start()
        after = start_said(server, 2)
        assert sum(partition[0] for partition in after) == COUNT
        assert sum(partition[2] for partition in after) >= 1, "segments that need not be read"
        all_arrives(server, messages)
        server.stop()
        server.start()
        assert [partition[0] for partition in start_said(server, 3)] == [0, 0]


def remove(path):
    path.unlink()


def garble(path):
    with path.open("r+b") as file:
        for offset in range(0, path.stat().st_size, 512):
            file.seek(offset + 100)
            file.write(b"\xa5" * 32)


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def be_old(path):
    """The other partition's: good in itself, and of something else."""
    other = next(file for file in path.parents[2].glob("*/index/data.mdb") if file != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("harm", [remove, garble, truncate, be_old])
@pytest.mark.parametrize("end", ["in order", "by SIGKILL"])
def test_H8_an_index_that_is_not_to_be_trusted_is_made_anew(home, harm, end):
    messages = set(list(contents())[:10])
    with Server(home) as server:
        send(server, messages)
        wait_until("an index", lambda: all(path.stat().st_size > 0 for path in index_files(server)))
        if end == "in order":
            server.stop()
        else:
            family = server.family()
            server.kill()
            wait_until("the end of its helpers", lambda: not set(family) & set(server.family()))
        for path in index_files(server)[:1 if harm is be_old else 2]:
            harm(path)
        for unproven in server.spool.glob("*/index/unproven"):
            unproven.unlink()
        server.start()
        assert len(server.queue()) == len(messages)
        all_arrives(server, messages)
