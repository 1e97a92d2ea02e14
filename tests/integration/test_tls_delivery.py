#!/usr/bin/python3
"""TLS towards next hops: Python's aiosmtpd with a certificate, and what each policy makes of it."""
import contextlib
import socket
import threading

import pytest
from certificates import Authority
from cryptography.hazmat.primitives import hashes
from server import Client, Server, TlsSink, wait_until

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"


@pytest.fixture
def authority(home):
    return Authority(home)


class GluedHop:
    """Offers STARTTLS, and says `more` behind its 220: in the same segment, or in the next. Keeps every line it is told in clear."""

    def __init__(self, more, segment):
        self.more, self.segment, self.lines = more, segment, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    self.converse(connection)

    def converse(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"220 localhost\r\n")
        for line in connection.makefile("rb"):
            self.lines.append(line)
            if line.startswith(b"EHLO"):
                connection.sendall(b"250-localhost\r\n250 STARTTLS\r\n")
            elif line.startswith(b"STARTTLS"):
                pieces = [b"220 go ahead\r\n" + self.more] if self.segment == "same" else [b"220 go ahead\r\n", self.more]
                for piece in pieces:
                    connection.sendall(piece)
            else:
                connection.sendall(b"250 ok\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def relay(home, sink, authority, policy, **settings):
    return Server(home, route=f"smtp://localhost:{sink.port}", settings={
        "shards": "1", "tls.trust_file": str(authority.trust), "retry.first": "300 s",
        **({"destination.localhost..tls": policy} if policy else {}), **settings})


def send(server, content=MESSAGE):
    with Client(server.port) as client:
        client.send("a@client.example", ["b@next.example"], content)


def reason_of(server):
    """Why the only message waits, once it was tried."""
    tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
    return tried[0]["reason"], tried[0]["code"]


def how_secured(server, kind):
    """(policy, verified, why it is not better) of the last such event."""
    last = wait_until(kind, lambda: [event["tls"] for event in server.audit_lines() if event["event"] == kind and "tls" in event])[-1]
    return last["policy"], last["verified"], last["why_not_better"]


@pytest.mark.parametrize("policy", [None, "opportunistic", "encrypt", "verify"])
def test_mail_goes_under_tls(home, authority, policy):
    large = b"Subject: large\r\n\r\n" + (b"x" * 98 + b"\r\n") * 30_000
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, policy) as server:
        send(server)
        send(server, large)
        server.wait_delivered()
        assert [version for version, _ in sink.kept] == ["TLSv1.3"] * 2
        assert sorted(len(content.partition(b"\r\n\r\n")[2]) for _, content in sink.kept) == [7, 3_000_000]
        assert 'ringpost_delivery_connections_tls_total{shard="0"}' in server.ctl("metrics")


def test_a_later_connection_goes_on_with_an_earlier_session(home, authority):
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, "verify", **{"deliver.messages_per_connection": "1"}) as server:
        for _ in range(3):
            send(server)
            server.wait_delivered()
        assert [version for version, _ in sink.kept] == ["TLSv1.3"] * 3
        assert 'ringpost_delivery_connections_resumed_total{shard="0"} 2' in server.ctl("metrics")


def test_none_goes_in_clear_though_tls_is_offered(home, authority):
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, "none") as server:
        send(server)
        server.wait_delivered()
        assert [version for version, _ in sink.kept] == [None]


@pytest.mark.parametrize("how, hosts", [({"ends": -0.5}, ["localhost"]), ({"begins": 5}, ["localhost"]), ({}, ["elsewhere.example"]),
                                        ({"kind": "short"}, ["localhost"]), ({"digest": hashes.SHA1}, ["localhost"]), ({"missing": True}, ["localhost"])],
                         ids=["expired", "not yet valid", "wrong name", "RSA of 1024 bits", "signed over SHA-1", "chain missing"])
def test_T6_a_certificate_that_is_not_good(home, authority, tmp_path, how, hosts):
    """verify: mail waits, and nothing of it is said. encrypt and auto: it goes, and the event says that nobody was verified."""
    issuer = authority.below(tmp_path) if how.pop("missing", False) else authority
    with TlsSink(issuer, *hosts, **how) as sink:
        with relay(home, sink, authority, "verify") as server:
            send(server)
            assert reason_of(server) == ("peer_not_verified", 451)
            assert not sink.kept
            assert how_secured(server, "recipient_deferred") == ("verify", False, "certificate")
            for policy, name in (("encrypt", "encrypt"), ("auto", "opportunistic")):
                server.ctl("set", f"destination.localhost..tls={policy}")
                send(server)
                server.run_ctl("queue", "retry", "--all")  # the new one may be under way already
                server.wait_delivered()
                assert wait_until("the event", lambda: how_secured(server, "recipient_delivered")[:2] == (name, False))
            assert {version for version, _ in sink.kept} == {"TLSv1.3"}


