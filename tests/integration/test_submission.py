#!/usr/bin/python3
"""Users who say who they are, as other people's clients do it: smtplib, swaks, curl, msmtp, gsasl, nodemailer; and those who lie."""
import json
import os
import pathlib
import random
import re
import shutil
import smtplib
import stat
import statistics
import subprocess
import time

import pytest
from server import PATIENCE_S, BenchSink, wait_until
from submission import ANNA, HOST, MAIL, PASSWORD, SubmissionServer, needs, plain, refused, refuses_settings

@pytest.fixture(scope="module")
def server(home_of_module):
    """One that many short tests talk to."""
    with SubmissionServer(home_of_module) as running:
        yield running


def test_smtplib_with_every_mechanism_it_has(server):
    before = server.status()["accepted"]
    for mechanism in ("plain", "login"):
        with server.smtp() as smtp:
            assert smtp.esmtp_features["auth"].split() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
            smtp.user, smtp.password = ANNA, PASSWORD
            assert smtp.auth(mechanism, getattr(smtp, f"auth_{mechanism}"))[0] == 235
            smtp.sendmail(ANNA, ["b@next.example"], MAIL)
            assert smtp.docmd("AUTH", "PLAIN")[0] == 503
    assert server.status()["accepted"] == before + 2


@needs("swaks")
def test_swaks(server):
    for port, way in ((server.port, "--tls"), (server.implicit, "--tls-on-connect")):
        for mechanism in ("PLAIN", "LOGIN"):
            run = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(port), way, "--auth", mechanism, "--auth-user", ANNA,
                                  "--auth-password", PASSWORD, "--from", ANNA, "--to", "b@next.example", "--helo", "client.example"],
                                 capture_output=True, text=True, timeout=PATIENCE_S)
            assert run.returncode == 0 and "235 2.7.0" in run.stdout and "250 2.0.0 Ok: queued as" in run.stdout, run.stdout + run.stderr


@needs("curl")
def test_curl(server, home):
    (home / "mail").write_text(MAIL)
    for scheme, port in (("smtp", server.port), ("smtps", server.implicit)):
        for options in ((), ("--login-options", "AUTH=PLAIN"), ("--login-options", "AUTH=LOGIN")):
            run = subprocess.run(["curl", "-sSv", "--ssl-reqd", "--cacert", server.authority.trust, "--resolve", f"{HOST}:{port}:127.0.0.1",
                                  f"{scheme}://{HOST}:{port}/client.example", "--user", f"{ANNA}:{PASSWORD}", "--mail-from", ANNA,
                                  "--mail-rcpt", "b@next.example", "--upload-file", home / "mail", *options],
                                 capture_output=True, text=True, timeout=PATIENCE_S)
            assert run.returncode == 0 and "< 235 2.7.0" in run.stderr, run.stderr


@needs("msmtp")
def test_msmtp(server):
    for port, starttls in ((server.port, "on"), (server.implicit, "off")):
        for mechanism in ("plain", "login"):
            run = subprocess.run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}",
                                  f"--tls-trust-file={server.authority.trust}", f"--tls-host-override={HOST}", f"--auth={mechanism}",
                                  f"--user={ANNA}", f"--passwordeval=echo '{PASSWORD}'", f"--from={ANNA}", "--domain=client.example",
                                  "b@next.example"], input=MAIL, capture_output=True, text=True, timeout=PATIENCE_S)
            assert run.returncode == 0, run.stdout + run.stderr


@needs("gsasl")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN"])
def test_gsasl(server, mechanism):
    def log_in(password):
        run = subprocess.run(["gsasl", "--smtp", "--client", "--connect", f"127.0.0.1:{server.port}", "--mechanism", mechanism,
                              "--authentication-id", ANNA, "--authorization-id", ANNA, "--password", password, "--x509-ca-file", "",
                              "--verbose", *([] if mechanism.endswith("PLUS") else ["--no-cb"])], input="", capture_output=True, text=True, timeout=PATIENCE_S)
        return run.stdout + run.stderr
    assert "235 2.7.0" in (said := log_in(PASSWORD)), said
    assert "535 5.7.8" in (said := log_in("another password")), said


@pytest.mark.skipif(not shutil.which("node") or not pathlib.Path("/usr/share/nodejs/nodemailer").exists(), reason="nodemailer is not installed")
def test_nodemailer(server, home):
    script = home / "send.js"
    script.write_text("""
const nodemailer = require('nodemailer'), fs = require('fs');
const [port, secure, authMethod, user, pass, ca] = process.argv.slice(2);
nodemailer.createTransport({ host: '127.0.0.1', port: +port, secure: secure === 'yes', requireTLS: true, authMethod, auth: { user, pass },
                             name: 'client.example', tls: { ca: fs.readFileSync(ca), servername: 'relay.example.com' } })
  .sendMail({ from: user, to: 'b@next.example', subject: 'x', text: 'hello' })
  .then(info => console.log(info.response), error => { console.error(error.message); process.exit(1); });
""")
    for port, secure in ((server.port, "no"), (server.implicit, "yes")):
        for method in ("PLAIN", "LOGIN"):
            run = subprocess.run(["node", script, str(port), secure, method, ANNA, PASSWORD, server.authority.trust],
                                 env={**os.environ, "NODE_PATH": "/usr/share/nodejs"}, capture_output=True, text=True, timeout=PATIENCE_S)
            assert run.returncode == 0 and run.stdout.startswith("250 2.0.0 Ok: queued as"), run.stdout + run.stderr


