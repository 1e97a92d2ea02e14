#!/usr/bin/python3
"""TLS as other people's clients see it: Python's ssl, openssl s_client, swaks."""
import contextlib
import re
import smtplib
import socket
import ssl
import subprocess
import time

import pytest
from certificates import Authority, pem_of, new_key
from server import PATIENCE_S, Server, free_port, wait_until

HOST = "relay.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certified(home, authority):
    """An authority whose files lie where every user may read them."""
    return Authority(home)


class TlsServer(Server):
    """With listeners of all kinds: `port` offers TLS, `required` insists, `implicit` begins with it."""

    def __init__(self, home, authority, certificates=None, **settings):
        self.required, self.implicit, self.authority = free_port(), free_port(), authority
        super().__init__(home, settings={
            "listener.test.tls": "offered",
            "listener.strict.address": f"127.0.0.1:{self.required}", "listener.strict.tls": "required",
            "listener.smtps.address": f"127.0.0.1:{self.implicit}", "listener.smtps.tls": "implicit",
            **(certificates or authority.files("main", HOST)), **settings})

    def context(self, version=None):
        return self.authority.context(version)

    def subject_of(self, port, name=HOST, context=None):
        """Serial number of the certificate that an implicit listener shows."""
        context = context or self.context()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.getpeercert()["serialNumber"]


def send(smtp, subject="hello"):
    smtp.sendmail("a@client.example", ["b@next.example"], f"Subject: {subject}\r\n\r\nbody\r\n")


def test_the_ways_in(home, certified):
    with TlsServer(home, certified) as server:
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            context = server.context(version)
            with smtplib.SMTP("127.0.0.1", server.port, "client.example") as smtp:
                smtp.ehlo()
                assert smtp.has_extn("starttls")
                smtp._host = HOST
                assert smtp.starttls(context=context)[0] == 220
                assert smtp.sock.version() == name
                smtp.ehlo()
                assert not smtp.has_extn("starttls")
                assert smtp.docmd("STARTTLS")[0] == 503
                send(smtp, name)
            plain = socket.create_connection(("127.0.0.1", server.implicit), timeout=PATIENCE_S)
            with smtplib.SMTP() as smtp:
                smtp.sock = context.wrap_socket(plain, server_hostname=HOST)
                smtp.file = None
                assert smtp.getreply()[0] == 220
                assert smtp.ehlo("client.example")[0] == 250
                assert not smtp.has_extn("starttls")
                send(smtp, "implicit " + name)
        assert server.status()["accepted"] == 4
        metrics = server.ctl("metrics")
        assert sum(int(n) for n in re.findall(r"ringpost_tls_handshakes_total\{.*\} (\d+)", metrics)) == 4
        assert 'ringpost_certificate_days_left{certificate="main"} 29' in metrics


def test_required_means_required(home, certified):
    with TlsServer(home, certified) as server:
        with smtplib.SMTP("127.0.0.1", server.required, "client.example") as smtp:
            smtp.ehlo()
            for command in ("MAIL FROM:<a@client.example>", "RCPT TO:<b@next.example>", "DATA", "RSET", "HELP", "HELO x", "VRFY b"):
                assert smtp.docmd(command) == (530, b"5.7.0 Must issue a STARTTLS command first"), command
            assert smtp.docmd("NOOP")[0] == 250
            smtp._host = HOST
            assert smtp.starttls(context=server.context())[0] == 220
            send(smtp)
        assert server.status()["accepted"] == 1


def test_c4_starttls_with_an_argument_and_where_it_is_not_offered(home, certified):
    with TlsServer(home, certified, **{"listener.plain.address": f"127.0.0.1:{(plain := free_port())}"}) as server:
        with smtplib.SMTP("127.0.0.1", server.port, "client.example") as smtp:
            assert smtp.docmd("STARTTLS")[0] == 503
            smtp.ehlo()
            assert smtp.docmd("STARTTLS now")[0] == 501
        with smtplib.SMTP("127.0.0.1", plain, "client.example") as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("starttls")
            assert smtp.docmd("STARTTLS")[0] == 502


GLUED = ["EHLO evil.example", "MAIL FROM:<evil@evil.example>", "RCPT TO:<evil@evil.example>", "DATA", "AUTH PLAIN AGEAYg==",
         "XCLIENT ADDR=192.0.2.1", "QUIT"]


class Raw:
    """A connection in clear that becomes a protected one."""

    def __init__(self, server, port):
        self.server = server
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def reply(self):
        while not re.search(rb"^\d{3} .*\r\n", self.rest, re.M):
            if not (data := self.sock.recv(4096)):
                return b""
            self.rest += data
        end = re.search(rb"^\d{3} .*\r\n", self.rest, re.M).end()
        reply, self.rest = self.rest[:end], self.rest[end:]
        return reply

    def ask(self, line):
        self.sock.sendall(line.encode() + b"\r\n")
        return self.reply()

    def protect(self):
        assert self.rest == b""
        self.sock = self.server.context().wrap_socket(self.sock, server_hostname=HOST)

    def silent(self, seconds=0.3):
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(4096) == b"nothing can be this"
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        finally:
            self.sock.settimeout(PATIENCE_S)

    def close(self):
        self.sock.close()


