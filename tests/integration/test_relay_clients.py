#!/usr/bin/python3
"""Other people's clients send, two sinks get byte for byte what was sent plus exactly one Received field.

What a client sent is known from a tap between it and the server, not from what it was asked to send.
"""
import functools
import os
import pathlib
import random
import shutil
import smtplib
import subprocess
import tempfile

import pytest
from network import NETWORK
from server import PATIENCE_S, MIB, AioSink, BenchSink, Client, Server, Tap, wait_until, without_received

SENDER = "anna@example.org"
CLIENTS_SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "test-clients"


def addresses(count):
    return [f"reader{number}@example.net" for number in range(count)]


def mail(size, seed=1, header=True):
    """Exactly `size` octets in CRLF lines of at most 998: some short, some begin with a dot, some have 8-bit octets."""
    chance = random.Random(seed)
    text = bytearray(b"From: anna@example.org\r\nTo: bert@example.net\r\nSubject: made up\r\n\r\n" if header else b"")
    block = bytearray()
    while len(block) < min(size, 200_000):
        length = chance.choice([0, 1, 2, 40, 76, 500, 998])
        line = bytes(chance.choices(b"abc .=\t\xe4\xff\x80xyz0123456789", k=length))
        block += (b"." + line[1:] if chance.random() < 0.2 and line else line) + b"\r\n"
    while len(text) < size:
        text += block
    del text[max(size - 2, 0):]
    # The cut may have been behind a CR; then the last line is a character longer or shorter.
    while text and text[-1] in b"\r\n":
        text[-1:] = b"x"
    return bytes(text) + b"\r\n" if size else b""


@functools.lru_cache
def client_program(name):
    """Where smtp-source or exim4 is: as tools/test says, else as the script says that fetches them."""
    if path := os.environ.get({"smtp-source": "RINGPOST_SMTP_SOURCE", "exim4": "RINGPOST_EXIM4"}[name]):
        return path
    run = subprocess.run([CLIENTS_SCRIPT], capture_output=True, text=True, preexec_fn=NETWORK.leave)
    found = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    return found.get(name) or pytest.skip(f"{name} is not at hand: {run.stderr.strip()}")


