#!/usr/bin/python3
"""Clients whose certificate says who they are: AUTH EXTERNAL, relaying by certificate, and the certificates that say nothing."""
import base64
import contextlib
import smtplib
import ssl
import subprocess

import pytest
from certificates import Authority, pem_of
from cryptography.x509.oid import ExtendedKeyUsageOID
from server import PATIENCE_S, BenchSink, Server, free_port, wait_until
from submission import ANNA, HOST, MAIL, PASSWORD, SubmissionServer, needs, refuses_settings

EMPTY = "="


class Named(smtplib.SMTP_SSL):
    """Connects to an address, and verifies the name."""

    def _get_socket(self, host, port, timeout):
        return self.context.wrap_socket(smtplib.SMTP._get_socket(self, host, port, timeout), server_hostname=HOST)


class CertificateServer(SubmissionServer):
    """`implicit` asks for certificates of `clients`; `plain` is of the same role and does not."""

    def __init__(self, home, demand="optional", **settings):
        self.clients, self.plain = Authority(home, "clients"), free_port()
        super().__init__(home, **{
            "listener.smtps.client_certificates": demand, "tls.client_ca_file": self.clients.trust,
            "listener.plain.address": f"127.0.0.1:{self.plain}", "listener.plain.role": "submissions", "listener.plain.tls": "implicit",
            **settings})

    def context(self, certificate=None, version=None):
        context = self.authority.context(version)
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    @contextlib.contextmanager
    def shown(self, certificate=None, version=None):
        """A session of who shows this certificate."""
        with Named("127.0.0.1", self.implicit, "client.example", context=self.context(certificate, version), timeout=PATIENCE_S) as smtp:
            smtp.ehlo()
            yield smtp

    def says(self, certificate, initial=EMPTY):
        """The code of AUTH EXTERNAL; 504: it is not offered."""
        with self.shown(certificate) as smtp:
            code = smtp.docmd("AUTH", f"EXTERNAL {initial}")[0]
            assert ("EXTERNAL" in smtp.esmtp_features["auth"].split()) == (code != 504)
            return code


def identity(name):
    return base64.b64encode(name.encode()).decode()


def test_a_certificate_is_an_identity(home):
    with BenchSink() as sink, CertificateServer(home, route=sink.route) as server:
        certificate = server.clients.pair("anna", ANNA, "laptop.example.com")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with server.shown(certificate, version) as smtp:
                assert smtp.esmtp_features["auth"].split()[0] == "EXTERNAL"
                assert smtp.docmd("MAIL", f"FROM:<{ANNA}>")[0] == 530, "it must be said with AUTH"
                assert smtp.docmd("AUTH", "EXTERNAL")[0] == 334
                assert smtp.docmd(identity(ANNA.upper()))[0] == 235
                assert smtp.docmd("MAIL", "FROM:<boss@example.com>")[0] == 553
                smtp.sendmail(ANNA, ["b@next.example"], MAIL)
        wait_until("the messages", lambda: sink.count() == 2, meanwhile=server.must_run)
        for _, _, content in sink.messages():
            assert b" with ESMTPSA\r\n" in content and b"\r\n\t(authentication: external)\r\n" in content
        wait_until("their record", lambda: sum(e["event"] == "message_accepted" for e in server.audit_lines()) == 2)
        assert {e["authentication"] for e in server.audit_lines() if e["event"] == "message_accepted"} == {"external"}

        # Who has a certificate is who it says, and nobody else.
        assert server.says(certificate, identity("bob@example.com")) == 535
        server.account("add", "bob@example.com", password="eight letters")
        assert server.says(certificate, identity("bob@example.com")) == 535
        both = server.clients.pair("both", ANNA, "bob@example.com")
        assert server.says(both) == 535, "it must say which"
        assert server.says(both, identity("bob@example.com")) == 235
        assert server.says(server.clients.pair("nobody", "nobody@example.com")) == 535
        server.account("disable", "bob@example.com")
        assert server.says(both, identity("bob@example.com")) == 535
        assert server.says(server.clients.pair("host", "laptop.example.com")) == 504, "it is nobody's"


