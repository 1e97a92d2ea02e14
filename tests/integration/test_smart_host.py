#!/usr/bin/python3
"""A smart host that takes mail from users alone: Postfix with Dovecot's logins, aiosmtpd, and another Ringpost."""
import base64
import pathlib
import secrets

import pytest
from certificates import Authority
from other_servers import Dovecot, Postfix, needs_dovecot, needs_postfix
from server import AioSink, Client, Server, TlsSink, wait_until
from submission import SubmissionServer

MESSAGE = b"From: a@client.example\r\nTo: b@next.example\r\nSubject: s\r\n\r\nhello\r\n"
USER = "relay@client.example"


@pytest.fixture
def authority(home):
    return Authority(home)


@pytest.fixture
def password(home):
    """One that is in no file but its own: whatever else of it is found later is a leak."""
    word = f"pw-{secrets.token_hex(12)}"
    yield word
    forms = {word.encode(), base64.b64encode(word.encode()).rstrip(b"=")[:-1], base64.b64encode(f"\0{USER}\0{word}".encode())[-12:-2]}
    own = {"password", "users", "accounts"}
    for path in pathlib.Path(home).rglob("*"):
        if path.is_file() and path.name not in own:
            content = path.read_bytes()
            assert not [form for form in forms if form in content], f"{path} holds the password"


def relay(home, port, trust, password, folder="client", policy="verify", host="localhost", **settings):
    """Ringpost with a login at the smart host."""
    own = home / folder
    own.mkdir(mode=0o711)
    secret = own / "password"
    secret.write_text(password + "\n")
    secret.chmod(0o644)
    key = "localhost." if host == "localhost" else host
    return Server(own, route=f"smtp://{host}:{port}", settings={
        "shards": "1", "tls.trust_file": str(trust), "retry.first": "300 s", "log.level": "debug", f"destination.{key}.tls": policy,
        f"destination.{key}.auth.username": USER, f"destination.{key}.auth.password_file": secret, **settings})


def send(server, content=MESSAGE, sender="a@client.example"):
    with Client(server.port) as client:
        client.send(sender, ["b@next.example"], content)


def reason_of(server):
    tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
    return tried[0]["reason"], tried[0]["code"]


class LoginSink(TlsSink):
    """aiosmtpd that lets nobody send who has not logged in; keeps by which mechanism each did."""

    def __init__(self, authority, password, **how):
        self.password, self.mechanisms, self.tries = password, [], 0
        super().__init__(authority, "localhost", **how)

    def __call__(self, server, session, envelope, mechanism, data):
        from aiosmtpd.smtp import AuthResult
        self.tries += 1
        good = (data.login, data.password) == (USER.encode(), self.password.encode())
        if good:
            self.mechanisms.append(mechanism)
        return AuthResult(success=good, handled=False)

    @property
    def options(self):
        return {"auth_required": True, "auth_require_tls": True, "authenticator": self}


@needs_postfix
@needs_dovecot
@pytest.mark.parametrize("mechanisms, used", [("plain login scram-sha-256", "SCRAM-SHA-256"), ("plain login", "PLAIN"), ("login", "LOGIN")])
def test_postfix_with_dovecots_logins(home, authority, password, mechanisms, used):
    with Dovecot(home, authority, "localhost", users={USER: password}, mechanisms=mechanisms) as logins, \
            Postfix(home, authority, "localhost", auth_socket=logins.auth_socket) as hop, \
            relay(home, hop.port, authority.trust, password) as server:
        send(server)
        server.wait_delivered()
        wait_until("mail in the Maildir", hop.messages, meanwhile=hop.must_run)
        wait_until("the login in its log", lambda: f"sasl_method={used}, sasl_username={USER}" in hop.said(), meanwhile=hop.must_run)


