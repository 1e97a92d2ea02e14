#!/usr/bin/python3
"""ringpost-bench around the real server, and its TLS, LMTP and comparisons: what it counts is what happened."""
import json
import mailbox
import socket
import subprocess
import threading

import pytest
from certificates import Authority
from server import BUILD, PATIENCE_S, BenchSink, Server, free_port, is_sanitized, wait_until

BENCH = BUILD / "ringpost-bench"
HOST = "relay.example.com"


def bench(mode, *options, code=0):
    run = subprocess.run([BENCH, mode, "--json", "-", "--quiet", *map(str, options)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
    return json.loads(run.stdout[run.stdout.index("{"):])


@pytest.fixture
def certified(home):
    return Authority(home)


class Submission(Server):
    """`port` offers TLS, `implicit` begins with it and wants a login: anna@example.com, or 0anna@example.com."""

    def __init__(self, home, authority, **settings):
        self.implicit = free_port()
        super().__init__(home, settings={
            "listener.test.tls": "offered", "listener.users.address": f"127.0.0.1:{self.implicit}", "listener.users.role": "submissions",
            "listener.users.tls": "implicit", "auth.password_file": home / "accounts", "auth.never_ban": "127.0.0.1/32",
            **authority.files("main", HOST), **settings})
        self.password = home / "password"
        self.password.write_text("correct horse battery\n")
        for name in ("anna@example.com", "0anna@example.com"):
            subprocess.run([BUILD / "ringpostctl", "-c", self.config, "user", "add", name, "--password-stdin"],
                           input=self.password.read_text(), text=True, check=True)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("resume", [False, True])
def test_messages_under_tls(home, certified, tls, resume):
    with Submission(home, certified) as server:
        port = server.port if tls == "starttls" else server.implicit
        login = ["--user", "anna@example.com", "--password-file", server.password, "--from", "anna@example.com"] if tls == "implicit" else []
        results = bench("send", "--to", f"127.0.0.1:{port}", "--tls", tls, "--messages", 12, "--per-connection", 2, "--connections", 2, *login,
                        *(["--resume"] if resume else []))
        assert (results["accepted"], results["refused"], results["lost"]) == (12, 0, 0) and results["troubles"] == {}
        made = results["connections_made"]
        assert made in (6, 7)  # the last two messages may go over one or two of them
        # The first one has nothing to go on with; the second neither, unless it shakes hands late.
        assert results["connections_resumed"] in ((made - 2, made - 1) if resume else (0,))
        assert len(server.queue()) == 12


def test_logins_right_and_wrong(home, certified):
    with Submission(home, certified) as server:
        where = ["--to", f"127.0.0.1:{server.implicit}", "--tls", "implicit", "--rate", 4, "--seconds", 1]
        right = bench("login", *where, "--user", "anna@example.com", "--password-file", server.password)
        assert (right["begun"], right["accepted"], right["refused"], right["lost"]) == (4, 4, 0, 0)
        wrong = bench("login", *where, "--user", "anna@example.com", "--password-file", server.password, "--numbered",
                      "--from-network", "127.0.0.1/32")
        assert (wrong["begun"], wrong["accepted"], wrong["refused"], wrong["lost"]) == (4, 1, 3, 0)  # 0anna there is
        assert wrong["troubles"] == {"auth 535": 3}


def test_relay_measures_from_end_to_end(home):
    sink = free_port()
    with Server(home, route=f"smtp://127.0.0.1:{sink}") as server:
        results = bench("relay", "--to", f"127.0.0.1:{server.port}", "--listen", f"127.0.0.1:{sink}", "--messages", 300, "--connections", 10,
                        "--recipients", "1-3", "--domains", 3, "--server-pid", server.process.pid)
        assert (results["accepted"], results["lost"], results["changed"], results["duplicates"]) == (300, 0, 0, 0)
        assert results["rate"] > 0 and results["server_cpu_us_per_message"] > 0 and results["latency_us"]["max"] > 0
        assert results["sink_connections"] >= 1
        server.wait_delivered()


def test_relay_finds_what_is_lost(home):
    """The server holds everything back: nothing arrives, and that is said."""
    with Server(home) as server:
        results = bench("relay", "--to", f"127.0.0.1:{server.port}", "--listen", f"127.0.0.1:{free_port()}", "--messages", 5,
                        "--patience", 0.2, code=1)
        assert (results["accepted"], results["lost"], results["rate"]) == (5, 5, 0)


@pytest.mark.alone
@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_idle_connections_are_held_and_counted(home, certified, tls):
    with Submission(home, certified) as server:
        results = bench("idle", "--to", f"127.0.0.1:{server.port}", "--tls", tls, "--connections", 150, "--seconds", 0.1,
                        "--server-pid", server.process.pid)
        assert (results["accepted"], results["refused"], results["lost"]) == (150, 0, 0)
        assert 100 < results["server_bytes_per_connection"] < (10_000_000 if is_sanitized() else 60_000)


def test_idle_says_who_was_turned_away(home):
    with Server(home, settings={"limits.connections_per_client": "20"}) as server:
        wait_until("the end of the look at its banner", lambda: server.connections_open() == 0, meanwhile=server.must_run)
        results = bench("idle", "--to", f"127.0.0.1:{server.port}", "--connections", 30, "--seconds", 0.1, code=1)
        assert (results["accepted"], results["refused"], results["lost"]) == (20, 10, 0)
        assert results["troubles"] == {"greeting 421": 10}


def test_kept_messages_are_sent_as_they_are(tmp_path):
    box = mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(f"Subject: kept {number}\n\nFrom the body of {number}\n.\n\u00e9\n".encode())
    box.close()
    folder = mailbox.Maildir(tmp_path / "dir", create=True)
    folder.add(b"Subject: in a folder\n\nbody\n")
    with BenchSink() as sink:
        for source, count in ((tmp_path / "box", 7), (tmp_path / "dir", 2)):
            results = bench("send", "--to", f"127.0.0.1:{sink.port}", "--messages", count, "--messages-from", source)
            assert results["accepted"] == count
        contents = [content for _, _, content in sink.messages()]
    assert sum(b"Subject: kept 0\r\n\r\nFrom the body of 0\r\n.\r\n\xc3\xa9\r\n" in content for content in contents) == 3
    assert sum(content.endswith(b"Subject: in a folder\r\n\r\nbody\r\n") for content in contents) == 2


class LmtpServer:
    """Says no to each second recipient, after the message (RFC 2033 section 4.2)."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as lines:
            client.sendall(b"220 lmtp\r\n")
            recipients = 0
            while line := lines.readline():
                verb = line[:4].upper()
                if verb == b"LHLO":
                    client.sendall(b"250-lmtp\r\n250 PIPELINING\r\n")
                elif verb == b"MAIL":
                    recipients = 0
                    client.sendall(b"250 ok\r\n")
                elif verb == b"RCPT":
                    recipients += 1
                    client.sendall(b"250 ok\r\n")
                elif verb == b"DATA":
                    client.sendall(b"354 go\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                    client.sendall(b"".join(b"550 no\r\n" if number % 2 else b"250 yes\r\n" for number in range(recipients)))
                else:
                    client.sendall(b"221 bye\r\n")
                    return


@pytest.mark.parametrize("how", [[], ["--pipeline", "--depth", 2]])
def test_lmtp_has_a_reply_for_each_recipient(how):
    server = LmtpServer()
    results = bench("send", "--to", f"127.0.0.1:{server.port}", "--lmtp", "--messages", 4, "--recipients", 3, *how)
    server.thread.join(PATIENCE_S)
    server.listener.close()
    assert (results["accepted"], results["lost"]) == (4, 0)
    assert results["recipients"]["accepted"] == 8 and results["troubles"] == {"end 550": 4}


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_sink_with_tls_and_its_faults(tmp_path, tls):
    files = list(Authority(tmp_path).files("sink", "sink.example.net").values())
    for mode, troubles in (("drop@tls=0.5", {"tls broken"}), ("tempfail@tls=0.5", {"tls 454"} if tls == "starttls" else set())):
        sink = subprocess.Popen([BENCH, "sink", "--listen", "127.0.0.1:0", "--tls", tls, "--certificate", files[0], "--key", files[1],
                                 "--mode", mode, "--json", tmp_path / "sink.json", "--quiet"], stdout=subprocess.PIPE, text=True)
        address = sink.stdout.readline().split()[2]
        results = bench("send", "--to", address, "--tls", tls, "--messages", 40, "--per-connection", 1, "--keep-going")
        sink.terminate()
        assert sink.wait(PATIENCE_S) == 0
        sink.stdout.close()
        summary = json.loads((tmp_path / "sink.json").read_text())
        assert results["accepted"] == summary["accepted"] == 40 == summary["connections_secured"]
        assert set(results["troubles"]) == troubles
        assert (summary["faults"]["drop"] + summary["faults"]["tempfail"] > 0) == bool(troubles)


def test_compare_shows_what_changed_and_judges_it(tmp_path):
    def write(name, **figures):
        path = tmp_path / name
        path.write_text(json.dumps({"mode": "send", "rate": 1000.0, "cpu_us_per_message": 20.0, "latency_us": {"p50": 100, "max": 900},
                                    "accepted": 10, "lost": 0, **figures}))
        return path

    def compare(*words):
        return subprocess.run([BENCH, "compare", *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S)

    before = write("before")
    run = compare(before, write("after", rate=1100.0, cpu_us_per_message=19.0))
    assert run.returncode == 0 and "+10.0 %" in run.stdout and "-5.0 %" in run.stdout and run.stderr == ""
    worse = write("worse", rate=900.0, latency_us={"p50": 100, "max": 5000}, connections=3)
    run = compare(before, worse, "--worse", 5)
    assert run.returncode == 1 and run.stdout.count("worse") == 1 and "connections" in run.stderr  # the maximum is not judged
    assert compare(before, worse, "--worse", 15).returncode == 0
    assert compare(before, write("lossy", lost=1), "--worse", 50).returncode == 1
    (tmp_path / "none").write_text("no results\n")
    assert compare(before, tmp_path / "none").returncode == 2 and compare(before, tmp_path / "missing").returncode == 2


def test_mistakes_are_named(tmp_path):
    for words, said in ((["send", "--to", "127.0.0.1:1", "--messages", "1", "--resume"], "--resume: needs --tls"),
                        (["send", "--to", "127.0.0.1:1", "--messages", "1", "--user", "a"], "goes with --password-file"),
                        (["send", "--to", "127.0.0.1:1", "--messages", "1", "--messages-from", tmp_path / "x"], "cannot be read"),
                        (["send", "--to", "127.0.0.1:1", "--messages", "1", "--size", "4k:0"], "a weight is 1 to"),
                        (["send", "--to", "127.0.0.1:1", "--messages", "1", "--server-pid", "999999999"], "no process 999999999"),
                        (["sink", "--listen", "127.0.0.1:0", "--tls", "implicit"], "--certificate"),
                        (["login", "--to", "127.0.0.1:1", "--rate", "1"], "--user: is needed")):
        run = subprocess.run([BENCH, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 2 and said in run.stdout + run.stderr, (words, run.stdout, run.stderr)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