@pytest.mark.parametrize("glued", GLUED)
@pytest.mark.parametrize("segment", ["same", "next"])
def test_c1_what_is_glued_behind_starttls_leaves_nothing(tls_server, glued, segment):
    server = tls_server
    accepted = server.status()["accepted"]
    with contextlib.closing(Raw(server, server.port)) as raw:
        raw.reply()
        raw.ask("EHLO client.example")
        raw.ask("MAIL FROM:<before@client.example>")
        raw.ask("RCPT TO:<before@next.example>")
        if segment == "same":
            raw.sock.sendall(f"STARTTLS\r\n{glued}\r\n".encode())
        else:
            raw.sock.sendall(b"STARTTLS\r\n")
            raw.sock.sendall(f"{glued}\r\n".encode())
        assert raw.reply().startswith(b"220")
        try:
            raw.protect()
        except (ssl.SSLError, ConnectionError):
            # What came behind our 220 was read as the handshake it is not.
            assert segment == "next"
            return
        assert raw.silent()
        # C3: nothing that was said in clear counts.
        assert raw.ask("RCPT TO:<c@next.example>").startswith(b"503")
        assert raw.ask("MAIL FROM:<a@client.example>").startswith(b"503")
        assert b"250" in raw.ask("EHLO client.example")
        assert raw.ask("RCPT TO:<c@next.example>").startswith(b"503")
        assert raw.ask("DATA").startswith(b"503")
    assert server.status()["accepted"] == accepted


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    """One that many short tests talk to."""
    import os
    import pathlib
    import shutil
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-test.", dir="/var/tmp"))
    os.chmod(folder, 0o711)
    try:
        with TlsServer(folder, Authority(folder)) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_handshake_that_is_none(tls_server):
    for port, first in ((tls_server.implicit, b"EHLO client.example\r\n"), (tls_server.implicit, b"GET / HTTP/1.0\r\n\r\n"),
                        (tls_server.implicit, b"\x16\x03\x01\x00\x02\x01\x00"), (tls_server.implicit, b"")):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
            sock.sendall(first)
            sock.shutdown(socket.SHUT_WR)
            heard = b""
            with contextlib.suppress(ConnectionError):
                while data := sock.recv(4096):
                    heard += data
            assert not heard.startswith(b"220"), first
    assert tls_server.banner()


def s_client(server, port, *options, starttls=True, words="QUIT\r\n"):
    # With -ign_eof it reads until the server ends, and a line that begins with Q or R is only words.
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST, "-CAfile", server.authority.trust,
               "-verify_return_error", "-crlf", "-ign_eof", *(["-starttls", "smtp"] if starttls else []), *options]
    run = subprocess.run(command, input=words, capture_output=True, text=True, timeout=PATIENCE_S)
    return run.stdout + run.stderr


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_goes_on_with_a_session(tls_server, home, version):
    server, session = tls_server, home / "session"
    for starttls, port in ((True, server.port), (False, server.implicit)):
        said = s_client(server, port, version, "-sess_out", session, starttls=starttls, words="NOOP\nQUIT\n")
        assert "Verify return code: 0 (ok)" in said and "Reused" not in said, said
        said = s_client(server, port, version, "-sess_in", session, starttls=starttls, words="NOOP\nQUIT\n")
        assert "Reused, TLSv1" in said, said


def test_t1_what_is_old_is_refused(tls_server):
    for options in (("-tls1",), ("-tls1_1",), ("-tls1_2", "-cipher", "AES128-SHA"), ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"),
                    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), ("-tls1_2", "-cipher", "NULL:aNULL:@SECLEVEL=0"),
                    ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256")):
        said = s_client(tls_server, tls_server.implicit, *options, starttls=False)
        assert "Cipher is (NONE)" in said and f"220 {HOST}" not in said, (options, said)


def test_t2_early_data_is_not_taken(tls_server, home):
    said = s_client(tls_server, tls_server.implicit, "-tls1_3", "-sess_out", home / "session", starttls=False, words="NOOP\nQUIT\n")
    assert "Max Early Data: 0" in said or "Max Early Data" not in said, said


def test_swaks(tls_server):
    before = tls_server.status()["accepted"]
    for way in (["--tls"], ["--tls-on-connect"]):
        port = tls_server.port if way == ["--tls"] else tls_server.implicit
        run = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(port), "--from", "a@client.example", "--to", "b@next.example",
                              "--helo", "client.example", "--tls-ca-path", tls_server.authority.trust, *way],
                             capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 0, run.stdout + run.stderr
    assert tls_server.status()["accepted"] == before + 2