@pytest.fixture(scope="module", params=[BenchSink, AioSink], ids=["ringpost-bench", "aiosmtpd"])
def relay(request):
    """A server and its next hop, for all tests of the module."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-test.", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        with request.param() as sink, Server(folder, sink.route) as server:
            server.sink = sink
            yield server
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tap(relay):
    relay.sink.forget()
    with Tap(relay.port) as tap:
        yield tap


def arrived(relay, count):
    """Envelopes and contents of `count` messages, and of no more."""
    wait_until(f"the arrival of {count} messages", lambda: relay.sink.count() >= count, meanwhile=relay.must_run)
    relay.wait_delivered()
    messages = relay.sink.messages()
    assert len(messages) == count
    return [(sender, recipients, without_received(content)) for sender, recipients, content in messages]


def check_one(relay, tap, recipients, content=None, sender=SENDER):
    """The one message that went through `tap` arrived as it was sent; `content`: what the client was given to send."""
    ((chunks, sent),) = tap.messages()
    if content is not None:
        assert sent == content
    ((reverse_path, forward_paths, got),) = arrived(relay, 1)
    assert reverse_path == sender and forward_paths == recipients
    assert got == sent, f"{len(got)} bytes instead of {len(sent)}"
    return chunks


# ---- DATA

@pytest.mark.parametrize("size, recipients", [(0, 1), (2, 1), (300, 2), (5_000, 1000), (998, 100), (300_000, 3), (50 * MIB, 1)])
def test_a_raw_client_over_data(relay, tap, size, recipients):
    content = mail(size, header=size >= 100)
    with Client(tap.port) as client:
        client.send(SENDER, addresses(recipients), content)
    assert check_one(relay, tap, addresses(recipients), content) == 0


@pytest.mark.parametrize("size, recipients", [(2, 1), (100, 1), (70_000, 1000), (50 * MIB, 2)])
def test_smtplib(relay, tap, size, recipients):
    content = mail(size, seed=2, header=size >= 100)
    with smtplib.SMTP("127.0.0.1", tap.port, local_hostname="client.example.org", timeout=PATIENCE_S) as client:
        assert client.sendmail(SENDER, addresses(recipients), content, mail_options=["BODY=8BITMIME"]) == {}
    assert check_one(relay, tap, addresses(recipients), content) == 0


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
@pytest.mark.parametrize("size, recipients, options", [
    (1, 1, []), (3_000, 20, ["--pipeline"]), (3_000, 1000, []), (200_000, 1, ["--protocol", "SMTP"]), (8 * MIB, 1, []),
])
def test_swaks(relay, tap, home, size, recipients, options):
    text = home / "mail"
    text.write_bytes(mail(max(size, 2), seed=3, header=size >= 100))
    run = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(tap.port), "--helo", "client.example.org", "--from", SENDER,
                          "--to", ",".join(addresses(recipients)), "--data", f"@{text}", "--suppress-data", *options],
                         capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert check_one(relay, tap, addresses(recipients)) == 0


@pytest.mark.parametrize("sessions, count, size, recipients", [(1, 1, 200, 1), (20, 200, 4_000, 1), (5, 10, 20_000, 1000), (1, 1, 50 * MIB, 1)])
def test_smtp_source(relay, tap, sessions, count, size, recipients):
    run = subprocess.run([client_program("smtp-source"), "-s", str(sessions), "-m", str(count), "-l", str(size), "-r", str(recipients),
                          "-f", SENDER, "-t", "reader@example.net", "-M", "client.example.org", f"inet:127.0.0.1:{tap.port}"],
                         capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stdout + run.stderr
    sent = sorted(content for _, content in tap.messages())
    assert len(sent) == count and all(len(content) >= size for content in sent)
    got = arrived(relay, count)
    assert sorted(content for _, _, content in got) == sent
    assert {(sender, len(recipients)) for sender, recipients, _ in got} == {(SENDER, recipients)}


# ---- BDAT

def cut(content, chunks, seed):
    """`content` in that many pieces. Empty ones only where there are too few octets: an empty chunk counts as idling."""
    chance = random.Random(seed)
    inside = range(1, len(content))
    places = chance.sample(inside, chunks - 1) if len(inside) >= chunks - 1 else [0] * (chunks - 1)
    places.sort()
    return [content[begin:end] for begin, end in zip([0, *places], [*places, len(content)])]


@pytest.mark.parametrize("size, chunks, recipients", [
    (0, 1, 1), (0, 3, 1), (2, 2, 1), (300, 300, 2), (10_000, 10_000, 1), (20_000, 7, 1000), (300_000, 10_000, 3),
    (50 * MIB, 1, 1), (50 * MIB, 10_000, 2),
])
def test_a_raw_client_over_bdat(relay, tap, size, chunks, recipients):
    """Chunks end anywhere: in the middle of a CRLF, before a dot. Everything is sent at once and replies are read afterwards."""
    content = mail(size, seed=4, header=size >= 100)
    pieces = cut(content, chunks, seed=chunks)
    with Client(tap.port) as client:
        client.envelope(SENDER, addresses(recipients))
        for begin in range(0, chunks, 500):
            some = pieces[begin:begin + 500]
            client.write(b"".join(b"BDAT %d%s\r\n%s" % (len(piece), b" LAST" if begin + index == chunks - 1 else b"", piece)
                                  for index, piece in enumerate(some)))
            for _ in some:
                reply = client.reply()
                assert reply.startswith("250"), reply
        assert client.ask("QUIT").startswith("221")
    assert check_one(relay, tap, addresses(recipients), content) == chunks


def write_exim_config(folder, port):
    """Exim as a client: all mail to one host, over CHUNKING, at once, and no field of its own in front."""
    logs = folder / "log"
    for made in (logs, folder / "spool"):
        made.mkdir()
        made.chmod(0o1777)
    config = folder / "exim.conf"
    config.write_text(f"""\
exim_path = {client_program('exim4')}
spool_directory = {folder}/spool
log_file_path = {logs}/%slog
primary_hostname = client.example.org
received_header_text =
message_size_limit = 100M
recipients_max = 0
queue_run_max = 1
never_users =
begin routers
all:
  driver = manualroute
  domains = *
  transport = out
  route_list = * 127.0.0.1
  self = send
begin transports
out:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_chunking = *
  hosts_avoid_tls = *
  max_rcpt = 1000
  helo_data = client.example.org
""")
    config.chmod(0o644)
    return config


@pytest.mark.parametrize("size, recipients", [(100, 1), (9_000, 1000), (50 * MIB, 2)])
def test_exim4(relay, tap, home, size, recipients):
    config = write_exim_config(home, tap.port)
    # Exim takes lines from a pipe, and may add fields; what it sent is what the tap saw.
    text = mail(size, seed=5).replace(b"\r\n", b"\n")
    run = subprocess.run([client_program("exim4"), "-C", config, "-odf", "-oi", "-f", SENDER, *addresses(recipients)], input=text,
                         capture_output=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stdout + run.stderr
    logged = b"".join(path.read_bytes() for path in (home / "log").glob("*"))
    assert tap.messages(), logged.decode(errors="replace")[-3000:]
    ((chunks, sent),) = tap.messages()
    assert chunks >= 1 and sent.endswith(text.partition(b"\n\n")[2].replace(b"\n", b"\r\n"))
    ((sender, forward_paths, got),) = arrived(relay, 1)
    assert sender == SENDER and sorted(forward_paths) == sorted(addresses(recipients))
    assert got == sent


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