def test_what_is_no_identity(home):
    """It does no harm where certificates are optional: the session goes on without."""
    stranger = Authority(home, "stranger")
    with CertificateServer(home) as server:
        good = server.clients.pair("good", ANNA)
        for certificate, why in ((server.clients.pair("over", ANNA, begins=-30, ends=-1), "expired"),
                                 (server.clients.pair("early", ANNA, begins=1), "not_yet_valid"),
                                 (stranger.pair("foreign", ANNA), "unknown_issuer"),
                                 (server.authority.pair("ours", ANNA), "unknown_issuer"),
                                 (server.clients.pair("serves", ANNA, usage=ExtendedKeyUsageOID.SERVER_AUTH), "bad_chain"),
                                 (None, None)):
            with server.shown(certificate) as smtp:
                assert "EXTERNAL" not in smtp.esmtp_features["auth"].split(), why
                assert smtp.docmd("AUTH", f"EXTERNAL {EMPTY}")[0] == 504
                assert smtp.login(ANNA, PASSWORD)[0] == 235
            assert why is None or f"why={why}" in server.said(), why
        assert server.says(good) == 235
        with server.smtp() as smtp:
            assert "EXTERNAL" not in smtp.esmtp_features["auth"].split(), "that listener does not ask"


def test_a_certificate_that_is_listed_itself_is_good_and_certifies_nobody(home):
    with CertificateServer(home) as server:
        pinned = Authority(home, "pinned", names=[ANNA])
        server.clients.trust.write_bytes(pinned.trust.read_bytes())
        key = home / "pinned.key"
        key.write_bytes(pem_of(pinned.key))
        wait_until("the new file", lambda: server.says((pinned.trust, key)) == 235, meanwhile=server.must_run)
        forged = pinned.pair("forged", ANNA)
        wait_until("the reason in the log", lambda: server.says(forged) == 504 and "why=bad_chain" in server.said(), meanwhile=server.must_run)


def test_no_handshake_without_a_certificate_where_it_is_required(home):
    with CertificateServer(home, demand="required") as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for certificate in (None, server.clients.pair("over", ANNA, begins=-30, ends=-1), server.authority.pair("ours", ANNA)):
                with pytest.raises((ssl.SSLError, OSError, smtplib.SMTPServerDisconnected)):
                    with server.shown(certificate, version):
                        pass
        assert server.says(server.clients.pair("good", ANNA)) == 235


def test_revoked_certificates(home):
    """The list is taken up as it changes, and one that is out of date vouches for nobody."""
    revoked = home / "revoked.pem"
    with contextlib.ExitStack() as stack:
        # Each shard reads the list for itself: with one, what the last session saw is what the next one sees.
        server = CertificateServer(home, **{"tls.client_revocation_file": revoked, "shards": "1"})
        revoked.write_bytes(server.clients.revocations())
        revoked.chmod(0o644)
        stack.enter_context(server)
        one, other = server.clients.pair("one", ANNA), server.clients.pair("other", ANNA)
        assert server.says(one) == server.says(other) == 235
        revoked.write_bytes(server.clients.revocations(one[0]))
        wait_until("the new list", lambda: server.says(one) == 504, meanwhile=server.must_run)
        assert "why=revoked" in server.said()
        assert server.says(other) == 235
        revoked.write_bytes(server.clients.revocations(ends=-1))
        wait_until("the old list", lambda: server.says(other) == 504, meanwhile=server.must_run)
        assert "why=no_revocation_list" in server.said()
        revoked.write_bytes(server.clients.revocations())
        wait_until("the good list again", lambda: server.says(other) == 235, meanwhile=server.must_run)
        revoked.write_bytes(Authority(home, "stranger").revocations())
        wait_until("the stranger's list", lambda: server.says(other) == 504, meanwhile=server.must_run)
        revoked.write_text("nonsense")
        wait_until("the complaint", lambda: "holds no revocation list" in server.said(), meanwhile=server.must_run)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_T5_no_session_goes_on_where_certificates_are_asked_for(home, version):
    with CertificateServer(home) as server:
        def talk(context, port, session):
            with Named(context=context) as smtp:
                raw = smtplib.SMTP._get_socket(smtp, "127.0.0.1", port, PATIENCE_S)
                smtp.sock = context.wrap_socket(raw, server_hostname=HOST, session=session)
                assert smtp.getreply()[0] == 220
                smtp.ehlo("client.example")
                return smtp.sock.session_reused, "EXTERNAL" in smtp.esmtp_features["auth"].split(), smtp.sock.session

        context = server.context(version=version)
        _, _, session = talk(context, server.plain, None)
        assert talk(context, server.plain, session)[0], "sessions do go on where nobody is asked"
        assert talk(context, server.implicit, session)[:2] == (False, False)
        certificate = server.clients.pair("anna", ANNA)
        context.load_cert_chain(*certificate)
        assert talk(context, server.implicit, session)[:2] == (False, True), "a full handshake, with the certificate"
        _, _, session = talk(context, server.implicit, None)
        assert talk(context, server.implicit, session)[:2] == (False, True)
        assert not talk(context, server.plain, session)[1]