def test_names_and_kinds_choose_the_certificate(home, certified):
    certificates = {**certified.files("a-rsa", HOST, kind="rsa"), **certified.files("b-ecdsa", HOST),
                    **certified.files("c-other", "other.example", "*.wild.example")}
    with TlsServer(home, certified, certificates) as server:
        shown = {}
        for name in (HOST, "other.example", "a.wild.example"):
            shown[name] = server.subject_of(server.implicit, name)
        assert shown["other.example"] == shown["a.wild.example"] != shown[HOST]
        rsa = server.context(ssl.TLSVersion.TLSv1_2)
        rsa.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        assert server.subject_of(server.implicit, HOST, rsa) not in shown.values()
        # T4: a name nobody knows gets the one for our own.
        strange = server.context()
        strange.check_hostname = False
        for name in ("nobody.example", "x" * 60 + ".example", "relay.example.com\\"):
            with contextlib.suppress(ssl.SSLError, UnicodeError, ValueError):
                assert server.subject_of(server.implicit, name, strange) == shown[HOST]


def test_t10_files_that_cannot_be_used_refuse_the_start(home, certified):
    good = certified.files("main", HOST)
    chain, key = good.values()
    other_chain, other_key = certified.issue(HOST)
    texts = {path: path.read_bytes() for path in (chain, key)}

    def refused(because, **contents):
        for path, content in texts.items():
            path.unlink(missing_ok=True)
            content = contents.get("chain" if path == chain else "key", content)
            if content is not None:
                path.write_bytes(content)
        code, said = TlsServer(home, certified, good).refuses_to_start()
        assert code == 2 and re.search(because, said), said
        assert re.search(r"ringpost\.conf:\d+: tls\.certificate\.main\.(chain|key): ", said), said

    refused("key: .*main.key does not match the certificate", key=other_key)
    refused("chain: .*main.pem has expired on ", **dict(zip(("chain", "key"), certified.issue(HOST, begins=-60, ends=-1))))
    refused("chain: .*main.pem is not valid before ", **dict(zip(("chain", "key"), certified.issue(HOST, begins=5))))
    refused("chain: .*main.pem: No such file", chain=None)
    refused("key: .*main.key holds no private key", key=b"")
    refused("chain: .*wrong order", chain=other_chain + texts[chain])
    refused("key: .*encrypted", key=b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for path, content in texts.items():
        path.write_bytes(content)
    code, said = Server(home, settings={"listener.test.tls": "offered"}).refuses_to_start()
    assert code == 2 and "listener.test.tls: TLS needs a certificate" in said
    with TlsServer(home, certified, good) as server:
        assert server.banner()


def test_t10_a_certificate_is_replaced_under_a_running_server(home, certified):
    files = certified.files("main", HOST)
    chain, key = files.values()
    with TlsServer(home, certified, files, shards="1") as server:  # which look at the files one after the other
        first = server.subject_of(server.implicit)
        held = smtplib.SMTP("127.0.0.1", server.port, "client.example")
        held._host = HOST
        held.starttls(context=server.context())

        # Half of it: the new chain does not match the old key, and the old ones stay.
        new_chain, new_key = certified.issue(HOST, ends=90)
        chain.write_bytes(new_chain)
        wait_until("a word about the half", lambda: "does not match the certificate" in server.said(), meanwhile=server.must_run)
        assert server.subject_of(server.implicit) == first
        key.write_bytes(new_key)
        wait_until("the new certificate", lambda: server.subject_of(server.implicit) != first, meanwhile=server.must_run)
        second = server.subject_of(server.implicit)
        assert 'days_left{certificate="main"} 89' in server.ctl("metrics")

        # One that has expired is not taken up, and a reload is refused with it.
        for path, content in zip((chain, key), certified.issue(HOST, begins=-60, ends=-1)):
            path.write_bytes(content)
        run = server.run_ctl("reload")
        assert run.returncode != 0 and "has expired" in run.stdout + run.stderr
        assert server.subject_of(server.implicit) == second
        # As certbot does it: new files moved into the old ones' places.
        for path, content in zip((chain, key), certified.issue(HOST)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.rename(path)
        server.ctl("reload")
        assert server.subject_of(server.implicit) not in (first, second)
        # Who was connected all the time has noticed nothing.
        send(held)
        held.quit()
        server.stop()


def test_only_the_configured_minimum(home, certified):
    with TlsServer(home, certified, **{"tls.minimum": "1.3"}) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.subject_of(server.implicit, HOST, server.context(ssl.TLSVersion.TLSv1_2))
        assert server.subject_of(server.implicit)
        server.ctl("set", "tls.minimum=1.2")
        assert server.subject_of(server.implicit, HOST, server.context(ssl.TLSVersion.TLSv1_2))


@pytest.mark.alone
def test_t2_half_handshakes_keep_nobody_waiting(tls_server):
    crowd = [socket.create_connection(("127.0.0.1", tls_server.implicit), timeout=PATIENCE_S) for _ in range(10)]
    try:
        for sock in crowd:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        began = time.monotonic()
        assert tls_server.subject_of(tls_server.implicit)
        assert time.monotonic() - began < 1
    finally:
        for sock in crowd:
            sock.close()
