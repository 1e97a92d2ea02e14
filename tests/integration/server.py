"""A ringpostd of a test's own, the next hops it relays to, and the clients that talk to it. Loopback and free ports only."""
import asyncio
import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from network import free_port  # noqa: E402

BUILD = pathlib.Path(os.environ.get("RINGPOST_BUILD") or pathlib.Path(__file__).parents[2] / "build").absolute()
# Bounds for when something is broken, generous because tests run on busy machines; nothing waits for them otherwise.
PATIENCE_S = 120
POLL_S = 0.02
MIB = 1 << 20


def wait_until(what, look, deadline_s=PATIENCE_S, meanwhile=lambda: None):
    """Polls `look` until it returns something true, which is the result. `meanwhile` may raise to give up early."""
    deadline = time.monotonic() + deadline_s
    while True:
        if found := look():
            return found
        meanwhile()
        assert time.monotonic() < deadline, f"{what} did not happen within {deadline_s} s"
        time.sleep(POLL_S)


def process_name(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def parents():
    """Parent of each process that runs; zombies have ended."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(") ")[2].split()[:2]
            if state not in "ZX":
                found[int(path.parent.name)] = int(parent)
    return found


def is_sanitized():
    """Was the server built with AddressSanitizer?"""
    program = BUILD / "ringpostd"
    return program.exists() and b"__asan_init" in program.read_bytes()


def sanitizer_report(said):
    """What a sanitizer found in any of the processes, helpers that were started again included; usually nothing."""
    at = re.search(r"ERROR: \w+Sanitizer|runtime error:", said)
    return said[at.start():at.start() + 5_000] if at else ""


def is_running(pid):
    return pid in parents()


class Server:
    """One ringpostd below `home`, started by `with`, ended in order at its end.

    `settings` are keys of the configuration and their values; None takes a key out that would be there otherwise.
    `user` runs it as somebody else (only root can). `environment` is added to ours; `program` is another ringpostd. `log` keeps what all its processes say.
    """

    def __init__(self, home, route="hold", settings=None, user=None, environment=None, program=None):
        self.home, self.user = pathlib.Path(home), user
        self.environment, self.program = {**os.environ, **(environment or {})}, program or BUILD / "ringpostd"
        self.port = free_port()
        self.config, self.log = self.home / "ringpost.conf", self.home / "ringpostd.log"
        self.spool, self.keys, self.audit = self.home / "spool", self.home / "keys", self.home / "audit"
        self.settings = {
            "shards": "2",
            "shards.spread": "even",  # what one connection does, each shard is to be asked for
            "hostname": "relay.example.com",
            "listener.test.address": f"127.0.0.1:{self.port}",
            "relay.clients": "127.0.0.0/8",
            "route.default": route,
            "spool.directory": self.spool,
            "spool.segment_bytes": "4 MiB",
            "spool.reserve_bytes": "1 MiB",
            "spool.low_space_percent": "0",
            "keys.directory": self.keys,
            "keys.allow_same_filesystem": "yes",
            "audit.directory": self.audit,
            "control.socket": self.home / "run" / "control.sock",
            "retry.first": "1 s",
            **(settings or {}),
        }
        self.process = None
        self.orphans = {}  # helpers of a server that was killed: they end by themselves, soon
        self.write_config()

    # ---- its life

    def write_config(self, *more_lines):
        """Written in place: the server may have been allowed to read this file and no other."""
        lines = [f"{key} = {value}" for key, value in self.settings.items() if value is not None]
        self.config.write_text("\n".join([*lines, *more_lines]) + "\n")
        self.config.chmod(0o644)

    def launch(self):
        """Starts it without waiting for anything."""
        command = [self.program, "-c", self.config]
        if self.user:
            shutil.chown(self.home, self.user)
            account = pwd.getpwnam(self.user)
            command = [self.program_for_everybody(), *command[1:]]
            command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            env=self.environment)
        return self

    def program_for_everybody(self):
        """A copy beside its helpers, where every user may run it: the checkout may lie in a folder that is root's alone."""
        folder = self.home / "programs"
        if not folder.exists():
            folder.mkdir(mode=0o755)
            for program in ("ringpostd", "ringpost-keyd", "ringpost-auditd", "ringpost-helperd", "ringpost-spool", "ringpostctl"):
                shutil.copy(BUILD / program, folder)
        return folder / self.program.name

    def start(self):
        self.launch()
        try:
            wait_until("the server's 220", self.banner, meanwhile=self.must_run)
        except BaseException:
            self.end()
            raise
        return self

    def must_run(self):
        assert self.process.poll() is None, f"ringpostd ended with {self.process.returncode}:\n{self.said()}"

    def banner(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(512).startswith(b"220")
        except OSError:
            return False

    def stop(self, patience_s=PATIENCE_S):
        """SIGTERM. It must end by itself, with 0, and its helpers with it. Returns how long it took, in seconds."""
        helpers, began = self.family(), time.monotonic()
        self.process.terminate()
        code = self.process.wait(patience_s)
        took = time.monotonic() - began
        assert code == 0, f"ringpostd ended with {code}:\n{self.said()}"
        wait_until("the end of the helpers", lambda: not set(helpers) & set(parents()))
        return took

    def kill(self):
        """SIGKILL of ringpostd alone."""
        self.orphans.update(self.family())
        self.process.kill()
        self.process.wait()

    def end(self):
        """Whatever state it is in: nothing of it is left."""
        if self.process is None:
            return
        family = {**self.orphans, **self.family()}
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        killed = set()
        for pid in [*family, self.process.pid] if self.process.poll() is None else family:
            with contextlib.suppress(ProcessLookupError):
                if process_name(pid).startswith("ringpost"):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        self.process.wait(PATIENCE_S)
        wait_until("the end of its helpers", lambda: not killed & set(parents()))
        self.orphans.clear()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()
        assert not (report := sanitizer_report(self.said())), report

    def refuses_to_start(self):
        """Runs it; it must end by itself, with an error. Returns its exit code and what it said."""
        already = len(self.said())
        self.launch()
        try:
            code = self.process.wait(PATIENCE_S)
        finally:
            self.end()
        assert code != 0, self.said()
        return code, self.said()[already:]

    # ---- its processes

    def family(self):
        """Name of each process that descends from it."""
        of = parents()

        def descends(pid):
            while pid in of and pid != self.process.pid:
                pid = of[pid]
            return pid == self.process.pid
        return {pid: process_name(pid) for pid in of if pid != self.process.pid and descends(pid)}

    def helper(self, name):
        """Its process id, once it is there."""
        def look():
            return [pid for pid, called in self.family().items() if called == name]
        return wait_until(f"a process {name}", look, meanwhile=self.must_run)[0]

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- what an operator does

    def run_ctl(self, *words, by_socket=False):
        """`by_socket`: without the configuration file."""
        where = ["--socket", self.settings["control.socket"]] if by_socket else ["-c", self.config]
        return subprocess.run([BUILD / "ringpostctl", *where, *words], capture_output=True, text=True, timeout=PATIENCE_S)

    def ctl(self, *words, by_socket=False):
        run = self.run_ctl(*words, by_socket=by_socket)
        while "accepted, but a shard is too busy to follow yet" in run.stderr:  # a slow machine: until it does
            self.must_run()
            run = self.run_ctl(*words, by_socket=by_socket)
        assert run.returncode == 0, (words, run.returncode, run.stdout, run.stderr, self.said())
        return run.stdout

    def status(self):
        return json.loads(self.ctl("status", "--json"))

    def connections_open(self):
        return self.status()["totals"]["connections_open"]

    def settle(self):
        """Until all that it held when it started is known."""
        wait_until("the end of the recovery", lambda: self.status()["recovering"] == 0, meanwhile=self.must_run)

    def queue(self):
        self.settle()
        return [json.loads(line) for line in self.ctl("queue", "list", "--json").splitlines()]

    def recipients(self):
        """All recipients of all messages in the queue."""
        return [recipient for message in self.queue() for recipient in message["recipients"]]

    def wait_delivered(self):
        wait_until("an empty queue", lambda: not self.queue(), meanwhile=self.must_run)

    def audit_lines(self):
        """Every event of the audit log, once auditd has written all that has happened so far. A line that is just being written has no
        end yet; and of a file whose disk failed a later one says how many bytes count."""
        wait_until("everything in the audit log", lambda: self.audit_pending() == 0)
        files = {}
        for path in self.audit.glob("*.jsonl"):
            content = path.read_bytes()
            files[int(path.stem.removeprefix("audit-"))] = content[:content.rfind(b"\n") + 1]
        counts = {}
        for line in b"".join(files.values()).splitlines():
            if line.startswith(b'{"marks":"counts"'):
                mark = json.loads(line)
                counts[mark["file"]] = mark["bytes"]
        lines = [json.loads(line) for number in sorted(files) for line in files[number][:counts.get(number)].splitlines()]
        return [line for line in lines if "event" in line]

    def audited(self, *kinds):
        return [line for line in self.audit_lines() if line["event"] in kinds]

    def audit_pending(self):
        """How many events auditd has not written yet. None of a server that has ended."""
        return sum(int(value) for value in re.findall(r"^ringpost_audit_pending\S* (\d+)$", self.run_ctl("metrics").stdout, re.M))


# ---- disks

def small_ext4(folder, mib):
    """A fixture's body: ext4 in a file, mounted at `folder`, which it makes."""
    import pytest
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4")
    image = folder.parent / "disk"
    image.touch()
    os.truncate(image, mib << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    shutil.rmtree(folder / "lost+found")
    yield folder
    subprocess.run(["umount", folder], check=True)


# ---- next hops

class BenchSink:
    """ringpost-bench sink: stores each message with its envelope."""

    def __init__(self, port=0, mode=None, host="127.0.0.1"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-sink.", dir="/var/tmp"))
        self.store = self.folder / "store"
        command = [BUILD / "ringpost-bench", "sink", "--listen", f"{host}:{port}", "--store", self.store, "--quiet"]
        if mode:
            command += ["--mode", mode]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        assert line.startswith(f"listening on {host}:"), line
        self.port = int(line.split()[2].rpartition(":")[2])
        self.route = f"smtp://127.0.0.1:{self.port}"

    def count(self):
        return sum(1 for _ in self.store.glob("*.json"))

    def messages(self):
        """(reverse path, recipients, content) of each, in the order of arrival."""
        envelopes = [(path, json.loads(path.read_text()))
                     for path in sorted(self.store.glob("*.json"), key=lambda path: int(path.stem))]
        return [(envelope["reverse_path"], envelope["recipients"], path.with_suffix(".eml").read_bytes())
                for path, envelope in envelopes]

    def forget(self):
        for path in self.store.glob("*"):
            path.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)


class AioSink:
    """Python's aiosmtpd. `options`: of its SMTP class, in whose place `type` stands where there is one."""
    type = None

    def __init__(self, port=0, host="127.0.0.1", **options):
        from aiosmtpd.smtp import SMTP
        self.kept = []
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.loop.create_server(
            lambda: (self.type or SMTP)(self, loop=self.loop, data_size_limit=64 * MIB, enable_SMTPUTF8=True, **options), host=host, port=port))
        self.port = self.server.sockets[0].getsockname()[1]
        self.route = f"smtp://{host}:{self.port}"
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def handle_DATA(self, server, session, envelope):
        self.kept.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"

    def count(self):
        return len(self.kept)

    def messages(self):
        return list(self.kept)

    def forget(self):
        self.kept.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class TlsSink(AioSink):
    """Offers STARTTLS with the certificate for `names`; keeps what it is sent, and under which version of TLS. `options`: of aiosmtpd's SMTP."""
    options = {}

    def __init__(self, authority, *names, offers=True, port=0, host="127.0.0.1", **how):
        context = None
        if offers:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # whatever certificate a test has it show
            context.load_cert_chain(*authority.files("sink", *names, **how).values())
        super().__init__(port=port, host=host, tls_context=context, **self.options)

    async def handle_DATA(self, server, session, envelope):
        version = server.transport.get_extra_info("ssl_object")
        self.kept.append((version.version() if version else None, envelope.original_content))
        return "250 OK"


def without_received(content):
    """What is left of a relayed message without the one field the server put in front of it."""
    assert content.startswith(b"Received: from "), content[:200]
    end = content.index(b"\r\n")
    while content[end + 2:end + 3] in (b" ", b"\t"):
        end = content.index(b"\r\n", end + 2)
    field = content[:end + 2]
    assert b"by relay.example.com" in field, field
    return content[end + 2:]


# ---- clients

class Client:
    """A raw SMTP client: what is sent is exactly what was asked for."""

    def __init__(self, port, hello=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.stream = self.socket.makefile("rb")
        self.greeting = self.reply()
        if hello:
            assert self.ask("EHLO client.example.org").startswith("250")

    def reply(self):
        """One reply, all of its lines; empty when the server closed the connection."""
        lines = []
        while not lines or lines[-1][3:4] == b"-":
            line = self.stream.readline()
            if not line:
                return ""
            lines.append(line)
        return b"".join(lines).decode()

    def write(self, data):
        self.socket.sendall(data)

    def ask(self, line):
        self.write(line.encode() + b"\r\n")
        return self.reply()

    def envelope(self, sender, recipients):
        """All commands in one piece, as PIPELINING allows."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients)]
        self.write("".join(command + "\r\n" for command in commands).encode())
        for command in commands:
            reply = self.reply()
            assert reply.startswith("250"), (command, reply)

    def data(self, content):
        assert self.ask("DATA").startswith("354")
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        self.write(stuffed + b".\r\n")
        return self.reply()

    def send(self, sender, recipients, content):
        """One message over DATA, which must be taken."""
        self.envelope(sender, recipients)
        reply = self.data(content)
        assert reply.startswith("250"), reply

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Tap:
    """Stands between a client and the server, and knows what the client sent."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.sessions, self.threads = [], []
        self.spawn(self.accept)

    def spawn(self, function, *arguments):
        self.threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE_S)
            recorded = bytearray()
            self.sessions.append(recorded)
            self.spawn(self.copy, client, server, recorded)
            self.spawn(self.copy, server, client, None)

    @staticmethod
    def copy(source, target, recorded):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 18):
                if recorded is not None:
                    recorded += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def messages(self):
        """(how many chunks, content) of every message in the sessions so far; 0 chunks: DATA."""
        return [message for session in self.sessions for message in self.messages_of(bytes(session))]

    @staticmethod
    def messages_of(session):
        messages, at, chunks = [], 0, []
        while (end := session.find(b"\r\n", at)) >= 0:
            words, at = session[at:end].upper().split(), end + 2
            if words == [b"DATA"]:
                # The line break before the dot may be that of DATA itself: an empty message.
                end = session.index(b"\r\n.\r\n", at - 2) + 2
                messages.append((0, (b"\r\n" + session[at:end]).replace(b"\r\n..", b"\r\n.")[2:]))
                at = end + 3
            elif words[:1] == [b"BDAT"]:
                chunks.append(session[at:at + int(words[1])])
                at += int(words[1])
                if words[-1] == b"LAST":
                    messages.append((len(chunks), b"".join(chunks)))
                    chunks = []
        return messages

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE_S)