def test_what_is_delivered_and_what_the_audit_log_knows(home):
    with BenchSink() as sink, SubmissionServer(home, route=sink.route) as server:
        with server.smtp() as smtp:
            smtp.login(ANNA, PASSWORD)
            smtp.sendmail(ANNA, ["b@next.example"], "Subject: bare\r\n\r\nbody\r\n")
            assert smtp.mail("boss@example.com")[0] == 553
            assert smtp.mail(ANNA)[0] == 250
            assert smtp.rcpt("b@next.example")[0] == 250
            assert smtp.data("From: a@b\r\nFrom: c@d\r\n\r\nx\r\n")[0] == 554
        wait_until("the message", sink.count, meanwhile=server.must_run)
        ((_, _, content),) = sink.messages()
        header = content.decode().partition("\r\n\r\n")[0]
        assert " with ESMTPSA\r\n" in header
        assert re.search(r"^Message-ID: <[0-9a-f]{32}@relay\.example\.com>\r$", header + "\r", re.M), header
        assert len(re.findall(r"^Date: ", header, re.M)) == 1
        wait_until("its record", lambda: [e for e in server.audit_lines() if e["event"] == "message_accepted"])
        (accepted,) = [e for e in server.audit_lines() if e["event"] == "message_accepted"]
        assert re.fullmatch("[0-9a-f]{32}", accepted["login"])
        assert ANNA not in "".join(path.read_text() for path in server.audit.glob("*.jsonl"))


def test_nobody_relays_without_a_login(server):
    """A1 on a submission listener: loopback is in relay.clients, and counts for nothing here."""
    with server.smtp() as smtp:
        assert smtp.docmd(f"MAIL FROM:<{ANNA}>")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(ANNA, "another password")
        assert smtp.docmd(f"MAIL FROM:<{ANNA}>")[0] == 530
        assert smtp.docmd("RCPT TO:<b@next.example>")[0] == 503


def test_users_come_and_go_while_the_server_runs(home):
    with SubmissionServer(home) as server:
        accounts = home / "accounts"
        mode = accounts.stat()
        if os.geteuid() == 0:
            import grp
            assert grp.getgrgid(mode.st_gid).gr_name == "ringpost-helper" and mode.st_uid == 0
        assert stat.S_IMODE(mode.st_mode) == 0o640
        assert PASSWORD not in accounts.read_text() and "$argon2id$" in accounts.read_text()

        assert refused(server, "bob@example.com", "eight letters")[0] == 535
        server.account("add", "bob@example.com", "--send-as", "@example.org", password="eight letters")
        with server.smtp() as smtp:
            assert smtp.login("BOB@example.com", "eight letters")[0] == 235
            assert smtp.mail("anybody@example.org")[0] == 250
            smtp.rset()
            assert smtp.mail("bob@example.com")[0] == 553
        server.account("passwd", "bob@example.com", password="other letters")
        assert refused(server, "bob@example.com", "eight letters")[0] == 535
        assert refused(server, "bob@example.com", "other letters")[0] == 235
        server.account("disable", "bob@example.com")
        assert refused(server, "bob@example.com", "other letters")[0] == 535
        server.account("enable", "bob@example.com")
        app = server.account("app-password", "bob@example.com", "printer", "--scope", "submission", "--network", "127.0.0.0/8").strip()
        far = server.account("app-password", "bob@example.com", "far", "--network", "192.0.2.0/24").strip()
        over = server.account("app-password", "bob@example.com", "over", "--expires", "2020-01-01").strip()
        assert refused(server, "bob@example.com", app)[0] == 235
        assert refused(server, "bob@example.com", far)[0] == 535
        assert refused(server, "bob@example.com", over)[0] == 535
        assert app not in accounts.read_text()
        described = [json.loads(line) for line in server.account("list", "--json").splitlines()]
        assert [each["login"] for each in described] == [ANNA, "bob@example.com"]
        assert {app["name"] for app in described[1]["app_passwords"]} == {"printer", "far", "over"}
        server.account("app-password", "bob@example.com", "printer", "--remove")
        assert refused(server, "bob@example.com", app)[0] == 535
        server.account("remove", "bob@example.com")
        assert refused(server, "bob@example.com", "other letters")[0] == 535

        # Mistakes.
        assert "there is one already" in server.account("add", ANNA, password="eight letters", code=1)
        assert "no such one" in server.account("passwd", "nobody@example.com", password="eight letters", code=1)
        assert "8 characters" in server.account("add", "carl@example.com", password="short", code=2)
        good = accounts.read_text()
        accounts.write_text(good + "nonsense\n")
        assert refused(server, ANNA, PASSWORD)[0] == 235, "a broken file leaves the accounts as they were"
        assert "the accounts stay as they were" in server.said()
        assert str(accounts) in server.account("list", code=2)


