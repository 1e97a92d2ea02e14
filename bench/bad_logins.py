#!/usr/bin/python3
"""bench/bad_logins.py [--build build] [--rate 500]: what people who guess passwords cost somebody else's mail.

Paced mail goes to a listener of role relay, five times with and five times without so many wrong logins a second on a listener of role
submissions, in turns. The guessers come from a network of their own each, so that no ban stops them for long, and take a new connection
for each try. Prints one JSON object: medians over the runs of p50 and p99 of the latency from when a message was due to its 250, in
microseconds, and how many tries there were a second, by their answer.
"""
import argparse
import asyncio
import base64
import collections
import contextlib
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--rate", type=int, default=500, help="wrong logins a second")
    parser.add_argument("--mail-rate", type=int, default=200, help="messages a second")
    parser.add_argument("--seconds", type=float, default=8, help="of one run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--guess", metavar="PORT", help=argparse.SUPPRESS)
    return parser.parse_args()


ARGUMENTS = parse()
os.environ["RINGPOST_BUILD"] = str(ARGUMENTS.build.resolve())


async def guess_once(number, port, context, answers):
    host = f"127.{1 + number // 250 % 250}.{number % 250}.1"
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(host, 0))
        try:
            await reader.readuntil(b"\r\n")
            writer.write(b"EHLO guess.example\r\n")
            while not (await reader.readuntil(b"\r\n")).startswith(b"250 "):
                pass
            secret = base64.b64encode(f"\0user{number % 1000}@example.com\0guess{number}".encode())
            writer.write(b"AUTH PLAIN " + secret + b"\r\n")
            answers[(await reader.readuntil(b"\r\n"))[:3].decode()] += 1
        finally:
            writer.close()
            return
    answers["broken"] += 1


async def guess(port, rate, seconds):
    """Open loop: a slow server is not spared."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answers, tasks, began = collections.Counter(), set(), time.monotonic()
    for number in range(int(rate * seconds)):
        if number == rate:
            print("at its rate", flush=True)
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        if len(tasks) > 4000:
            answers["not tried"] += 1
            continue
        task = asyncio.create_task(guess_once(number, port, context, answers))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.wait(tasks, timeout=15)
    print(json.dumps(answers))


def main():
    from certificates import Authority
    from server import Server, free_port

    with tempfile.TemporaryDirectory(prefix="ringpost-bench.", dir="/var/tmp") as folder:
        home = pathlib.Path(folder)
        home.chmod(0o711)
        port = free_port()
        server = Server(home, settings={
            "shards": str(ARGUMENTS.shards), "listener.users.address": f"127.0.0.1:{port}", "listener.users.role": "submissions",
            "listener.users.tls": "implicit", "auth.password_file": home / "accounts", "auth.never_ban": "none", "auth.failures_max": "3",
            **Authority(home).files("main", "relay.example.com")})
        subprocess.run([ARGUMENTS.build / "ringpostctl", "-c", server.config, "user", "add", "anna@example.com", "--password-stdin"],
                       input="correct horse battery\n", text=True, check=True)
        found = {"without": [], "with": []}
        answers = collections.Counter()
        with server:
            for _ in range(ARGUMENTS.runs):
                for kind, results in found.items():
                    guesser = kind == "with" and subprocess.Popen([sys.executable, __file__, "--guess", str(port), "--rate", str(ARGUMENTS.rate),
                                                                   "--seconds", str(ARGUMENTS.seconds + 2)], stdout=subprocess.PIPE, text=True)
                    if guesser:
                        guesser.stdout.readline()  # it is at its rate
                    report = home / "report.json"
                    subprocess.run([ARGUMENTS.build / "ringpost-bench", "send", "--to", f"127.0.0.1:{server.port}", "--rate", str(ARGUMENTS.mail_rate),
                                    "--messages", str(int(ARGUMENTS.mail_rate * ARGUMENTS.seconds)), "--connections", "4", "--quiet", "--json", report],
                                   check=True, stdout=subprocess.DEVNULL)
                    results.append(json.loads(report.read_text())["latency_us"])
                    if guesser:
                        answers.update(json.loads(guesser.communicate()[0]))
        seconds = ARGUMENTS.runs * (ARGUMENTS.seconds + 2)
        print(json.dumps({
            "wrong_logins_per_s": {answer: round(count / seconds, 1) for answer, count in sorted(answers.items())},
            **{kind: {quantile: statistics.median(run[quantile] for run in runs) for quantile in ("p50", "p99")} for kind, runs in found.items()}}))


if ARGUMENTS.guess:
    asyncio.run(guess(int(ARGUMENTS.guess), ARGUMENTS.rate, ARGUMENTS.seconds))
else:
    main()
