#!/usr/bin/python3
"""Passwords, tokens and proofs of users: what a server was told is in no file, log, metric or listing, and in no core of any process."""
import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import smtplib
import subprocess
from urllib.parse import quote

from dovecot import Dovecot, needs_dovecot
from introspection import INACTIVE, SECRET, IntrospectionServer, active
from memory_pictures import found, makes_no_core, pieces
from server import PATIENCE_S
from submission import HOST, SubmissionServer, TokenServer, needs, plain, refused
from web_server import Answer

CANARY = "canary@example.com"


def new_secret():
    """Long enough to be looked for in pieces."""
    return "canary-" + secrets.token_urlsafe(30)


class Told:
    """What a server was told in every way there is, and in which forms that may lie about."""

    def __init__(self):
        self.right, self.wrong = new_secret(), new_secret()
        self.forms = {}  # what it is, by its bytes

    def add(self, what, secret):
        self.forms.update({piece: what for piece in pieces(secret)})

    def add_password(self, password):
        self.add("password", password.encode())
        self.add("password in base64", base64.b64encode(password.encode()))
        self.add("AUTH PLAIN", base64.b64encode(f"\0{CANARY}\0{password}".encode())[-48:].rstrip(b"="))

    def add_token(self, token):
        self.add("token", token.encode()[-64:])
        text = f"n,,\1auth=Bearer {token}\1\1".encode(), f"user={CANARY}\1auth=Bearer {token}\1\1".encode()
        for each in text:
            self.add("token in base64", base64.b64encode(each)[-64:].rstrip(b"="))

    def add_scram_keys(self, accounts, password):
        """What a client proves that it has; the server sees it for a moment."""
        keys = re.search(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(\S+)", accounts[accounts.index(CANARY):])
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(keys[2]), int(keys[1]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        assert hashlib.sha256(client_key).digest() == base64.b64decode(keys[3])
        self.add("SCRAM's salted password", salted)
        self.add("SCRAM's client key", client_key)


def in_small_pieces(server, lines):
    """Over TLS, so that lines are cut anywhere."""
    with server.smtp() as smtp:
        for line in lines:
            for byte in (line + "\r\n").encode():
                smtp.sock.sendall(bytes([byte]))
            code = smtp.getreply()[0]
        return code


def log_in_with_passwords(server, passwords):
    for password, code in passwords.items():
        assert refused(server, CANARY, password)[0] == code
        assert in_small_pieces(server, [f"AUTH PLAIN {plain(CANARY, password)}"]) == code
        assert in_small_pieces(server, ["AUTH PLAIN", plain(CANARY, password)]) == code
        with server.smtp() as smtp:
            smtp.user, smtp.password = CANARY, password
            with contextlib.suppress(smtplib.SMTPAuthenticationError):
                smtp.auth("login", smtp.auth_login, initial_response_ok=False)


def log_in_with_scram(server, passwords):
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"):
        for password, code in passwords.items():
            run = subprocess.run(["gsasl", "--smtp", "--client", "--connect", f"127.0.0.1:{server.port}", "--mechanism", mechanism,
                                  "--authentication-id", CANARY, "--authorization-id", CANARY, "--password", password, "--x509-ca-file", "",
                                  "--verbose", *([] if mechanism.endswith("PLUS") else ["--no-cb"])], input="", capture_output=True, text=True, timeout=PATIENCE_S)
            assert f"{code} " in run.stdout + run.stderr, run.stdout + run.stderr


def log_in_with_tokens(server, tokens):
    for token, code in tokens.items():
        assert server.bearer(token)[0] == code
        assert server.bearer(token, CANARY, "XOAUTH2")[0] == code


def assert_nowhere(server, told):
    """In no file, log, metric or listing; and in no core that one of the processes could make, if it made any (T11)."""
    processes = {server.process.pid: "ringpostd", **server.family()}
    assert {"ringpostd", "ringpost-helper", "ringpost-keyd", "ringpost-auditd"} <= set(processes.values()), processes
    for pid, name in processes.items():
        assert makes_no_core(pid), name
        if os.geteuid() == 0:
            assert {told.forms[form] for form in found(pid, told.forms)} == set(), name
    if os.geteuid() == 0:
        assert found(server.process.pid, {HOST.encode()}) and found(server.helper("ringpost-helper"), {b"ringpost-accounts"}), "pictures show what is there"
    said = server.ctl("metrics") + server.ctl("status", "--json") + server.ctl("bans", "--json") + server.ctl("get", "-a") + server.said()
    server.stop()
    assert not [form for form in told.forms if form in said.encode()]
    for path in server.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [form for form in told.forms if form in content], path


def test_T11_tokens_that_the_issuer_is_asked_about(home):
    told = Told()
    with IntrospectionServer(home, **{"log.level": "debug"}) as server:
        server.account("add", CANARY, "--no-password")
        good, bad, lost = ("opaque-" + new_secret() for _ in range(3))
        for token, answer, code in ((good, active(CANARY), 235), (bad, INACTIVE, 535), (lost, Answer(status=500), 454)):
            server.web.answer = answer
            log_in_with_tokens(server, {token: code})
            told.add_token(token)
        assert server.asked() == 1 + 2 + 2
        server.secret.unlink()
        assert SECRET not in server.said() and quote(SECRET, safe="") not in server.said()
        assert_nowhere(server, told)


@needs("gsasl")
def test_T11_no_secret_is_anywhere(home):
    """Through every mechanism, right and wrong."""
    told = Told()
    with TokenServer(home, **{"log.level": "debug"}) as server:
        server.account("add", CANARY, password=told.right)
        app = server.account("app-password", CANARY, "one").strip()
        passwords = {told.right: 235, told.wrong: 535, app: 235}
        tokens = {server.issuer.token(CANARY): 235, server.issuer.token(CANARY, aud="another"): 535, "opaque-" + new_secret(): 535}
        log_in_with_passwords(server, passwords)
        log_in_with_scram(server, {told.right: 235, told.wrong: 535})
        log_in_with_tokens(server, tokens)
        for password in passwords:
            told.add_password(password)
        for token in tokens:
            told.add_token(token)
        told.add_scram_keys((home / "accounts").read_text(), told.right)
        assert_nowhere(server, told)


@needs_dovecot
def test_T11_no_secret_is_anywhere_with_dovecot(home, home_of_module):
    told = Told()
    with Dovecot(home_of_module, {CANARY: told.right}) as dovecot, \
            SubmissionServer(home, **{"auth.scram": "no", "auth.dovecot_socket": dovecot.socket, "auth.failure_delay": "0", "log.level": "debug"}) as server:
        log_in_with_passwords(server, {told.right: 235, told.wrong: 535})
        told.add_password(told.right)
        told.add_password(told.wrong)
        assert_nowhere(server, told)