def test_hosts_that_relay_by_their_certificate(home):
    authority, clients, asks = Authority(home), Authority(home, "clients"), free_port()
    with BenchSink() as sink, Server(home, route=sink.route, settings={
            "relay.clients": "none", "relay.client_certificates": "client.example.org, *.hosts.example.org",
            "relay.domains": "ours.example", "listener.test.role": "mx", "listener.test.tls": "offered",
            "listener.asks.address": f"127.0.0.1:{asks}", "listener.asks.role": "relay", "listener.asks.tls": "required",
            "listener.asks.client_certificates": "optional", "tls.client_ca_file": clients.trust,
            "smtp.xclient_peers": "127.0.0.1", **authority.files("main", HOST)}) as server:
        def rcpt(certificate, port=asks, before=(), send=False):
            with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=PATIENCE_S) as smtp:
                smtp._host, context = HOST, authority.context()
                if certificate:
                    context.load_cert_chain(*certificate)
                assert smtp.starttls(context=context)[0] == 220
                for command in before:
                    assert smtp.docmd(command)[0] in (220, 250)
                smtp.ehlo()
                assert smtp.mail("a@client.example.org")[0] == 250
                code = smtp.rcpt("b@next.example")[0]
                if send:
                    assert smtp.data(MAIL)[0] == 250
                return code

        host = clients.pair("host", "client.example.org")
        assert rcpt(host, send=True) == 250
        assert rcpt(clients.pair("below", "unlisted.example", "mail.HOSTS.example.org")) == 250
        assert rcpt(None) == 550
        assert rcpt(clients.pair("else", "other.example.org", "client.example.org.evil.example")) == 550
        assert rcpt(clients.pair("wild", "*.example.org", "*.hosts.example.org")) == 550
        assert rcpt(clients.pair("mailbox", "postmaster@client.example.org")) == 550
        assert rcpt(clients.pair("over", "client.example.org", begins=-30, ends=-1)) == 550
        assert rcpt(authority.pair("foreign", "client.example.org")) == 550
        assert rcpt(host, port=server.port) == 550, "that listener does not ask"
        assert rcpt(host, before=("XCLIENT ADDR=192.0.2.66",)) == 550, "the certificate is not that client's"
        wait_until("the message", lambda: sink.count() == 1, meanwhile=server.must_run)
        ((_, _, content),) = sink.messages()
        assert b" with ESMTPS\r\n" in content and b"\r\n\t(authentication: client-certificate)\r\n" in content
        wait_until("its record", lambda: [e for e in server.audit_lines() if e["event"] == "message_accepted"])
        (accepted,) = [e for e in server.audit_lines() if e["event"] == "message_accepted"]
        assert accepted["authentication"] == "client-certificate" and "login" not in accepted


@needs("curl")
def test_curl(home):
    with CertificateServer(home) as server:
        (home / "mail").write_text(MAIL)
        chain, key = server.clients.pair("anna", ANNA)
        run = subprocess.run(["curl", "-sSv", "--cacert", server.authority.trust, "--cert", chain, "--key", key, "--resolve", f"{HOST}:{server.implicit}:127.0.0.1",
                              f"smtps://{HOST}:{server.implicit}/client.example", "--user", f"{ANNA}:", "--login-options", "AUTH=EXTERNAL",
                              "--mail-from", ANNA, "--mail-rcpt", "b@next.example", "--upload-file", home / "mail"],
                             capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 0 and "> AUTH EXTERNAL" in run.stderr and "< 235 2.7.0" in run.stderr, run.stderr


@needs("msmtp")
def test_msmtp(home):
    with CertificateServer(home) as server:
        chain, key = server.clients.pair("anna", ANNA)
        run = subprocess.run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.implicit}", "--tls=on", "--tls-starttls=off",
                              f"--tls-trust-file={server.authority.trust}", f"--tls-host-override={HOST}", f"--tls-cert-file={chain}",
                              f"--tls-key-file={key}", "--auth=external", f"--user={ANNA}", f"--from={ANNA}", "--domain=client.example",
                              "b@next.example"], input=MAIL, capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 0, run.stdout + run.stderr


def test_configurations_that_contradict_themselves(home):
    for settings, words in (({"tls.client_ca_file": None}, "no client's certificate could be good"),
                            ({"tls.client_ca_file": home / "nowhere.pem"}, "No such file"),
                            ({"listener.smtps.client_certificates": "none", "relay.client_certificates": "a.example"}, "no listener asks for certificates")):
        refuses_settings(CertificateServer(home), settings, words)