def test_a_login_that_sends_too_much_is_held(home):
    with BenchSink() as sink, SubmissionServer(home, route=sink.route, **{"submission.recipients_per_hour": "3"}) as server:
        with server.smtp() as smtp:
            smtp.login(ANNA, PASSWORD)
            for _ in range(5):
                smtp.sendmail(ANNA, ["b@next.example"], MAIL)
        wait_until("what may go", lambda: sink.count() == 3, meanwhile=server.must_run)
        held = wait_until("what is held", lambda: len(queue := server.queue()) == 2 and queue, meanwhile=server.must_run)
        assert all(recipient["state"] == "held" for message in held for recipient in message["recipients"]), held
        assert "ALARM: a login has sent to more recipients than it may" in server.said()
        wait_until("the alarm", lambda: sum(e["event"] == "message_over_budget" for e in server.audit_lines()) == 2)
        server.stop()
        server.start()
        assert len(server.queue()) == 2
        server.ctl("queue", "release", *[message["id"] for message in held])
        wait_until("what was released", lambda: sink.count() == 5, meanwhile=server.must_run)


def test_bans_come_and_go(home):
    with SubmissionServer(home, **{"auth.failures_max": "3", "auth.ban": "1 h", "auth.never_ban": "none"}) as server:
        def guess():
            for _ in range(3):
                assert refused(server, ANNA, "another password")[0] == 535
        guess()
        assert refused(server, ANNA, PASSWORD)[0] == 421
        listed = [json.loads(line) for line in server.ctl("bans", "--json").splitlines()]
        assert {each["who"] for each in listed} == {"127.0.0.0/24", ANNA}, listed
        wait_until("the refusals in the audit log", lambda: sum(e["event"] == "login_refused" for e in server.audit_lines()) >= 3)
        # A short one, of which nobody needs to see more than its end: a start forgets the long one.
        server.stop()
        server.settings["auth.ban"] = "2 s"
        server.write_config()
        server.start()
        began = time.monotonic()
        guess()
        wait_until("the end of the ban", lambda: refused(server, ANNA, PASSWORD)[0] == 235, meanwhile=server.must_run)
        assert time.monotonic() - began > 2
        assert server.ctl("bans", "--json") == ""


def test_strangers_are_put_off_while_many_guess(home):
    """One wrong password an hour is checked; who is known comes in all the same."""
    with SubmissionServer(home, **{"auth.failures_rate": "1/h", "auth.failure_delay": "0"}) as server:
        assert refused(server, ANNA, PASSWORD)[0] == 235  # and is known from here on
        assert refused(server, "nobody@example.com", "a guess")[0] == 535
        assert refused(server, "nobody@example.com", "a guess")[0] == 454
        assert refused(server, ANNA, PASSWORD)[0] == 235
        counted = [line.split()[1] for line in server.ctl("metrics").splitlines() if line.startswith("ringpost_logins_put_off_total")]
        assert sum(map(int, counted)) == 1
        server.settings["auth.failures_rate"] = "none"
        server.write_config()
        server.ctl("reload")
        assert refused(server, "nobody@example.com", "a guess")[0] == 535


def test_helperd_away_is_no_refusal(home):
    with SubmissionServer(home) as server:
        helper = server.helper("ringpost-helper")
        os.kill(helper, 9)
        wait_until("a new helper", lambda: server.helper("ringpost-helper") != helper and refused(server, ANNA, PASSWORD)[0] == 235,
                   meanwhile=server.must_run)


@pytest.mark.alone
def test_C5_no_timing_tells_who_exists(home):
    """Without the delay that would hide it. The two take turns in random order, so that nothing with a period of its own (a share of the
    processor, say) meets one of them more than the other; and lower quartiles are compared, for what disturbs only adds."""
    order = random.Random(5)
    with SubmissionServer(home, **{"auth.failure_delay": "0", "auth.failures_rate": "none"}) as server:
        times = {ANNA: [], "nobody@example.com": []}
        for attempt in range(10):  # a busy machine may blur forty of each, not four hundred
            for _ in range(40):
                for login in order.sample(sorted(times), 2):
                    with server.smtp() as smtp:
                        began = time.monotonic()
                        assert smtp.docmd("AUTH", f"PLAIN {plain(login, 'another password')}")[0] == 535
                        times[login].append(time.monotonic() - began)
            known, unknown = (statistics.quantiles(taken, n=4)[0] for taken in times.values())
            assert known > 0.01, "a password costs its work"
            if 0.95 < known / unknown < 1.05:
                return
        raise AssertionError((known, unknown))


def test_configurations_that_contradict_themselves(home):
    for settings, words in (({"listener.test.tls": "none"}, "listener.test.tls = required"),
                            ({"listener.smtps.tls": "required"}, "listener.smtps.tls = implicit")):
        refuses_settings(SubmissionServer(home), settings, words)
