#!/usr/bin/python3
"""Which shards take new connections: as few as the load needs where connections are short, all where they are kept."""
import contextlib
import re
import socket
import subprocess

import pytest

from server import BUILD, Server, wait_until

BURST = 40  # all of them on one of two shards by chance: once in 2 ** 39


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    assert connection.recv(512).startswith(b"220")
    return connection


def accepted(server):
    """Connections of each shard so far."""
    return [int(count) for count in re.findall(r'^ringpost_connections_accepted_total\{shard="\d+"\} (\d+)$', server.ctl("metrics"), re.M)]


def in_use(server):
    [metric] = re.findall(r"^ringpost_shards_in_use (\d+)$", server.ctl("metrics"), re.M)
    assert server.status()["shards_in_use"] in range(1, 3)
    return int(metric)


def burst(server):
    """How many of a burst of short connections each shard got."""
    before = accepted(server)
    for _ in range(BURST):
        connect(server).close()
    return [now - then for now, then in zip(accepted(server), before)]


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path, settings={"shards.spread": None}) as server:
        yield server


def gather(server):
    """Until one shard takes all new connections."""
    wait_until("one shard for all", lambda: sorted(burst(server)) == [0, BURST], meanwhile=server.must_run)


def test_short_connections_go_to_one_shard(server):
    gather(server)
    wait_until("one shard in use", lambda: in_use(server) == 1, meanwhile=server.must_run)


def test_connections_that_are_kept_go_to_all(server):
    gather(server)
    with contextlib.ExitStack() as kept:
        for _ in range(BURST):
            kept.enter_context(connect(server))
        wait_until("both shards in use", lambda: in_use(server) == 2, meanwhile=server.must_run)
        before = accepted(server)

        def both_took_some():
            kept.enter_context(connect(server))
            return all(now > then for now, then in zip(accepted(server), before))
        wait_until("connections on both", both_took_some, meanwhile=server.must_run)
    gather(server)


def test_load_takes_another_shard_into_use(server):
    gather(server)
    many = ["--connections", "50", "--per-connection", "20", "--recipients", "100", "--size", "1k", "--pipeline", "--seconds", "120"]
    with contextlib.ExitStack() as generators:
        for _ in range(4):  # more than one shard can do, whoever else wants the cores
            load = subprocess.Popen([BUILD / "ringpost-bench", "send", "--to", f"127.0.0.1:{server.port}", "--quiet", *many], stdout=subprocess.DEVNULL)
            generators.callback(load.wait)
            generators.callback(load.kill)
        wait_until("both shards in use", lambda: in_use(server) == 2, meanwhile=server.must_run)


def test_an_operator_says_otherwise(server):
    gather(server)
    server.ctl("set", "shards.spread=even")
    wait_until("connections on both", lambda: min(burst(server)) > 0, meanwhile=server.must_run)
    assert in_use(server) == 2, "whatever connections do"
    server.ctl("set", "shards.spread=load")
    gather(server)


def test_one_shard_needs_no_spread(tmp_path):
    with Server(tmp_path, settings={"shards": "1", "shards.spread": None}) as server:
        assert burst(server) == [BURST]
        assert in_use(server) == 1
