"""A disk that fails, in short, for every run of the tests: each fault once by itself, and some together. And the layer itself."""
import errno
import mmap
import os
import pathlib

import pytest

import fault_fs
from disk_faults import FAULTS, KILL_EVERY, DiskFaults
from test_kill_loop import home  # noqa: F401 (a fixture)

BUILD = os.environ.get("RINGPOST_BUILD") or pathlib.Path(__file__).parents[2] / "build"
BLOCK = 4096


@pytest.fixture(autouse=True)
def a_layer_can_run():
    if why := fault_fs.why_not():
        pytest.skip(why)


@pytest.fixture
def layer(tmp_path):
    faults = fault_fs.Faults(tmp_path / "below", tmp_path / "above")
    yield faults, tmp_path / "below", tmp_path / "above"
    faults.close()


def test_without_faults_it_is_a_filesystem(layer):
    _, below, above = layer
    (above / "folder").mkdir()
    (above / "folder" / "a").write_bytes(b"text" * 5_000)
    os.rename(above / "folder" / "a", above / "folder" / "b")
    assert os.listdir(above / "folder") == ["b"]
    assert (above / "folder" / "b").read_bytes() == (below / "folder" / "b").read_bytes() == b"text" * 5_000
    with open(above / "mapped", "w+b") as file:
        file.truncate(BLOCK)
        with mmap.mmap(file.fileno(), BLOCK) as memory:
            memory[:4] = b"text"
            memory.flush()
    assert (below / "mapped").read_bytes()[:4] == b"text"
    os.unlink(above / "folder" / "b")
    assert not os.listdir(below / "folder")


def test_faults_strike_where_and_as_often_as_they_are_told_to(layer):
    faults, below, above = layer
    (above / "hit").write_bytes(b"")
    faults.set([{"op": "write", "kind": "EIO", "path": "hit", "times": 1}, {"op": "fsync", "kind": "ENOSPC", "path": "hit"}])
    (above / "other").write_bytes(b"good")
    with open(above / "hit", "r+b", buffering=0) as file:
        with pytest.raises(OSError) as raised:
            file.write(b"x")
        assert raised.value.errno == errno.EIO
        assert file.write(b"y") == 1
        with pytest.raises(OSError) as raised:
            os.fsync(file.fileno())
        assert raised.value.errno == errno.ENOSPC
        assert faults.set([]) == {"write EIO": 1, "fsync ENOSPC": 1}
        os.fsync(file.fileno())
    assert (below / "hit").read_bytes() in (b"y", b"\0")  # a sync that failed may have taken it back


def test_a_short_write_is_short(layer):
    faults, below, above = layer
    with mmap.mmap(-1, 64 * BLOCK) as memory:
        memory[:] = os.urandom(64 * BLOCK)
        fd = os.open(above / "file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        try:
            faults.set([{"op": "write", "kind": "short", "times": 1}])
            written = os.pwrite(fd, memory, 0)
        finally:
            os.close(fd)
        assert 512 <= written < 64 * BLOCK
        assert (below / "file").read_bytes()[:written] == memory[:written]


def test_H4_H5_a_disk_that_fails_loses_nothing_that_was_acknowledged(home):  # noqa: F811
    result = DiskFaults(BUILD, home, seed=7).run(rounds=len(FAULTS) + KILL_EVERY, seconds=0.3)
    assert result["problems"] == []
    assert result["check"]["sent"] > 0
    assert {"write EIO", "fsync EIO"} <= set(result["struck"]), result["struck"]
