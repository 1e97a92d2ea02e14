"""The DNS server that other tests rely on says what its zones say, and nothing when it is told to be silent."""
import socket
import struct

import pytest

from dns_server import DROP, GARBAGE, LAME, REFUSED, SERVFAIL, TRUNCATE, DnsServer, encode_name, record

ZONES = {
    "example.com": {"MX": [(10, "mx.example.com")]},
    "mx.example.com": {"A": ["127.0.0.2"], "AAAA": ["::1"]},
    "alias.example": {"CNAME": ["mx.example.com"]},
    "many.example": {"MX": [(i, f"mx{i}.many.example") for i in range(200)]},
    "empty.example": {},
}


def query(name, kind, ident=0x1234):
    return struct.pack(">6H", ident, 0x100, 1, 0, 0, 0) + encode_name(name) + struct.pack(">HH", kind, 1)


def ask(dns, name, kind, *, tcp=False):
    """Header fields and what follows the question."""
    packet = query(name, kind)
    if tcp:
        with socket.create_connection(("127.0.0.1", dns.port), timeout=30) as connection, connection.makefile("rb") as stream:
            connection.sendall(struct.pack(">H", len(packet)) + packet)
            answer = stream.read(struct.unpack(">H", stream.read(2))[0])
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(30)
            asking.connect(("127.0.0.1", dns.port))
            asking.send(packet)
            answer = asking.recv(4096)
    ident, flags, questions, answers, authorities, _ = struct.unpack_from(">6H", answer)
    assert (ident, questions) == (0x1234, 1) and flags & 0x8000
    assert answer[12:len(packet)] == packet[12:]
    return flags & 15, bool(flags & 0x200), answers, authorities, answer[len(packet):]


@pytest.fixture(name="dns")
def fixture_dns():
    with DnsServer(ZONES) as server:
        yield server


def test_zones(dns):
    assert ask(dns, "EXAMPLE.com", 15) == (0, False, 1, 0, record("example.com", "MX", 60, (10, "mx.example.com")))
    assert ask(dns, "mx.example.com", 1)[4].endswith(b"\x7f\0\0\2")
    code, _, answers, _, body = ask(dns, "alias.example", 28)
    assert (code, answers) == (0, 2) and body.endswith(b"\0" * 15 + b"\1")
    assert ask(dns, "empty.example", 15)[:4] == (0, False, 0, 1)
    assert ask(dns, "missing.example", 15)[:4] == (3, False, 0, 1)
    assert dns.asked["example.com", "MX"] == 1


def test_a_large_answer_needs_tcp(dns):
    assert ask(dns, "many.example", 15)[:3] == (0, True, 0)
    assert ask(dns, "many.example", 15, tcp=True)[:3] == (0, False, 200)


def test_habits(dns):
    dns.habits.update({"servfail.example": SERVFAIL, "refused.example": REFUSED, "lame.example": LAME, "garbage.example": GARBAGE})
    assert ask(dns, "servfail.example", 15)[0] == 2
    assert ask(dns, "refused.example", 15)[0] == 5
    assert ask(dns, "lame.example", 15)[2:4] == (0, 1)
    assert ask(dns, "garbage.example", 15)[2] == 1
    dns.habits["*"] = TRUNCATE
    assert ask(dns, "mx.example.com", 1)[1]
    assert not ask(dns, "mx.example.com", 1, tcp=True)[1]
    dns.habits["*"] = DROP
    assert dns.reply(query("mx.example.com", 1), over_tcp=False) == (None, 0)
