#!/usr/bin/python3
"""A message that ends the server is tried once more and then set aside; all other mail goes on."""
import ctypes
import pathlib
import signal
import socket

import pytest
from server import PATIENCE_S, BenchSink, Client, Server, wait_until, without_received

SYS_TGKILL = 234
MESSAGE = b"Subject: one\r\n\r\none\r\n"


@pytest.fixture
def silent_hop():
    """Takes connections and never says a word: a message in delivery to it stays in delivery."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"


def send(server, content):
    client = Client(server.port)
    client.envelope("anna@example.org", ["bert@example.net"])
    assert client.data(content).startswith("250")
    client.close()


def state(server):
    return [(recipient["state"], recipient["reason"]) for recipient in server.recipients()]


def die_in_delivery(server, number):
    """The signal hits the shard's thread, as it does when its code fails."""
    wait_until("a delivery", lambda: state(server)[0][0] == "delivering", meanwhile=server.must_run)
    pid = server.process.pid
    thread = next(int(path.parent.name) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/comm") if path.read_text() == "shard-0\n")
    assert ctypes.CDLL(None).syscall(SYS_TGKILL, pid, thread, number) == 0
    assert server.process.wait(PATIENCE_S) == -number
    server.end()


def test_what_ended_two_processes_is_set_aside_and_other_mail_goes_on(home, silent_hop):
    server = Server(home, route=silent_hop, settings={"shards": "1"})
    with server:
        send(server, MESSAGE)
        die_in_delivery(server, signal.SIGSEGV)
        server.start()
        die_in_delivery(server, signal.SIGABRT)
        with BenchSink() as sink:
            server.settings["route.default"] = sink.route
            server.write_config()
            server.start()
            wait_until("the message set aside", lambda: state(server) == [("held", "poison")], meanwhile=server.must_run)
            send(server, MESSAGE.replace(b"one", b"two"))
            wait_until("the other message", sink.count, meanwhile=server.must_run)
            assert [without_received(content) for _, _, content in sink.messages()] == [MESSAGE.replace(b"one", b"two")]
            assert state(server) == [("held", "poison")]
            assert "set aside" in server.said()


def test_being_killed_blames_no_message(home, silent_hop):
    server = Server(home, route=silent_hop, settings={"shards": "1"})
    with server:
        send(server, MESSAGE)
        for _ in range(3):
            wait_until("a delivery", lambda: state(server)[0][0] == "delivering", meanwhile=server.must_run)
            server.kill()
            server.end()
            server.start()
        wait_until("a delivery", lambda: state(server)[0][0] == "delivering", meanwhile=server.must_run)
