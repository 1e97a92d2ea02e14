#!/usr/bin/python3
"""Floods and broken records at listeners under TLS, and what good clients notice of it."""
import contextlib
import multiprocessing
import pathlib
import re
import socket
import ssl
import subprocess
import time

import pytest
from certificates import Authority
from raw_tls import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, RECORD_BYTES_MAX, RawTls, RawTls12
from server import PATIENCE_S, Server, free_port, is_sanitized, wait_until

HOST = "relay.example.com"
# A connection that brings nothing but empty records, alerts or key updates is over before so many bytes of it.
BARREN_BYTES_MAX = 256 * 1024
GOOD_CLIENT_S = 1.0


class TlsServer(Server):
    """Two implicit listeners of different roles."""

    def __init__(self, home, **settings):
        self.authority = Authority(home)
        self.implicit, self.mx = free_port(), free_port()
        super().__init__(home, settings={
            "listener.smtps.address": f"127.0.0.1:{self.implicit}", "listener.smtps.tls": "implicit", "relay.domains": "our.example",
            "listener.mx.address": f"127.0.0.1:{self.mx}", "listener.mx.tls": "implicit", "listener.mx.role": "mx",
            **self.authority.files("main", HOST), **settings})

    def context(self):
        return ssl.create_default_context(cafile=self.authority.trust)

    def raw(self, kind=RawTls, **options):
        return kind(self.implicit, HOST, self.authority.trust, PATIENCE_S, **options)

    def good_client_s(self, source="127.0.0.2"):
        """How long somebody takes who connects, shakes hands, says EHLO and QUIT."""
        began = time.monotonic()
        plain = socket.create_connection(("127.0.0.1", self.implicit), timeout=PATIENCE_S, source_address=(source, 0))
        with self.context().wrap_socket(plain, server_hostname=HOST) as secure:
            assert secure.recv(512).startswith(b"220")
            secure.sendall(b"EHLO client.example\r\n")
            assert secure.recv(4096).startswith(b"250")
            secure.sendall(b"QUIT\r\n")
            assert secure.recv(512).startswith(b"221")
        return time.monotonic() - began

    def metric(self, name):
        return sum(int(value) for value in re.findall(rf"^ringpost_{name}\{{.*\}} (\d+)$", self.ctl("metrics"), re.M))

    def memory_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    import os
    import shutil
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-test.", dir="/var/tmp"))
    os.chmod(folder, 0o711)
    try:
        with TlsServer(folder, **{"limits.connections_per_client": "5000", "limits.connections_per_prefix": "9000"}) as running:
            yield running
            assert running.good_client_s() < PATIENCE_S
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---- T2: handshakes that cost us more than them

