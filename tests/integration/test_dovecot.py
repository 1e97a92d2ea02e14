#!/usr/bin/python3
"""Passwords that Dovecot checks (auth.dovecot_socket), by a real one."""
from dovecot import Dovecot, needs_dovecot
from server import BenchSink, wait_until
from submission import ANNA, MAIL, PASSWORD, SubmissionServer, refused

pytestmark = needs_dovecot
BOB = "bob@example.com"


class DovecotServer(SubmissionServer):
    """Anna has another password in the file of accounts than at Dovecot."""

    def __init__(self, home, dovecot, **settings):
        super().__init__(home, **{"auth.scram": "no", "auth.dovecot_socket": dovecot.socket, "auth.failure_delay": "0", **settings})


def test_dovecot_says_whose_password_it_is(home):
    with BenchSink() as sink, Dovecot(home, {ANNA: "dovecots word", BOB: "bobs word"}) as dovecot, \
            DovecotServer(home, dovecot, route=sink.route) as server:
        for mechanism in ("plain", "login"):
            with server.smtp() as smtp:
                assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
                smtp.user, smtp.password = BOB, "bobs word"
                assert smtp.auth(mechanism, getattr(smtp, f"auth_{mechanism}"))[0] == 235
                assert smtp.mail(ANNA)[0] == 553, "whoever has no account here sends as itself"
                smtp.sendmail(BOB, ["b@next.example"], MAIL)
        wait_until("the messages", lambda: sink.count() == 2, meanwhile=server.must_run)
        assert {b"\r\n\t(authentication: plain)\r\n", b"\r\n\t(authentication: login)\r\n"} == {
            line for _, _, content in sink.messages() for line in (b"\r\n\t(authentication: plain)\r\n", b"\r\n\t(authentication: login)\r\n") if line in content}

        assert refused(server, ANNA, PASSWORD)[0] == 535, "the file of accounts has no say in it"
        assert refused(server, ANNA, "dovecots word")[0] == 235
        assert refused(server, BOB, "dovecots word")[0] == 535
        assert refused(server, "nobody@example.com", "dovecots word")[0] == 535

        # An account here says what its login may send as, and can be disabled.
        server.account("add", BOB, "--no-password", "--send-as", "@shop.example")
        with server.smtp() as smtp:
            assert smtp.login(BOB, "bobs word")[0] == 235
            assert smtp.mail("news@shop.example")[0] == 250
        server.account("disable", BOB)
        assert refused(server, BOB, "bobs word")[0] == 535


def test_any_password_arrives_as_it_is(home):
    with Dovecot(home, {ANNA: "x"}) as dovecot, DovecotServer(home, dovecot) as server:
        for password in ("semi;colon", "quote\"s and \\", "%u %d", "ü" * 40, "x" * 900):
            dovecot.set({ANNA: password})
            wait_until("the new password", lambda: refused(server, ANNA, password)[0] == 235, meanwhile=server.must_run)
            assert refused(server, ANNA, password[:-1])[0] == 535


def test_dovecot_away_is_no_refusal(home):
    dovecot = Dovecot(home, {ANNA: "dovecots word"})
    with DovecotServer(home, dovecot) as server:
        assert refused(server, ANNA, "dovecots word")[0] == 454
        for _ in range(2):
            with dovecot:
                wait_until("Dovecot", lambda: refused(server, ANNA, "dovecots word")[0] == 235, meanwhile=server.must_run)
            wait_until("its end", lambda: refused(server, ANNA, "dovecots word")[0] == 454, meanwhile=server.must_run)
        assert "Dovecot cannot be asked about passwords" in server.said()


def test_scram_and_dovecot_contradict_each_other(home):
    server = DovecotServer(home, Dovecot(home, {}))
    server.settings["auth.scram"] = "yes"
    server.write_config()
    code, said = server.refuses_to_start()
    assert code == 2 and "auth.dovecot_socket" in said, said
