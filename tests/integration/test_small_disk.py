#!/usr/bin/python3
"""A spool on a small filesystem of its own: segments with little left in them are emptied, so that mail goes on coming in."""
import re

import pytest
from server import AioSink, Client, Server, small_ext4, wait_until, without_received

DISK_MIB = 64
FILLER = b"Subject: filler\r\n\r\n" + (b"x" * 98 + b"\r\n") * 700


@pytest.fixture
def small_disk(home):
    yield from small_ext4(home / "spool", DISK_MIB)


class Stubborn(AioSink):
    """Takes nothing for recipients called stay, for now."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("stay"):
            return "450 4.2.0 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def copied(server):
    return sum(int(value) for value in re.findall(r"^ringpost_messages_copied_total\S* (\d+)$", server.ctl("metrics"), re.M))


def send(server, recipient, content):
    """As every client does, again after a 452: while a segment is being emptied there may be no space."""
    def once():
        client = Client(server.port)
        try:
            reply = client.ask("MAIL FROM:<anna@example.org>")
            if reply.startswith("250"):
                assert client.ask(f"RCPT TO:<{recipient}>").startswith("250")
                reply = client.data(content)
            assert reply[:3] in ("250", "452"), reply
            return reply.startswith("250")
        finally:
            client.close()
    wait_until("space for a message", once, meanwhile=server.must_run)


def test_H3_mail_is_refused_before_the_disk_is_full_and_taken_again_when_there_is_room(home, small_disk):
    settings = {"shards": "1", "route.default": "hold", "spool.reserve_bytes": "1 MiB", "spool.low_space_percent": "50"}
    with Server(home, settings=settings) as server:
        def offer():
            with Client(server.port) as client:
                reply = client.ask("MAIL FROM:<anna@example.org>")
                if not reply.startswith("250"):
                    return reply
                assert client.ask("RCPT TO:<bert@example.net>").startswith("250")
                return client.data(FILLER)
        taken, reply = 0, offer()
        while reply.startswith("250"):
            taken, reply = taken + 1, offer()
        assert reply.startswith("452 4.3.1"), reply
        mib = taken * len(FILLER) >> 20
        assert 0.3 * DISK_MIB < mib < 0.6 * DISK_MIB, f"{mib} MiB were taken"
        server.ctl("set", "spool.low_space_percent=10")
        assert offer().startswith("250")
        server.ctl("set", "spool.low_space_percent=50")
        assert offer().startswith("452")
        assert server.ctl("queue", "delete", "--all") == f"{taken + 1:,} messages deleted\n"
        wait_until("room", lambda: offer().startswith("250"), meanwhile=server.must_run)


def test_H3_segments_with_little_left_in_them_are_emptied(home, small_disk):
    kept = {}
    with Stubborn() as stubborn:
        server = Server(home, route=stubborn.route, settings={"shards": "1", "spool.reserve_bytes": "1 MiB", "retry.first": "300 s"})
        with server:
            # Every few MiB one message stays: in the end one in each segment, and twice the disk has come through.
            for number in range(1, 2 * DISK_MIB * 1024 // 70):
                if number % 40 == 1:
                    content = b"Subject: stays %d\r\n\r\n" % number + (b"y" * 98 + b"\r\n") * 30
                    kept[f"stay{number}@example.net"] = content
                    send(server, f"stay{number}@example.net", content)
                send(server, "goes@example.net", FILLER)
                if number % 40 == 0:
                    wait_until("deliveries", lambda: len(server.queue()) == len(kept), meanwhile=server.must_run)
                    stubborn.forget()
            assert copied(server) > 0
            wait_until("deliveries", lambda: len(server.queue()) == len(kept), meanwhile=server.must_run)
            server.kill()
            server.end()
            server.start()
            assert len(server.queue()) == len(kept)
        with AioSink() as sink:
            server.settings["route.default"] = sink.route
            server.settings["retry.first"] = server.settings["retry.max"] = "1 s"
            server.write_config()
            with server:
                server.wait_delivered()
                arrived = {recipients[0]: without_received(content) for _, recipients, content in sink.messages()}
                assert {name: content for name, content in arrived.items() if name.startswith("stay")} == kept
