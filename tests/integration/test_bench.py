#!/usr/bin/python3
"""ringpost-bench against itself and against other people's SMTP: swaks and smtplib send, aiosmtpd takes in.

Run by Meson, which names the program in RINGPOST_BENCH; loopback and free ports only.
"""
import asyncio
import json
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import subprocess
import threading

import pytest

BENCH = os.environ.get("RINGPOST_BENCH") or str(pathlib.Path(__file__).parents[2] / "build" / "ringpost-bench")
PATIENCE_S = 120


class Sink:
    def __init__(self, folder, *options):
        self.folder = folder
        self.ledger, self.summary, self.store = folder / "received", folder / "sink.json", folder / "store"
        self.process = subprocess.Popen(
            [BENCH, "sink", "--listen", "127.0.0.1:0", "--ledger", self.ledger, "--json", self.summary, *options],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        self.address = line.split()[2]
        self.port = int(self.address.rpartition(":")[2])

    def stop(self):
        """Ends it in order; returns its summary."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        self.process.stdout.close()
        return json.loads(self.summary.read_text())

    def lines(self):
        return [line.split() for line in self.ledger.read_text().splitlines()]

    def kept(self):
        """Sidecar and bytes of each stored message."""
        return [(json.loads(path.read_text()), path.with_suffix(".eml").read_bytes())
                for path in sorted(self.store.glob("*.json"))]


@pytest.fixture
def start_sink(tmp_path):
    sinks = []

    def start(*options):
        folder = tmp_path / f"sink{len(sinks)}"
        folder.mkdir()
        sinks.append(Sink(folder, *options))
        return sinks[-1]
    yield start
    for sink in sinks:
        if sink.process.poll() is None:
            sink.stop()


def send(address, tmp_path, *options, code=0):
    run = subprocess.run([BENCH, "send", "--to", address, "--ledger", tmp_path / "sent", "--json", "-", "--quiet", *options],
                         capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
    return json.loads(run.stdout)


def check(sent, received, code=0):
    run = subprocess.run([BENCH, "check", "--sent", sent, "--received", received, "--json", "-"], capture_output=True, text=True,
                         timeout=PATIENCE_S)
    assert run.returncode == code, (run.stdout, run.stderr)
    return json.loads(run.stdout)


@pytest.mark.parametrize("options", [
    "", "--bdat", "--pipeline", "--pipeline --depth 2", "--bdat --chunk 700", "--pipeline --bdat --depth 8",
    "--pipeline --bdat --chunk 333 --depth 3", "--pipeline --recipients 1-20 --per-connection 3", "--eight-bit --bdat", "--rate 2000",
    "--threads 2 --pipeline",
])
def test_all_that_is_sent_arrives(start_sink, tmp_path, options):
    sink = start_sink("--threads", "2")
    results = send(sink.address, tmp_path, "--connections", "5", "--messages", "200", "--size", "128-30000", *options.split())
    assert [results[name] for name in ("begun", "accepted", "refused", "deferred", "lost")] == [200, 200, 0, 0, 0]
    assert results["cpu_us_per_message"] > 0 and results["rate"] == pytest.approx(200 / results["seconds"])
    assert results["troubles"] == {}
    assert 0 < results["latency_us"]["p50"] <= results["latency_us"]["p99"] <= results["latency_us"]["max"] * 33 / 32
    summary = sink.stop()
    assert summary["accepted"] == 200 and summary["refused"] == 0
    assert summary["bytes"] == results["bytes"] and summary["recipients"] == results["recipients"]["accepted"]
    report = check(tmp_path / "sent", sink.ledger)
    assert (report["sent"], report["received"], report["duplicates"], report["extra"]) == (200, 200, 0, 0)


def test_the_same_seed_sends_the_same_messages(start_sink, tmp_path):
    sink = start_sink()
    for _ in range(2):
        send(sink.address, tmp_path, "--messages", "20", "--seed", "9", "--run-id", "same", "--size", "200-5000")
    sink.stop()
    lines = [line[:4] for line in sink.lines()]
    assert lines[:20] == lines[20:]
    # Two runs of one name cannot be told apart: the check says so and does not pass.
    assert check(tmp_path / "sent", sink.ledger, code=2)["repeated"] == 20


def test_a_large_message_and_many_recipients(start_sink, tmp_path):
    sink = start_sink()
    for options in ([], ["--bdat"], ["--bdat", "--chunk", "100k", "--pipeline"]):
        send(sink.address, tmp_path, "--messages", "1", "--size", "20M", "--recipients", "1000", *options)
    sink.stop()
    assert check(tmp_path / "sent", sink.ledger)["sent"] == 3


def test_time_bounds_a_run(start_sink, tmp_path):
    sink = start_sink()
    results = send(sink.address, tmp_path, "--seconds", "0.3", "--rate", "100", "--connections", "2")
    assert results["accepted"] == 30 and results["loop"] == "open"


def test_open_loop_counts_the_wait_of_messages_that_were_due(start_sink, tmp_path):
    """50 ms a message over one connection at 100 a second: the queue grows, and so must the latency."""
    sink = start_sink("--mode", "slow=10ms")
    results = send(sink.address, tmp_path, "--messages", "20", "--rate", "100")
    assert results["latency_us"]["max"] > 400_000, results["latency_us"]


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
@pytest.mark.parametrize("how", ["", "--pipeline", "--pipeline --depth 2", "--bdat", "--pipeline --bdat --depth 4"])
def test_replies_that_refuse_are_counted(start_sink, tmp_path, stage, how):
    for action in ("tempfail", "permfail"):
        sink = start_sink("--mode", f"{action}@{stage}=0.5", "--seed", "3")
        results = send(sink.address, tmp_path, "--messages", "60", "--connections", "2", "--run-id", action, *how.split(), code=1)
        assert results["begun"] == 60 and results["lost"] == 0
        assert results["accepted"] + results["refused"] == 60 and results["deferred"] == (results["refused"] if action == "tempfail" else 0)
        assert 10 < results["accepted"] < 50
        summary = sink.stop()
        assert summary["accepted"] == results["accepted"]
        assert summary["faults"][action] == results["refused"]
        assert len(sink.lines()) == results["accepted"]


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt", "data", "content", "end", "reply"])
@pytest.mark.parametrize("how", ["", "--pipeline --depth 2", "--pipeline --bdat --depth 4"])
def test_connections_that_break_are_made_again(start_sink, tmp_path, stage, how):
    sink = start_sink("--mode", f"drop@{stage}=0.3")
    results = send(sink.address, tmp_path, "--messages", "100", "--connections", "3", "--per-connection", "5",
                   "--keep-going", *how.split())
    assert results["begun"] == 100 and results["accepted"] + results["lost"] == 100
    summary = sink.stop()
    assert summary["faults"]["drop"] > 0
    report = check(tmp_path / "sent", sink.ledger)
    # Without pipelining only a lost 250 lets more arrive than was acknowledged; with it a reset may take replies along.
    if stage == "reply":
        assert report["extra"] > 0
    elif not how:
        assert report["extra"] == 0


def test_without_keep_going_a_broken_connection_is_a_failure(start_sink, tmp_path):
    sink = start_sink("--mode", "drop@content")
    results = send(sink.address, tmp_path, "--messages", "5", code=1)
    assert results["lost"] == 1 and results["troubles"] == {"end broken": 1}


def test_greylisting_lets_the_second_try_in(start_sink):
    sink = start_sink("--mode", "greylist=200ms")
    deferred = 0
    while True:
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=PATIENCE_S) as client:
            try:
                client.sendmail("a@example.org", ["b@example.net"], "Subject: s\r\n\r\nx\r\n")
                break
            except smtplib.SMTPRecipientsRefused as refused:
                assert refused.recipients["b@example.net"][0] == 451
                deferred += 1
    assert deferred > 0 and sink.stop()["faults"]["greylist"] == deferred


def test_refused_connections(start_sink, tmp_path):
    for action, code in (("tempfail", 421), ("permfail", 554)):
        sink = start_sink("--mode", f"{action}@connect")
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP("127.0.0.1", sink.port, timeout=PATIENCE_S)
        assert refused.value.smtp_code == code
        results = send(sink.address, tmp_path, "--messages", "1", code=1)
        assert results["troubles"] == {f"greeting {code}": 1}


def test_a_killed_sink_keeps_every_line_that_was_acknowledged(tmp_path):
    folder = tmp_path / "sink"
    folder.mkdir()
    sink = Sink(folder)
    sender = subprocess.Popen([BENCH, "send", "--to", sink.address, "--ledger", tmp_path / "sent", "--messages", "100000000",
                               "--connections", "8", "--pipeline", "--depth", "2", "--quiet"])
    while not (tmp_path / "sent").is_file() or (tmp_path / "sent").stat().st_size < 100_000:
        assert sender.poll() is None
    sink.process.kill()
    sink.process.wait()
    sink.process.stdout.close()
    assert sender.wait(PATIENCE_S) == 1
    assert check(tmp_path / "sent", sink.ledger)["sent"] > 1000


def test_a_killed_sender_leaves_a_ledger_without_torn_claims(start_sink, tmp_path):
    sink = start_sink()
    sender = subprocess.Popen([BENCH, "send", "--to", sink.address, "--ledger", tmp_path / "sent", "--messages", "100000000",
                               "--connections", "8", "--quiet"])
    while not (tmp_path / "sent").is_file() or (tmp_path / "sent").stat().st_size < 100_000:
        assert sender.poll() is None
    sender.kill()
    sender.wait()
    check(tmp_path / "sent", sink.ledger)


def test_an_interrupted_sender_ends_in_order(start_sink, tmp_path):
    sink = start_sink()
    sender = subprocess.Popen([BENCH, "send", "--to", sink.address, "--ledger", tmp_path / "sent", "--seconds", "600",
                               "--json", tmp_path / "send.json", "--quiet"])
    while not (tmp_path / "sent").is_file() or (tmp_path / "sent").stat().st_size < 1000:
        assert sender.poll() is None
    sender.send_signal(signal.SIGINT)
    assert sender.wait(PATIENCE_S) == 0
    messages = json.loads((tmp_path / "send.json").read_text())
    assert messages["begun"] == messages["accepted"] == len((tmp_path / "sent").read_text().splitlines())


def test_a_ledger_that_cannot_be_written_gets_no_250(tmp_path):
    process = subprocess.Popen([BENCH, "sink", "--listen", "127.0.0.1:0", "--ledger", "/dev/full"], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[2]
        results = send(address, tmp_path, "--messages", "1", code=1)
        assert results["accepted"] == 0 and results["lost"] == 1
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stdout.close()


# ---- other people's programs

TRICKY = (b"Received: from elsewhere\r\n by here\r\nSubject: tricky\r\n\r\n.\r\n..\r\n.x\r\n\r\n"
          b"\xc3\xa9\xff 8 bit\r\n" + b"y" * 5000 + b"\r\n\t\r\n")


def test_smtplib_sends_and_the_store_keeps_every_byte(start_sink, tmp_path):
    store = tmp_path / "store"
    sink = start_sink("--store", store)
    recipients = [f"r{number}@example.net" for number in range(30)]
    with smtplib.SMTP("127.0.0.1", sink.port, local_hostname="client.example.org", timeout=PATIENCE_S) as client:
        client.ehlo()
        assert set(client.esmtp_features) == {"pipelining", "size", "8bitmime", "smtputf8", "chunking", "enhancedstatuscodes"}
        assert client.sendmail("anna@example.org", recipients, TRICKY, mail_options=["BODY=8BITMIME"]) == {}
        client.sendmail("", ["b\u00fcro@example.net"], b"", mail_options=["SMTPUTF8"])
    summary = sink.stop()
    assert summary["accepted"] == 2 and summary["recipients"] == 31
    sink.store = store
    (envelope, content), (empty_envelope, empty) = sink.kept()
    assert content == TRICKY
    assert envelope["recipients"] == recipients and envelope["reverse_path"] == "anna@example.org"
    assert envelope["helo"] == "client.example.org" and envelope["eight_bit"] and envelope["via"] == "data"
    assert empty_envelope["reverse_path"] == "" and empty_envelope["recipients"] == ["b\u00fcro@example.net"]
    assert empty in (b"", b"\r\n")  # smtplib ends even an empty message with a line
    line = sink.lines()[0]
    assert line[0] == "-" and line[3] == "30" and line[5] == "received=1"
    assert int(line[1]) == len(TRICKY) - len(b"Received: from elsewhere\r\n by here\r\n")


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
def test_swaks_sends(start_sink):
    sink = start_sink()
    for options in ([], ["--pipeline"], ["--protocol", "SMTP"]):
        run = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(sink.port), "--from", "a@example.org",
                              "--to", "b@example.net,c@example.net", "--helo", "client.example.org",
                              "--header", "X-Ringpost-Bench: swaks-1", *options],
                             capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 0, run.stdout + run.stderr
    sink.stop()
    assert [(line[0], line[3]) for line in sink.lines()] == [("swaks-1", "2")] * 3


def test_a_raw_client_sends_chunks_of_one_octet_in_one_packet(start_sink, tmp_path):
    sink = start_sink("--store", tmp_path / "store")
    sink.store = tmp_path / "store"
    content = TRICKY[:600]
    script = b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
    script += b"".join(b"BDAT 1\r\n" + content[at:at + 1] for at in range(len(content))) + b"BDAT 0 LAST\r\nQUIT\r\n"
    with socket.create_connection(("127.0.0.1", sink.port), timeout=PATIENCE_S) as client:
        client.sendall(script)
        replies = b""
        while piece := client.recv(65536):
            replies += piece
    assert replies.endswith(b"221 2.0.0 Bye\r\n")
    sink.stop()
    assert [kept for _, kept in sink.kept()] == [content]


def test_what_is_not_offered_is_refused(start_sink, tmp_path):
    sink = start_sink("--without", "chunking,smtputf8,PIPELINING,enhancedstatuscodes")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=PATIENCE_S) as client:
        client.ehlo()
        assert set(client.esmtp_features) == {"size", "8bitmime"}
        assert client.docmd("MAIL", "FROM:<a@example.org> SMTPUTF8")[0] == 555
        assert client.docmd("NOOP") == (250, b"Ok")
    for options in (["--bdat"], ["--pipeline"]):
        results = send(sink.address, tmp_path, "--messages", "1", *options, code=1)
        assert results["begun"] == 0 and results["troubles"] == {"ehlo 250": 1}


class Aiosmtpd:
    """Somebody else's sink."""

    def __init__(self):
        from aiosmtpd.smtp import SMTP
        self.messages = []
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.loop.create_server(
            lambda: SMTP(self, loop=self.loop, data_size_limit=1 << 26), host="127.0.0.1", port=0))
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((envelope.original_content, envelope.rcpt_tos))
        return "250 OK"

    def stop(self):
        self.server.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_aiosmtpd_takes_what_is_sent(start_sink, tmp_path):
    theirs, ours = Aiosmtpd(), start_sink("--store", tmp_path / "store")
    ours.store = tmp_path / "store"
    try:
        options = ["--messages", "50", "--connections", "3", "--recipients", "1-4", "--size", "128-9000", "--eight-bit", "--run-id", "x"]
        results = send(theirs.address, tmp_path, *options)
        assert results["accepted"] == 50
        (tmp_path / "sent").unlink()
        send(ours.address, tmp_path, *options)
    finally:
        theirs.stop()
    ours.stop()
    assert sorted(content for content, _ in theirs.messages) == sorted(content for _, content in ours.kept())
    assert sorted(len(recipients) for _, recipients in theirs.messages) == sorted(len(one["recipients"]) for one, _ in ours.kept())


# ---- the check

def test_check_finds_what_is_wrong(tmp_path):
    def line(token, size=5, hash_digit="a"):
        return f"{token} {size} {hash_digit * 32} 1 1.000000 received=1\n"
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_text(line("r-1") + line("r-2") + line("r-3"))
    received.write_text(line("r-1") + line("r-1") + line("r-3", hash_digit="b") + line("-"))
    report = check(sent, received, code=1)
    assert (report["lost"], report["changed"], report["duplicates"], report["untagged"]) == (1, 1, 1, 1)
    assert report["examples"] == ["changed r-3", "lost r-2"]
    received.write_text("no ledger\n")
    check(sent, received, code=2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
