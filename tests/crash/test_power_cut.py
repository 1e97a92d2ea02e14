"""Power cuts: what a cut may leave of a logged disk, and in short, for every run of the tests, cuts of a guest's power."""
import itertools
import os
import pathlib
import random
import socket
import struct

import pytest

import guest
from power_cut import PowerCuts
from server import Broken
from test_kill_loop import home  # noqa: F401 (a fixture)
from write_log import BLOCK, LoggedDisk, WriteLog, left_by_cut

BUILD = os.environ.get("RINGPOST_BUILD") or pathlib.Path(__file__).parents[2] / "build"


def block(letter):
    return letter.encode() * BLOCK


def possible(log, position, blocks):
    """All contents that a cut there can leave, each as a text of one letter a block; "-" was never written."""
    found = set()
    for seed, how in itertools.product(range(300), ("none", "some", "all")):
        disk = bytearray(b"-" * blocks * BLOCK)
        for offset, data in left_by_cut(log, position, how, random.Random(seed))[0]:
            disk[offset:offset + len(data)] = data
        found.add(disk[::BLOCK].decode())
    return found


def test_a_write_is_durable_when_a_flush_that_it_preceded_is_done():
    log = WriteLog()
    log.answer(log.write(0, block("a")))
    covers = log.flush()
    assert possible(log, len(log.events), 1) == {"-", "a"}
    log.flushed(covers)
    assert possible(log, len(log.events), 1) == {"a"}
    assert possible(log, len(log.events) - 1, 1) == {"-", "a"}
    assert possible(log, 0, 1) == {"-"}


def test_a_flush_does_not_cover_what_was_not_answered_when_it_was_asked_for():
    log = WriteLog()
    answered, under_way = log.write(0, block("a")), log.write(BLOCK, block("b"))
    log.answer(answered)
    covers = log.flush()
    log.answer(under_way)
    log.answer(log.write(2 * BLOCK, block("c")))
    log.flushed(covers)
    assert possible(log, len(log.events), 3) == {"a--", "ab-", "a-c", "abc"}
    assert log.open_writes(len(log.events)) == 2
    log.flushed(log.flush())
    assert possible(log, len(log.events), 3) == {"abc"}


def test_an_open_write_tears_and_a_durable_one_beneath_shows():
    log = WriteLog()
    log.answer(log.write(0, block("s") * 8 + block("a") * 3))
    log.flushed(log.flush())
    log.answer(log.write(8 * BLOCK, block("b") * 3))
    assert possible(log, len(log.events), 11) == {8 * "s" + "".join(letters) for letters in itertools.product("ab", repeat=3)}


def test_the_disk_serves_and_logs(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(8 * BLOCK))
    disk = LoggedDisk(image, tmp_path / "socket", seed=1)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / "socket"))
    with client, client.makefile("rwb", buffering=0) as stream:
        def read(count):
            data = b""
            while len(data) < count:
                data += stream.read(count - len(data))
            return data

        def ask(command, offset=0, length=0, data=b""):
            stream.write(struct.pack(">IHHQQI", 0x25609513, 0, command, 7, offset, length) + data)
            assert struct.unpack(">IIQ", read(16)) == (0x67446698, 0, 7)
            return read(length) if command == 0 else b""
        assert read(18)[:16] == b"NBDMAGICIHAVEOPT"
        stream.write(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0))  # NBD_OPT_EXPORT_NAME
        assert struct.unpack(">QH", read(10)) == (8 * BLOCK, 5)
        ask(1, BLOCK, BLOCK, block("x"))
        ask(3)
        ask(1, 0, BLOCK, block("y"))
        assert ask(0, 0, 2 * BLOCK) == block("y") + block("x")
    disk.close()
    assert possible(disk.log, len(disk.log.events), 2) >= {"-x", "yx"}
    assert all(one[1] == "x" for one in possible(disk.log, len(disk.log.events), 2))


@pytest.fixture(scope="module")
def known():
    """Skips where no guest can run. Fetches nothing: that is tools/test-guest's to do."""
    if why := guest.why_not():
        pytest.skip(why)
    try:
        return guest.tools(fetch=False)
    except Broken as reason:
        pytest.skip(str(reason))


def test_H2_what_was_acknowledged_survives_power_cuts(home, known):  # noqa: F811
    verdict = PowerCuts(BUILD, home, known, seed=5, messages=100, early=0).run(cuts=2)
    assert verdict.problems == []
    assert verdict["acknowledged"] > 0 and verdict["undecided_writes"] > 0, dict(verdict)


def test_H2_a_server_that_answers_before_its_sync_is_found(home, known):  # noqa: F811
    verdict = PowerCuts(BUILD, home, known, seed=5, plant="hasty", reconstructions=6, messages=100, early=0).run(cuts=2)
    assert verdict["lost"] > 0, dict(verdict)