def first_message():
    """A ClientHello as Python sends it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def flood(port, per_s, seconds, held, hello, counted, enough):
    """Opens connections at that rate until `enough` is set, each with a ClientHello and nothing more, and keeps the last `held` of them."""
    began, sockets = time.monotonic(), []
    for number in range(int(per_s * seconds)):
        if enough.wait(max(0.0, began + number / per_s - time.monotonic())):
            break
        with contextlib.suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", port), timeout=5)
            sock.sendall(hello)
            sockets.append(sock)
            counted.value += 1
        if len(sockets) > held:
            sockets.pop(0).close()
    for sock in sockets:
        sock.close()


@pytest.mark.alone
@pytest.mark.parametrize("held", [8, 1000], ids=["that end at once", "half of them done"])
def test_T2_good_clients_do_not_wait_for_a_flood_of_handshakes(server, held):
    per_s, seconds = (100, 4) if is_sanitized() else (300, 5)
    before, idle = server.metric("tls_handshakes_failed_total"), server.memory_kib()
    counted, enough = multiprocessing.Value("i", 0), multiprocessing.Event()
    attacker = multiprocessing.Process(target=flood, args=(server.implicit, per_s, seconds, held, first_message(), counted, enough))
    attacker.start()
    try:
        wait_until("the flood", lambda: counted.value > per_s / 4)
        took, began, first = [], time.monotonic(), counted.value
        while attacker.is_alive() and counted.value < per_s * seconds * 0.9:
            took.append(server.good_client_s())
        rate = (counted.value - first) / (time.monotonic() - began)
    finally:
        enough.set()
        attacker.join()
    assert rate > per_s / 2, "that was no flood"
    assert len(took) >= 10 and max(took) < GOOD_CLIENT_S, (rate, sorted(took)[-5:])
    wait_until("their end", lambda: server.metric("tls_handshakes_failed_total") - before >= counted.value * 0.95)
    assert server.memory_kib() < idle + 200 * 1024


def s_client(server, *options, words):
    # Without -ign_eof a line that begins with R asks for a renegotiation.
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.implicit}", "-servername", HOST, "-CAfile", server.authority.trust, "-crlf", *options]
    run = subprocess.run(command, input=words, capture_output=True, text=True, timeout=PATIENCE_S)
    return run.stdout + run.stderr


def test_T2_renegotiation_is_refused(server):
    handshakes = server.metric("tls_handshakes_total")
    said = s_client(server, "-tls1_2", words="R\n" * 50 + "NOOP\nQUIT\n")
    assert "RENEGOTIATING" in said and "221 2.0.0" not in said and "250 2.0.0" not in said, said
    assert server.metric("tls_handshakes_total") == handshakes + 1


# ---- T3: records

@pytest.mark.parametrize("version", [RawTls, RawTls12])
def test_T3_one_byte_in_each_record_is_only_slow(server, version):
    with server.raw(version) as raw:
        assert raw.read().startswith(b"220")
        raw.send(b"".join(raw.record(bytes([octet])) for octet in b"EHLO client.example\r\n"))
        assert raw.read().startswith(b"250")
        for octet in b"QUIT\r\n":
            raw.send(raw.record(bytes([octet])))
        assert raw.read().startswith(b"221")


def test_T3_a_first_message_may_come_in_some_records_but_not_in_one_for_each_byte(server):
    for split in (7, 100):
        with server.raw(split_hello=split) as raw:
            assert raw.read().startswith(b"220")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.raw(split_hello=1)


def test_T3_the_largest_record_is_read_and_a_larger_one_ends_the_connection(server):
    line = b"NOOP " + b"x" * 400 + b"\r\n"
    with server.raw() as raw:
        assert raw.read().startswith(b"220")
        full = (b"NOOP\r\n" * 20).ljust(RECORD_BYTES_MAX - len(line), b"y")
        raw.send(raw.record(full + line))
        assert raw.read().startswith(b"250")
    for size in (RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX + 200):
        with server.raw() as raw:
            assert raw.read().startswith(b"220")
            raw.send(raw.record(b"NOOP\r\n".ljust(size, b"x")))
            assert raw.read() == b"", size
    with server.raw() as raw:
        assert raw.read().startswith(b"220")
        raw.send(b"\x17\x03\x03\xff\xff" + b"x" * 70_000)
        assert raw.read() == b""


# Records without a byte of data, for ever. An alert is the warning user_canceled or no_renegotiation.
BARREN = {
    "empty records": (RawTls, lambda raw: raw.record(b"")),
    "alerts": (RawTls, lambda raw: raw.record(b"\x01\x5a", ALERT)),
    "key updates": (RawTls, lambda raw: raw.key_update(0)),
    "key updates that want an answer": (RawTls, lambda raw: raw.key_update(1)),
    "change_cipher_spec": (RawTls, lambda raw: b"\x14\x03\x03\x00\x01\x01"),
    "empty records of TLS 1.2": (RawTls12, lambda raw: raw.record(b"")),
    "alerts of TLS 1.2": (RawTls12, lambda raw: raw.record(b"\x01\x64", ALERT)),
    "change_cipher_spec of TLS 1.2": (RawTls12, lambda raw: raw.record(b"\x01", CHANGE_CIPHER_SPEC)),
    "renegotiations of TLS 1.2": (RawTls12, lambda raw: raw.record(first_message()[5:], HANDSHAKE)),
}


@pytest.mark.parametrize("kind", BARREN)
def test_T3_a_flood_that_is_no_data_ends_the_connection(server, kind):
    idle = server.memory_kib()
    version, make = BARREN[kind]
    with server.raw(version) as raw:
        assert raw.read().startswith(b"220")
        size = len(make(raw))
    with server.raw(version) as raw:
        assert raw.read().startswith(b"220")
        limit = BARREN_BYTES_MAX // size
        sent = raw.ends_within(make(raw) for _ in range(10 * limit))
        # What the sockets held when it ended went out, too.
        assert sent is not None and sent < 8 * limit, (kind, sent)
    assert server.good_client_s() < GOOD_CLIENT_S * 5
    assert server.memory_kib() < idle + 50 * 1024


def test_T3_a_few_of_them_are_no_flood(server):
    with server.raw() as raw:
        assert raw.read().startswith(b"220")
        raw.send(raw.record(b"") * 1 + raw.key_update(0) + raw.record(b"NOOP\r\n") + raw.key_update(1) + raw.record(b""))
        assert raw.read().startswith(b"250")
        raw.send(raw.record(b"QUIT\r\n"))
        assert raw.read().startswith(b"221")


# ---- T5: tickets

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_T5_a_ticket_of_another_role_leads_to_a_full_handshake(server, version):
    def session_at(port, context, session=None):
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        with context.wrap_socket(plain, server_hostname=HOST, session=session) as secure:
            assert secure.recv(512).startswith(b"220")
            secure.sendall(b"MAIL FROM:<a@client.example>\r\n")
            assert secure.recv(512).startswith(b"503"), "nothing of an earlier session counts"
            secure.sendall(b"QUIT\r\n")
            assert secure.recv(512).startswith(b"221")
            return secure.session, secure.session_reused
    context = server.context()
    context.minimum_version = context.maximum_version = version
    for port, other in ((server.implicit, server.mx), (server.mx, server.implicit)):
        session, reused = session_at(port, context)
        assert not reused
        assert session_at(port, context, session)[1], "its own role takes it"
        assert not session_at(other, context, session)[1]
