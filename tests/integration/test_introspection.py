#!/usr/bin/python3
"""Tokens that their issuer is asked about (RFC 7662)."""
import base64
import secrets
import threading
import time
import urllib.parse

import pytest
from certificates import Authority
from introspection import CLIENT, INACTIVE, ISSUER_HOST, SECRET, IntrospectionServer, active
from server import wait_until
from submission import ANNA, PASSWORD, refused
from web_server import Answer, WebServer

BOB = "bob@example.com"


@pytest.fixture(scope="module")
def running(home_of_module):
    with IntrospectionServer(home_of_module) as server:
        server.account("add", BOB, "--no-password")
        yield server


@pytest.fixture
def server(running):
    """As it began."""
    running.web.answer = active()
    running.zones[ISSUER_HOST] = {"A": ["127.0.0.1"]}
    running.web.posted.clear()
    running.web.asked.clear()
    return running


def new_token():
    return "opaque." + secrets.token_urlsafe(30) + "+/="


def credentials(header):
    kind, _, encoded = header.partition(" ")
    assert kind == "Basic"
    return base64.b64decode(encoded).decode()


def test_an_active_token_is_its_owners(server):
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert server.bearer(new_token(), ANNA, mechanism) == (235, None)
    assert server.bearer(new_token(), BOB) == (535, None), "it is Anna's"
    server.web.answer = active(BOB)
    assert server.bearer(new_token()) == (235, None)
    server.account("disable", BOB)
    assert server.bearer(new_token())[0] == 535
    server.account("enable", BOB)


def test_what_the_issuer_is_asked(server):
    token = new_token()
    assert server.bearer(token) == (235, None)
    ((path, header, body),) = server.web.posted
    assert path == "/realm/introspect" and header["Host"].startswith(ISSUER_HOST + ":")
    assert header["Content-Type"] == "application/x-www-form-urlencoded" and header["Accept"] == "application/json"
    assert urllib.parse.parse_qsl(body.decode()) == [("token", token), ("token_type_hint", "access_token")]
    assert credentials(header["Authorization"]) == urllib.parse.quote(CLIENT, safe="") + ":" + urllib.parse.quote(SECRET, safe="")


def test_the_secret_changes_while_the_server_runs(server):
    server.write_secret("another")
    assert server.bearer(new_token()) == (235, None)
    server.write_secret("")
    assert server.bearer(new_token()) == (235, None), "a file without one leaves it as it was"
    assert [credentials(header["Authorization"]).partition(":")[2] for _, header, _ in server.web.posted] == ["another", "another"]
    assert "first line is empty" in server.said()
    server.write_secret(SECRET)


def test_a_good_token_is_asked_about_once_in_a_while(server):
    token = new_token()
    assert [server.bearer(token)[0] for _ in range(3)] == [235] * 3
    assert server.asked() == 1
    assert server.bearer("x" + token)[0] == 235
    assert server.asked() == 2, "another token"
    server.account("disable", ANNA)
    assert server.bearer(token)[0] == 535, "what is remembered is whose it is, and no more"
    server.account("enable", ANNA)
    assert server.asked() == 2


def test_nothing_is_remembered_beyond_a_tokens_end(server):
    server.web.answer = active(exp=int(time.time()) - 5)
    token = new_token()
    assert [server.bearer(token)[0] for _ in range(2)] == [235] * 2, "clocks may differ by a minute"
    assert server.asked() == 2


def test_no_is_not_remembered(server):
    server.web.answer, token = INACTIVE, new_token()
    assert [server.bearer(token)[0] for _ in range(2)] == [535] * 2
    assert server.asked() == 2
    server.web.answer = active()
    assert server.bearer(token) == (235, None)


def test_tokens_that_are_not_good(server):
    now = int(time.time())
    for answer, why in ((INACTIVE, "inactive"),
                        (active(exp=now - 120), "expired"),
                        (active(nbf=now + 120), "not_yet_valid"),
                        (active(iss="https://other.example"), "issuer"),
                        (active(aud="another service"), "audience"),
                        (active(aud=None), "audience"),
                        (active(email=None), "login"),
                        (active(email_verified=False), "login"),
                        (active("nobody@example.com"), None)):
        server.web.answer = answer
        code, error = server.bearer(new_token())
        assert code == 535 and error["status"] == "invalid_token", why
        if why:  # the log has its limit
            wait_until("the reason in the log", lambda: server.bearer(new_token())[0] == 535 and f"why={why}" in server.said(), meanwhile=server.must_run)


