#!/usr/bin/python3
"""Users who authenticate with a token (OAUTHBEARER, XOAUTH2), and tokens that are not good."""
import base64
import smtplib
import subprocess
import time

import pytest
from issuer import Issuer
from server import PATIENCE_S, BenchSink, wait_until
from submission import ANNA, HOST, MAIL, PASSWORD, TokenServer, needs, refuses_settings

BOB = "bob@example.com"


@pytest.fixture(scope="module")
def server(home_of_module):
    with TokenServer(home_of_module) as running:
        running.account("add", BOB, "--no-password")
        yield running


def test_tokens_are_offered_where_they_are_set_and_under_tls(server):
    with smtplib.SMTP("127.0.0.1", server.port, "client.example", timeout=PATIENCE_S) as smtp:
        smtp.ehlo()
        assert "auth" not in smtp.esmtp_features
        assert smtp.docmd("AUTH", "XOAUTH2 =")[0] == 530
    with server.smtp() as smtp:
        assert smtp.esmtp_features["auth"].split() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]
        assert smtp.login(ANNA, PASSWORD)[0] == 235


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_good_token(server, algorithm):
    token = server.issuer.token(ANNA, algorithm)
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert server.bearer(token, ANNA, mechanism) == (235, None)
    assert server.bearer(token) == (235, None), "whoever the token names"
    assert server.bearer(server.issuer.token(BOB, algorithm), BOB) == (235, None), "no password is needed"


def test_a_token_is_its_owners(home):
    with BenchSink() as sink, TokenServer(home, route=sink.route) as server:
        text = f"n,,\1auth=Bearer {server.issuer.token(ANNA)}\1\1"
        with server.smtp() as smtp:
            assert smtp.docmd("AUTH", "OAUTHBEARER")[0] == 334
            assert smtp.docmd(base64.b64encode(text.encode()).decode())[0] == 235
            assert smtp.mail(BOB)[0] == 553
            smtp.sendmail(ANNA, ["b@next.example"], MAIL)
        wait_until("the message", sink.count, meanwhile=server.must_run)
        ((_, _, content),) = sink.messages()
        assert b" with ESMTPSA\r\n" in content and b"\r\n\t(authentication: oauthbearer)\r\n" in content
        wait_until("its record", lambda: [e for e in server.audit_lines() if e["event"] == "message_accepted"])
        assert [e["authentication"] for e in server.audit_lines() if e["event"] == "message_accepted"] == ["oauthbearer"]


def test_tokens_that_are_not_good(server, home):
    now, stranger = int(time.time()), Issuer(home)
    signed = server.issuer.token(ANNA)
    header, claims, signature = signed.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token, why in ((stranger.token(ANNA), "signature"),
                       (server.issuer.token(ANNA, exp=now - 120), "expired"),
                       (server.issuer.token(ANNA, nbf=now + 120), "not_yet_valid"),
                       (server.issuer.token(ANNA, iss="https://other.example"), "issuer"),
                       (server.issuer.token(ANNA, aud="another service"), "audience"),
                       (server.issuer.token(ANNA, email=None), "login"),
                       (server.issuer.token(ANNA, email_verified=False), "login"),
                       (server.issuer.token(ANNA, header={"kid": "another"}), "unknown_key"),
                       (f"{none}.{claims}.", "algorithm"),
                       (f"{header}.{claims}.{signature[::-1]}", "signature"),
                       ("opaque", "malformed"),
                       (server.issuer.token("nobody@example.com"), None)):
        for mechanism, status in (("OAUTHBEARER", "invalid_token"), ("XOAUTH2", "401")):
            code, error = server.bearer(token, ANNA if mechanism == "XOAUTH2" else "", mechanism)
            assert code == 535 and error["status"] == status, why
        if why:  # the log has its limit
            wait_until("the reason in the log", lambda: server.bearer(token)[0] == 535 and f"why={why}" in server.said(), meanwhile=server.must_run)
    # A good token, but for somebody else.
    assert server.bearer(server.issuer.token(ANNA), BOB) == (535, None)
    assert server.bearer(server.issuer.token(ANNA), BOB, "XOAUTH2") == (535, None)
    assert signed not in server.said()


def test_a_disabled_account_has_no_good_token(server):
    server.account("disable", BOB)
    assert server.bearer(server.issuer.token(BOB))[0] == 535
    server.account("enable", BOB)
    assert server.bearer(server.issuer.token(BOB), BOB) == (235, None)


def test_keys_change_while_the_server_runs(home):
    with TokenServer(home) as server:
        token = server.issuer.token(ANNA)
        assert server.bearer(token) == (235, None)
        server.issuer.publish("RS256")
        assert server.bearer(token)[0] == 535
        assert server.bearer(server.issuer.token(ANNA, "RS256")) == (235, None)
        server.issuer.file.write_text("nonsense")
        assert server.bearer(server.issuer.token(ANNA, "RS256")) == (235, None), "a broken file leaves the keys as they were"
        assert "holds no key set" in server.said()
        server.issuer.publish()
        assert server.bearer(token) == (235, None)


def test_what_a_token_must_have(home):
    with TokenServer(home, **{"auth.oauth.scope": "smtp", "auth.oauth.login_claim": "preferred_username"}) as server:
        assert server.bearer(server.issuer.token(BOB, preferred_username=ANNA)) == (235, None)
        assert server.bearer(server.issuer.token(BOB, preferred_username=ANNA, scope="openid"))[0] == 535
        assert server.bearer(server.issuer.token(ANNA))[0] == 535


@needs("curl")
def test_curl(server, home):
    """It takes OAUTHBEARER where both are offered, whatever --login-options says."""
    (home / "mail").write_text(MAIL)

    def send(token):
        return subprocess.run(["curl", "-sSv", "--ssl-reqd", "--cacert", server.authority.trust, "--resolve", f"{HOST}:{server.port}:127.0.0.1",
                               f"smtp://{HOST}:{server.port}/client.example", "--user", ANNA, "--oauth2-bearer", token, "--mail-from", ANNA, "--mail-rcpt", "b@next.example", "--upload-file", home / "mail"],
                              capture_output=True, text=True, timeout=PATIENCE_S)
    run = send(server.issuer.token(ANNA))
    assert run.returncode == 0 and "> AUTH OAUTHBEARER" in run.stderr and "< 235 2.7.0" in run.stderr, run.stderr
    run = send(server.issuer.token(ANNA, exp=1))
    assert run.returncode == 67 and "< 334 " in run.stderr and "< 535 5.7.8" in run.stderr, run.stderr


@needs("msmtp")
@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_msmtp(server, mechanism):
    def send(token):
        return subprocess.run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.implicit}", "--tls=on", "--tls-starttls=off",
                               f"--tls-trust-file={server.authority.trust}", f"--tls-host-override={HOST}", f"--auth={mechanism}",
                               f"--user={ANNA}", f"--passwordeval=echo '{token}'", f"--from={ANNA}", "--domain=client.example",
                               "b@next.example"], input=MAIL, capture_output=True, text=True, timeout=PATIENCE_S)
    run = send(server.issuer.token(ANNA))
    assert run.returncode == 0, run.stdout + run.stderr
    assert send(server.issuer.token(ANNA, exp=1)).returncode != 0


def test_configurations_that_contradict_themselves(home):
    for settings, words in (({"auth.oauth.audience": None}, "auth.oauth.audience is missing"),
                            ({"auth.oauth.key_file": None}, "nobody could check a token"),
                            ({"auth.oauth.issuer": None}, "whose keys are they?")):
        refuses_settings(TokenServer(home), settings, words)