def test_T6_a_certificate_that_is_revoked(home, authority, tmp_path):
    """The list alone is changed: it is taken up by itself, and no earlier TLS session helps."""
    lists = home / "revoked.pem"
    lists.write_bytes(authority.revocations())
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, "verify", **{"tls.revocation_file": str(lists)}) as server:
        send(server)
        server.wait_delivered()
        assert how_secured(server, "recipient_delivered") == ("verify", True, None)
        lists.write_bytes(authority.revocations(authority.folder / "sink.pem"))

        def refused():
            send(server)
            return [each for each in server.recipients() if each["reason"]]
        tried = wait_until("the list's word", refused, meanwhile=server.must_run)
        assert (tried[0]["reason"], tried[0]["code"]) == ("peer_not_verified", 451)
        assert how_secured(server, "recipient_deferred") == ("verify", False, "certificate")
        server.ctl("set", "destination.localhost..tls=encrypt")
        wait_until("an empty queue", lambda: server.run_ctl("queue", "retry", "--all") and not server.queue(), meanwhile=server.must_run)


@pytest.mark.parametrize("whose, ends, waits", [("its own", 30, False), ("its own", -1, True), ("another's", 30, False)],
                         ids=["not on the list", "list out of date", "no list"])
def test_T6_a_list_that_says_nothing_of_a_certificate(home, authority, tmp_path, whose, ends, waits):
    lists = home / "revoked.pem"
    issuer = authority if whose == "its own" else Authority(tmp_path, name="other")
    lists.write_bytes(issuer.revocations(ends=ends))
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, "verify", **{"tls.revocation_file": str(lists)}) as server:
        send(server)
        if waits:
            assert reason_of(server) == ("peer_not_verified", 451)
        else:
            server.wait_delivered()
        assert len(sink.kept) == (not waits)


def test_a_list_that_is_named_must_be_there(home, authority):
    with TlsSink(authority, "localhost") as sink:
        server = relay(home, sink, authority, "verify", **{"tls.revocation_file": f"{home}/nothing.pem"})
        code, said = server.refuses_to_start()
        assert code == 2 and f"{home}/nothing.pem" in said, said
        server.settings["tls.revocation_file"] = str(authority.trust)
        server.write_config()
        code, said = server.refuses_to_start()
        assert code == 2 and "holds no revocation list" in said, said


def test_T6_an_authority_that_is_not_trusted_any_more(home, authority, tmp_path):
    other = Authority(tmp_path)
    trust = home / "trust.pem"
    trust.write_bytes(authority.trust.read_bytes())
    with TlsSink(authority, "localhost") as sink, relay(home, sink, authority, "verify", **{"tls.trust_file": str(trust)}) as server:
        send(server)
        server.wait_delivered()
        trust.write_bytes(other.trust.read_bytes())
        server.ctl("reload")
        send(server)
        assert reason_of(server) == ("peer_not_verified", 451)
        assert len(sink.kept) == 1


def test_T9_what_demands_tls_waits_where_none_is_offered(home, authority):
    with TlsSink(authority, offers=False) as sink, relay(home, sink, authority, "encrypt") as server:
        send(server)
        assert reason_of(server) == ("tls_not_offered", 451)
        server.ctl("set", "destination.localhost..tls=auto")
        server.ctl("queue", "retry", "--all")
        server.wait_delivered()
        assert [version for version, _ in sink.kept] == [None]


@pytest.mark.parametrize("segment", ["same", "next"])
def test_C2_what_stands_behind_the_answer_to_starttls_is_a_failure(home, authority, segment):
    for more in (b"250 2.1.0 ok\r\n", b"250-localhost\r\n250 SIZE\r\n", b"354 go\r\n"):
        with GluedHop(more, segment) as hop, relay(home, hop, authority, "encrypt") as server:
            send(server)
            assert reason_of(server) == ("tls_failed", 451)
            assert not [line for line in hop.lines if line.startswith((b"MAIL", b"RCPT", b"DATA"))], hop.lines
            server.ctl("queue", "delete", "--all")


def test_a_trust_file_that_is_needed_must_be_there(home, authority):
    with TlsSink(authority, "localhost") as sink:
        server = relay(home, sink, authority, "verify", **{"tls.trust_file": f"{home}/nothing.pem"})
        code, said = server.refuses_to_start()
        assert code == 2 and f"{home}/nothing.pem" in said and "destination.localhost..tls" in said, said
        server.settings["destination.localhost..tls"] = "encrypt"
        server.write_config()
        with server:
            send(server)
            server.wait_delivered()
