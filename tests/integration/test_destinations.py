#!/usr/bin/python3
"""Several destinations beside each other: one that refuses, one that says nothing, one that drips; and where DNS says mail goes."""
import contextlib
import socket
import threading
import time

import pytest
from dns_server import SERVFAIL, DnsServer
from server import BenchSink, Client, Server, free_port, wait_until

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"
YOUNG = ("not_tried_yet", "in_delivery")  # reasons of what nobody has had a word to say about


class SlowHop:
    """Takes every connection. `pause_s` before each reply; None: never a word."""

    def __init__(self, pause_s=None):
        self.pause_s, self.most, self.open, self.lock = pause_s, 0, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.route = "smtp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        with contextlib.suppress(OSError), connection:
            if self.pause_s is None:
                self.ended.wait()
                return
            connection.sendall(b"220 slow\r\n")
            stream, in_data = connection.makefile("rb"), False
            for line in stream:
                if in_data and line != b".\r\n":
                    continue
                if self.ended.wait(self.pause_s):
                    break
                in_data = line.upper().startswith(b"DATA")
                connection.sendall(b"354 go\r\n" if in_data else b"250 ok\r\n")
        with self.lock:
            self.open -= 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.listener.close()


def send_many(server, domain, count):
    with Client(server.port) as client:
        for number in range(count):
            client.send("a@client.example", [f"u{number}@{domain}"], MESSAGE)


def latencies(server, sink, count):
    """How long each of so many messages to the healthy destination takes, from DATA's 250 to the sink."""
    times = []
    with Client(server.port) as client:
        for number in range(count):
            before = sink.count()
            client.send("a@client.example", [f"g{number}@good.example"], MESSAGE)
            began = time.monotonic()
            wait_until("the healthy delivery", lambda: sink.count() > before)
            times.append(time.monotonic() - began)
    return sorted(times)


@pytest.mark.alone
def test_destinations_in_trouble_do_not_hinder_a_healthy_one(home):
    with BenchSink() as sink, SlowHop() as silent, SlowHop(20) as tarpit:
        server = Server(home, settings={
            "route.good.example": sink.route, "route.refused.example": f"smtp://127.0.0.1:{free_port()}",
            "route.silent.example": silent.route, "route.tarpit.example": tarpit.route})
        with server:
            latencies(server, sink, 5)
            for domain in ("refused.example", "silent.example", "tarpit.example"):
                send_many(server, domain, 1000)
            send_many(server, "held.example", 10)  # route.default = hold
            times = latencies(server, sink, 100)
            assert times[98] < 0.5, times[-5:]  # a busy machine; unhindered it is a millisecond
            assert max(silent.most, tarpit.most) <= 4, "who never answers gets no more connections: two for each shard"
            with Client(server.port) as client:
                client.send("a@client.example", ["x@good.example", "y@refused.example", "z@good.example"], MESSAGE)
            both = wait_until("both good recipients", lambda: [m for m in sink.messages() if m[1] == ["x@good.example", "z@good.example"]])
            assert len(both) == 1, "one transaction for both"
            listed = wait_until("the third one's reason", lambda: [
                r for m in server.queue() for r in m["recipients"] if r["address"] == "y@refused.example" and r["reason"] not in YOUNG])
            assert listed[0]["reason"] in ("connection_refused", "destination_suspended"), listed
            held = [r for r in server.recipients() if r["address"].endswith("held.example")]
            assert len(held) == 10 and {r["reason"] for r in held} <= {"route_holds", *YOUNG}, held
            # The one that refused is back, at another place: nothing was lost.
            server.ctl("set", f"route.refused.example={sink.route}")
            wait_until("the backlog's end", lambda: sum(m[1][0].endswith("refused.example") for m in sink.messages()) == 1001)


def can_listen_on_25():
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.2", 25)):
        return True
    return False


@pytest.mark.skipif(not can_listen_on_25(), reason="port 25 of the loopback cannot be had")
def test_mail_goes_where_dns_says(home):
    zones = {
        "two.example": {"MX": [(20, "mx2.two.example"), (10, "mx1.two.example")]},
        "mx1.two.example": {"A": ["127.0.0.9"]},  # nobody listens there
        "mx2.two.example": {"A": ["127.0.0.2"]},
        "implicit.example": {"A": ["127.0.0.2"]},
        "null.example": {"MX": [(0, ".")]},
        "loop.example": {"MX": [(10, "relay.example.com")]},
        "fails.example": {"MX": [(10, "mx2.two.example")]},
    }
    with DnsServer(zones, ttl=5) as dns, BenchSink(25, host="127.0.0.2") as sink:
        dns.habits["fails.example"] = SERVFAIL
        server = Server(home, route="mx", settings={"dns.servers": dns.servers, "dns.allow_private": "yes"})
        with server:
            recipients = ["a@two.example", "b@implicit.example", "c@null.example", "d@loop.example", "e@fails.example", "f@nowhere.example"]
            with Client(server.port) as client:
                client.send("a@client.example", recipients, MESSAGE)

            def settled():
                found = {r["address"]: (r["state"], r["reason"], r["code"]) for r in server.recipients()}
                return found if len(found) == 6 and not {state for state, _, _ in found.values()} & {"queued", "delivering"} else None
            found = wait_until("every recipient's result", settled, meanwhile=server.must_run)
            assert found == {
                "a@two.example": ("delivered", None, 250), "b@implicit.example": ("delivered", None, 250),
                "c@null.example": ("failed", "null_mx", 556), "d@loop.example": ("failed", "mail_loop", 554),
                "e@fails.example": ("deferred", "dns_temporary", 451), "f@nowhere.example": ("failed", "dns_no_such_domain", 550)}, found
            assert sorted(m[1] for m in sink.messages()) == [["a@two.example"], ["b@implicit.example"]]
            del dns.habits["fails.example"]
            wait_until("the one that DNS had failed for", lambda: ["e@fails.example"] in [m[1] for m in sink.messages()])


class Lmtp:
    """An LMTP server on a Unix socket that takes one recipient and refuses another after the message."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)  # the server is another user
        self.listener.listen()
        self.lines = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            connection.sendall(b"220 lmtp\r\n")
            in_data = False
            for line in connection.makefile("rb"):
                self.lines.append(line)
                if in_data:
                    if line == b".\r\n":
                        in_data = False
                        connection.sendall(b"250 2.0.0 a has it\r\n552 5.2.2 b is full\r\n")
                elif line.startswith(b"LHLO"):
                    connection.sendall(b"250-lmtp\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n")
                elif line.startswith(b"DATA"):
                    in_data = True
                    connection.sendall(b"354 go\r\n")
                else:
                    connection.sendall(b"250 2.0.0 ok\r\n")


def test_lmtp_over_a_unix_socket_answers_for_each_recipient(home):
    lmtp = Lmtp(home / "lmtp")
    with Server(home, route=f"lmtp:{home}/lmtp") as server:
        with Client(server.port) as client:
            client.send("a@client.example", ["a@box.example", "b@box.example"], MESSAGE)
        def results():
            mail = next((line["message"] for line in server.audit_lines() if line["event"] == "message_accepted"), None)
            return {line["event"]: line["reply"][:3] for line in server.audit_lines()
                    if line["event"] in ("recipient_delivered", "recipient_failed") and line["message"] == mail}
        wait_until("both results", lambda: len(results()) == 2, meanwhile=server.must_run)
        assert results() == {"recipient_delivered": "250", "recipient_failed": "552"}
        assert lmtp.lines[0] == b"LHLO relay.example.com\r\n"
    lmtp.listener.close()
