"""A server for users who say who they are, with one account."""
import base64
import contextlib
import json
import re
import shutil
import smtplib
import subprocess

import pytest
from certificates import Authority
from issuer import AUDIENCE, NAME, Issuer
from server import BUILD, PATIENCE_S, Server, free_port

HOST = "relay.example.com"
ANNA, PASSWORD = "anna@example.com", "correct horse battery"


class SubmissionServer(Server):
    """`port` takes STARTTLS on role submission, `implicit` is role submissions."""

    def __init__(self, home, route="hold", **settings):
        self.implicit, self.authority = free_port(), Authority(home)
        super().__init__(home, route=route, settings={
            "listener.test.role": "submission", "listener.test.tls": "required",
            "listener.smtps.address": f"127.0.0.1:{self.implicit}", "listener.smtps.role": "submissions", "listener.smtps.tls": "implicit",
            "auth.password_file": home / "accounts", "auth.scram": "yes", "auth.failures_max": "1000",
            **self.authority.files("main", HOST), **settings})
        self.account("add", ANNA, password=PASSWORD)

    def account(self, *words, password=None, code=0):
        command = [BUILD / "ringpostctl", "-c", self.config, "user", *words, *(["--password-stdin"] if password is not None else [])]
        run = subprocess.run(command, input=None if password is None else password + "\n", capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == code, (words, run.returncode, run.stdout, run.stderr)
        return run.stdout if code == 0 else run.stderr

    @contextlib.contextmanager
    def smtp(self):
        with smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=PATIENCE_S) as smtp:
            smtp._host = HOST
            assert smtp.starttls(context=self.authority.context())[0] == 220
            smtp.ehlo()
            yield smtp

    def metric(self, name):
        return sum(int(n) for n in re.findall(rf"^ringpost_{name}_total\{{.*\}} (\d+)", self.ctl("metrics"), re.M))


class TokenServer(SubmissionServer):
    def __init__(self, home, **settings):
        self.issuer = Issuer(home)
        super().__init__(home, **{"auth.oauth.issuer": NAME, "auth.oauth.audience": AUDIENCE, "auth.oauth.key_file": self.issuer.file,
                                 "auth.failure_delay": "0", **settings})

    def bearer(self, token, identity="", mechanism="OAUTHBEARER"):
        """The code of the last reply, and the error that came before it, if any."""
        text = f"n,{identity and 'a=' + identity},\1host={HOST}\1port=587\1auth=Bearer {token}\1\1" if mechanism == "OAUTHBEARER" \
            else f"user={identity}\1auth=Bearer {token}\1\1"
        with self.smtp() as smtp:
            code, said = smtp.docmd("AUTH", f"{mechanism} {base64.b64encode(text.encode()).decode()}")
            error = None
            if code == 334:
                error = json.loads(base64.b64decode(said))
                code, said = smtp.docmd("AQ==" if mechanism == "OAUTHBEARER" else "")
            return code, error


def refuses_settings(server, settings, words):
    """It does not start with these, and says why."""
    server.settings.update(settings)
    server.write_config()
    code, said = server.refuses_to_start()
    assert code == 2 and words in said, said
    (server.home / "accounts").unlink()


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


MAIL = f"From: {ANNA}\r\nTo: b@next.example\r\nSubject: hello\r\n\r\nbody\r\n"


def plain(login, password):
    return base64.b64encode(f"\0{login}\0{password}".encode()).decode()


def refused(server, login, password):
    with server.smtp() as smtp:
        return smtp.docmd("AUTH", f"PLAIN {plain(login, password)}")