@needs_postfix
@needs_dovecot
def test_postfix_refuses_a_wrong_password_and_mail_waits_until_it_is_right(home, authority, password):
    with Dovecot(home, authority, "localhost", users={USER: password}) as logins, \
            Postfix(home, authority, "localhost", auth_socket=logins.auth_socket) as hop, \
            relay(home, hop.port, authority.trust, "wrong") as server:
        send(server)
        assert reason_of(server) == ("hop_login_refused", 535)
        assert not hop.messages()
        assert 'ringpost_delivery_login_failures_total{shard="0"} 1' in server.ctl("metrics")
        # The file alone is looked at, too: nothing else needs to be done.
        (home / "client" / "password").write_text(password)
        wait_until("the new password", lambda: server.run_ctl("queue", "retry", "--all") and not server.queue(), meanwhile=server.must_run)
        assert len(wait_until("mail in the Maildir", hop.messages)) == 1


def test_aiosmtpd(home, authority, password):
    with LoginSink(authority, password) as sink, relay(home, sink.port, authority.trust, password) as server:
        for _ in range(3):
            send(server)
        server.wait_delivered()
        assert [version for version, _ in sink.kept] == ["TLSv1.3"] * 3
        assert set(sink.mechanisms) == {"PLAIN"}


def test_another_ringpost_and_the_channel_is_bound(home, password):
    folder = home / "host"
    folder.mkdir(mode=0o711)
    with SubmissionServer(folder) as host:
        host.account("add", USER, password=password)
        with relay(home, host.port, host.authority.trust, password, **{"hostname": "client.example"}) as server:
            # The certificate is for relay.example.com, not for localhost.
            send(server, sender=USER)
            assert reason_of(server) == ("peer_not_verified", 451)
            server.ctl("set", "destination.localhost..tls=encrypt")
            server.ctl("queue", "retry", "--all")
            server.wait_delivered()
            kept = host.queue()
            assert [message["recipients"][0]["address"] for message in kept] == ["b@next.example"]
            assert host.metric("logins_accepted") == 1


def test_no_login_is_said_to_who_is_not_verified_or_has_no_tls(home, authority, password):
    for number, (names, offers) in enumerate([(("elsewhere.example",), True), (("localhost",), False)]):
        sink = LoginSink.__new__(LoginSink)
        sink.password, sink.mechanisms, sink.tries = password, [], 0
        TlsSink.__init__(sink, authority, *names, offers=offers)
        with sink, relay(home, sink.port, authority.trust, password, folder=f"client{number}") as server:
            send(server)
            assert reason_of(server) == (("peer_not_verified" if offers else "tls_not_offered"), 451)
            assert sink.tries == 0 and not sink.kept


def test_a_login_needs_a_policy_that_keeps_it_and_a_password_that_is_there(home, authority, password):
    server = relay(home, 25, authority.trust, password, policy="auto")
    code, said = server.refuses_to_start()
    assert code == 2 and "destination.localhost..auth.username" in said and "= verify" in said, said
    server.settings["destination.localhost..tls"] = "verify"
    server.settings["destination.localhost..auth.password_file"] = home / "nothing"
    server.write_config()
    code, said = server.refuses_to_start()
    assert code == 2 and f"{home}/nothing" in said, said
    (home / "nothing").write_text("\n")
    code, said = server.refuses_to_start()
    assert code == 2 and "no password that can be sent" in said, said
    server.settings["destination.localhost..auth.password_file"] = None
    server.write_config()
    code, said = server.refuses_to_start()
    assert code == 2 and "auth.password_file is missing" in said, said


def test_the_password_is_shown_to_no_operator(home, authority, password):
    with LoginSink(authority, password) as sink, relay(home, sink.port, authority.trust, password) as server:
        shown = server.ctl("get", "-a") + server.ctl("status", "--json") + server.ctl("metrics")
        assert USER in shown and str(home / "client" / "password") in shown and password not in shown
        maps = pathlib.Path(f"/proc/{server.process.pid}/environ").read_bytes()
        assert password.encode() not in maps
        assert isinstance(sink, AioSink)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