def test_a_scope_that_is_wanted(home):
    with IntrospectionServer(home, **{"auth.oauth.scope": "smtp", "auth.oauth.login_claim": "username"}) as server:
        server.web.answer = active(email=None, username=ANNA)
        assert server.bearer(new_token()) == (235, None)
        server.web.answer = active(username=ANNA, scope="openid")
        assert server.bearer(new_token())[0] == 535
        server.web.answer = active(username=ANNA, scope=None)
        assert server.bearer(new_token())[0] == 535


def test_an_issuer_that_does_not_answer_rightly_is_not_now(server):
    elsewhere = f"https://{ISSUER_HOST}:{server.web.port}/elsewhere"
    for answer in (Answer(status=500), Answer(status=401, body=b'{"active":false}'), Answer(status=404),
                   Answer(status=307, location=elsewhere), Answer(status=302, location=elsewhere), Answer(status=201, body=active().body),
                   Answer(b"<html>sorry</html>"), Answer(b""), Answer(b"{}"), Answer(b'{"active":"yes"}'), Answer(active().body + b" " * 70000),
                   active(exp="soon")):
        server.web.answer = answer
        assert server.bearer(new_token()) == (454, None), answer
    assert {path for path, _, _ in server.web.posted} == {"/realm/introspect"} and not server.web.asked, "no redirect is followed"
    assert "the issuer cannot be asked about tokens" in server.said()
    server.web.answer = active()
    assert server.bearer(new_token()) == (235, None)


def test_an_issuer_that_is_away_is_not_now(server, home):
    token = new_token()
    assert server.bearer(token) == (235, None)
    for addresses in (["127.0.0.77"], []):  # nobody listens there
        server.zones[ISSUER_HOST] = {"A": addresses} if addresses else {}
        assert server.bearer(new_token()) == (454, None), addresses
        assert server.bearer(token) == (235, None), "a token that was good a moment ago"
    with WebServer("127.0.0.78", Authority(home), ISSUER_HOST, answer=active(), port=server.web.port) as stranger, \
            WebServer("127.0.0.79", server.authority, "other.example.com", answer=active(), port=server.web.port) as other:
        for address in ("127.0.0.78", "127.0.0.79"):
            server.zones[ISSUER_HOST] = {"A": [address]}
            assert server.bearer(new_token()) == (454, None), address
        assert not stranger.posted and not other.posted, "no token goes to somebody else"


def test_an_issuer_that_says_nothing_keeps_nobody_else_waiting(server):
    server.web.answer, answers = Answer(silent=True), []
    waiting = [threading.Thread(target=lambda: answers.append(server.bearer(new_token()))) for _ in range(3)]
    for each in waiting:
        each.start()
    wait_until("three questions", lambda: server.asked() == 3, meanwhile=server.must_run)
    with server.smtp() as smtp:
        assert smtp.login(ANNA, PASSWORD)[0] == 235
    assert refused(server, ANNA, "wrong")[0] == 535
    assert not answers
    for each in waiting:
        each.join()
    assert answers == [(454, None)] * 3


def test_what_the_keys_know_is_not_asked_about(home):
    with IntrospectionServer(home, keys=True) as server:
        assert server.bearer(server.issuer.token(ANNA)) == (235, None)
        assert server.bearer(server.issuer.token(ANNA, exp=1))[0] == 535
        signed, _, _ = server.issuer.token(ANNA).rpartition(".")
        assert server.bearer(signed + "." + server.issuer.token(BOB).rpartition(".")[2])[0] == 535, "a signature of something else"
        assert server.asked() == 0
        assert server.bearer(new_token()) == (235, None)
        assert server.bearer(server.issuer.token(ANNA, header={"kid": "another"})) == (235, None), "perhaps the key set is old"
        assert server.asked() == 2


def test_without_its_secret_nobody_can_say(home):
    server = IntrospectionServer(home)
    server.secret.unlink()
    with server:
        assert server.bearer(new_token()) == (454, None)
        assert server.asked() == 0
        server.write_secret(SECRET)
        assert server.bearer(new_token()) == (235, None)


def test_configurations_that_contradict_themselves(home):
    server = IntrospectionServer(home)
    with server.stack:
        for settings, words in (({"auth.oauth.introspection_url": "http://id.example.com/"}, "is no https URL"),
                                ({"auth.oauth.introspection_client_id": None}, "who asks there? auth.oauth.introspection_client_id is missing"),
                                ({"auth.oauth.introspection_url": None}, "whom to ask? auth.oauth.introspection_url is missing"),
                                ({"auth.oauth.audience": None}, "auth.oauth.audience is missing")):
            before = dict(server.settings)
            server.settings.update(settings)
            server.write_config()
            code, said = server.refuses_to_start()
            assert code == 2 and words in said, said
            server.settings = before
