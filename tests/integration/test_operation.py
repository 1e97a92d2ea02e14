#!/usr/bin/python3
"""Starting, stopping, dying: what an operator meets on bad days."""
import contextlib
import email
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import time

import pytest
from server import PATIENCE_S, AioSink, BenchSink, Client, Server, free_port, parents, wait_until, without_received

SENDER, RECIPIENT = "anna.heron@sender-domain.example", "bert.egret@recipient-domain.example"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def mail(number=0):
    return b"Subject: number %d\r\n\r\nhello %d\r\n" % (number, number)


def send(server, numbers, recipients=(RECIPIENT,)):
    with Client(server.port) as client:
        for number in numbers:
            client.send(SENDER, list(recipients), mail(number))


def check_arrived(sink, numbers):
    """Each of them once, unchanged."""
    assert sorted(without_received(content) for _, _, content in sink.messages()) == sorted(mail(number) for number in numbers)


# ---- the end

@pytest.mark.alone
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_takes_at_most_5_seconds_whatever_is_open(home, how):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a next hop that never says anything
        with Server(home, f"smtp://127.0.0.1:{silent.getsockname()[1]}") as server, contextlib.ExitStack() as open_clients:
            clients = [open_clients.enter_context(Client(server.port)) for _ in range(20)]
            control = open_clients.enter_context(socket.socket(socket.AF_UNIX))
            control.connect(str(server.settings["control.socket"]))
            send(server, range(3))
            clients[0].ask(f"MAIL FROM:<{SENDER}>")
            clients[1].envelope(SENDER, [RECIPIENT])
            clients[1].ask("DATA")
            clients[1].write(b"Subject: cut\r\n\r\nnever fini")
            clients[2].envelope(SENDER, [RECIPIENT])
            clients[2].write(b"BDAT 1000\r\nnot all of it")
            clients[3].write(b"NOO")
            family, began = server.family(), time.monotonic()
            server.process.send_signal(how)
            assert server.process.wait(PATIENCE_S) == 0, server.said()
            took = time.monotonic() - began
            assert took < 5, f"{took} s"
            wait_until("the end of the helpers", lambda: not set(family) & set(parents()))
            assert clients[4].reply()[:3] in ("421", "")
    with BenchSink() as sink:  # what was cut was never mail, the rest is
        server.settings["route.default"] = sink.route
        server.write_config()
        with server:
            server.wait_delivered()
            check_arrived(sink, range(3))


def test_a_start_is_not_hindered_by_what_sigkill_left(home):
    with BenchSink() as sink:
        server = Server(home)
        for round_number in range(5):
            with server:
                send(server, [round_number])
                server.kill()  # and at once the next start
        server.settings["route.default"] = sink.route
        server.write_config()
        with server:
            server.wait_delivered()
            check_arrived(sink, range(5))


# ---- helpers

@pytest.mark.parametrize("size", [1_000, 60_000, 70_000, 250_000])
def test_a_first_delivery_needs_no_key_again(home, size):
    """What was just received is in memory still: nothing is read back from the log, which could not be opened without keyd."""
    def content(number):
        return b"Subject: number %d\r\n\r\n" % number + (b"x" * 62 + b"\r\n") * (size // 64)

    with BenchSink() as sink, Server(home, sink.route) as server, Client(server.port) as client:
        client.send(SENDER, [RECIPIENT], content(0))
        server.wait_delivered()
        os.kill(server.helper("ringpost-keyd"), signal.SIGSTOP)
        try:
            client.send(SENDER, [RECIPIENT], content(1))
            wait_until("the message", lambda: len(sink.messages()) == 2, meanwhile=server.must_run)
        finally:
            os.kill(server.helper("ringpost-keyd"), signal.SIGCONT)
        assert sorted(without_received(text) for _, _, text in sink.messages()) == [content(0), content(1)]


@pytest.mark.parametrize("name", ["ringpost-keyd", "ringpost-auditd", "ringpost-helper", "ringpost-nanny"])
def test_a_killed_helper_costs_no_mail(home, name):
    with BenchSink() as sink, Server(home, sink.route) as server:
        send(server, range(5))
        for round_number in range(1, 4):
            if name == "ringpost-nanny":
                if round_number > 1:
                    break
                os.kill(server.helper(name), signal.SIGKILL)
            else:
                killed = server.helper(name)
                os.kill(killed, signal.SIGKILL)
                wait_until(f"another {name}", lambda: any(called == name and pid != killed for pid, called in server.family().items()),
                           meanwhile=server.must_run)
                numbers = range(5 * round_number, 5 * round_number + 5)

                def flows():  # a 451 is right while the helper is away
                    with contextlib.suppress(AssertionError):
                        send(server, [numbers[0]])
                        return True
                wait_until("mail to flow again", flows, meanwhile=server.must_run)
                send(server, numbers[1:])
        if name != "ringpost-nanny":
            server.wait_delivered()
            check_arrived(sink, range(20))
            wait_until("all events in the audit log",
                       lambda: sum(line["event"] == "recipient_delivered" for line in server.audit_lines()) == 20)
            events = [(line["incarnation"], line["sequence"]) for line in server.audit_lines()]
            assert len(events) == len(set(events)), "an event was stored twice"
        else:
            # What keeps the helpers is gone for good: mail that was taken must be safe, and the next start is a normal one.
            server.kill()
            server.start()
            send(server, range(5, 8))
            server.wait_delivered()
            assert {without_received(content) for _, _, content in sink.messages()} == {mail(number) for number in range(8)}


# ---- starts that must be refused

def test_a_second_server_on_the_same_spool_is_refused(home):
    with BenchSink() as sink, Server(home) as first:
        send(first, range(3))
        (home / "second").mkdir(mode=0o755)
        second = Server(home / "second", settings={"spool.directory": first.spool, "keys.directory": first.keys})
        _, said = second.refuses_to_start()
        assert re.search(r"another|in use|locked|already", said), said
        stranger = Server(home / "second", settings={"spool.directory": first.spool})  # with no key to that spool either
        stranger.refuses_to_start()
        assert not (stranger.keys / "kek").exists()
        # The same configuration once more, too.
        twin = Server(home)
        twin.config, twin.log = home / "twin.conf", home / "twin.log"
        twin.write_config()
        _, said = twin.refuses_to_start()
        assert re.search(r"another|in use|locked|already", said), said
        send(first, range(3, 6))
        first.ctl("set", f"route.default={sink.route}")
        first.wait_delivered()
        check_arrived(sink, range(6))


def test_a_missing_kek_with_mail_in_the_spool_is_refused(home):
    with Server(home) as server:
        send(server, [1])
        server.stop()
        kek = server.keys / "kek"
        kek.rename(home / "kek-elsewhere")
        _, said = server.refuses_to_start()
        assert "key-encryption key is missing" in said, said
        assert not kek.exists(), "another key was made over mail that it cannot open"
        shutil.rmtree(server.keys)  # the whole folder lost
        _, said = server.refuses_to_start()
        assert not kek.exists() and "key-encryption key is missing" in said, said


def test_a_key_that_is_put_back_opens_the_mail(home):
    with BenchSink() as sink, Server(home) as server:
        send(server, [1])
        server.stop()
        (server.keys / "kek").rename(home / "kek-elsewhere")
        server.refuses_to_start()
        (home / "kek-elsewhere").rename(server.keys / "kek")
        server.settings["route.default"] = sink.route
        server.write_config()
        server.start()
        server.wait_delivered()
        check_arrived(sink, [1])


@pytest.mark.parametrize("mode", [0o440, 0o444, 0o600, 0o640, 0o404])
def test_a_kek_with_the_wrong_mode_is_refused(home, mode):
    with Server(home) as server:
        server.stop()
        kek = server.keys / "kek"
        assert kek.stat().st_mode & 0o7777 == 0o400
        kek.chmod(mode)
        _, said = server.refuses_to_start()
        assert "kek" in said.lower() and "0400" in said, said
        kek.chmod(0o400)
        server.start()


def test_a_damaged_kek_is_refused(home):
    with Server(home) as server:
        send(server, [1])
        server.stop()
        kek = server.keys / "kek"
        for content in (b"", b"x" * 31, b"x" * 33, bytes(32)):
            kek.chmod(0o600)
            kek.write_bytes(content)
            kek.chmod(0o400)
            server.refuses_to_start()


def test_keys_on_the_spools_filesystem_need_leave(home):
    server = Server(home, settings={"keys.allow_same_filesystem": "no"})
    _, said = server.refuses_to_start()
    assert "filesystem" in said and "keys.allow_same_filesystem" in said, said
    elsewhere = pathlib.Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == home.stat().st_dev:
        pytest.skip("/dev/shm is no other filesystem")
    keys = elsewhere / home.name
    keys.mkdir(mode=0o711)
    try:
        server.settings["keys.directory"] = keys / "keys"
        server.write_config()
        with server:
            send(server, [1])
            server.stop()
    finally:
        shutil.rmtree(keys)


def test_a_port_in_use_is_refused(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(home, settings={"listener.more.address": f"127.0.0.1:{taken.getsockname()[1]}"})
        _, said = server.refuses_to_start()
        assert f"listener.more.address = 127.0.0.1:{taken.getsockname()[1]}: Address already in use" in said, said
        assert "stop the program that has it" in said


def test_an_address_is_not_shared_with_another_server(home):
    """Two servers of one user could both listen: the kernel would give each a part of the mail."""
    with Server(home) as first:
        (home / "second").mkdir(mode=0o755)
        second = Server(home / "second", settings={"listener.test.address": first.settings["listener.test.address"]})
        _, said = second.refuses_to_start()
        assert f"127.0.0.1:{first.port}: Address already in use" in said, said
        send(first, [1])


def test_an_address_of_another_machine_is_refused(home):
    server = Server(home, settings={"listener.more.address": "192.0.2.77:2525"})
    _, said = server.refuses_to_start()
    assert "listener.more.address = 192.0.2.77:2525" in said and "no interface of this machine has it" in said, said


@as_root
def test_a_port_below_1024_needs_root_at_the_start(home):
    server = Server(home, settings={"listener.more.address": "127.0.0.1:1023"}, user="ringpost")
    _, said = server.refuses_to_start()
    if "Permission denied" not in said:  # net.ipv4.ip_unprivileged_port_start may be lower
        pytest.skip("any user may take this port here")
    assert "ports below 1024 need a start as root" in said and "CAP_NET_BIND_SERVICE" in said, said


@as_root
@pytest.mark.parametrize("which", ["spool", "keys", "audit"])
def test_a_directory_that_cannot_be_made_is_refused_with_its_key(home, which):
    closed = home / "closed"
    closed.mkdir(mode=0o755)
    server = Server(home, settings={f"{which}.directory": closed / which}, user="ringpost")
    _, said = server.refuses_to_start()
    assert f"{which}.directory: {closed / which}: Permission denied" in said and "a directory of this user's own" in said, said


def test_a_spool_in_memory_is_refused(home):
    """Some kernels have O_DIRECT on tmpfs, too: that it works there says nothing."""
    memory = pathlib.Path("/dev/shm")
    kinds = {line.split()[4]: line.split(" - ")[1].split()[0] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()}
    if kinds.get(str(memory)) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs")
    folder = memory / home.name
    folder.mkdir(mode=0o711)
    if os.geteuid() == 0:
        shutil.chown(folder, "ringpost")
    try:
        server = Server(home, settings={"spool.directory": folder / "spool"})
        _, said = server.refuses_to_start()
        assert f"spool.directory: {folder / 'spool'} lies in memory (tmpfs)" in said and "spool.direct = no" in said, said
        server.settings["spool.direct"] = "no"
        server.write_config()
        with server:
            send(server, [1])
    finally:
        shutil.rmtree(folder)


# ---- next hops

def test_a_next_hop_that_comes_back_gets_the_mail(home):
    port = free_port()
    with Server(home, f"smtp://127.0.0.1:{port}") as server:
        send(server, range(3))
        waiting = wait_until("a failed attempt", lambda: [one for one in server.recipients() if one["state"] == "deferred"],
                             meanwhile=server.must_run)
        assert waiting[0]["reason"] == "connection_refused" and waiting[0]["next"]
        assert server.status()["deferred"] >= 1
        with BenchSink(port) as sink:
            server.wait_delivered()
            check_arrived(sink, range(3))
            assert server.status()["delivered"] == 3


def test_4xx_defers_with_its_reason_and_is_tried_again(home):
    port = free_port()
    with Server(home, f"smtp://127.0.0.1:{port}", {"deliver.timeout.idle": "10 ms"}) as server:
        with BenchSink(port, mode="tempfail@end"):
            send(server, [1])
            (recipient,) = wait_until("a deferred recipient", lambda: [one for one in server.recipients() if one["state"] == "deferred"])
            assert recipient["reason"] == "next_hop_deferred" and recipient["code"] // 100 == 4
            assert recipient["address"] == RECIPIENT
            wait_until("another attempt", lambda: any(one["attempts"] >= 3 for one in server.recipients()))
        with BenchSink(port) as sink:
            server.wait_delivered()
            check_arrived(sink, [1])


@pytest.mark.parametrize("stage", ["mail", "rcpt", "end"])
def test_a_report_that_is_refused_too_is_not_answered(home, stage):
    """Everything gets 5xx: the message, then the report about it; that has the null sender, and is the end."""
    with BenchSink(mode=f"permfail@{stage}") as sink, Server(home, sink.route) as server:
        send(server, [1])
        wait_until("two failures", lambda: server.status()["failed"] == 2 and server.status()["queued"] == 0, meanwhile=server.must_run)
        server.kill()
        server.start()
        assert server.recipients() == [] and sink.count() == 0
        wait_until("the audit log", lambda: [line["event"] for line in server.audit_lines()].count("recipient_failed") == 2)
        assert len(server.audited("report_sent")) == 1


class Refusing(AioSink):
    """A next hop that takes mail for senders only."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == RECIPIENT:
            return "550 5.1.1 no \x1b[31m such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def reports_in(sink):
    return [(recipients, content) for sender, recipients, content in sink.messages() if sender == "<>"]


def test_a_sender_is_told_once_what_failed(home):
    with Refusing() as sink, Server(home, sink.route) as server:
        send(server, [1])
        ((recipients, content),) = wait_until("a report", lambda: reports_in(sink), meanwhile=server.must_run)
        assert recipients == [SENDER]
        report = email.message_from_bytes(content)
        assert report.get_content_type() == "multipart/report" and report["Auto-Submitted"] == "auto-replied"
        about, failed = report.get_payload()[1].get_payload()
        assert failed["Final-Recipient"] == f"rfc822; {RECIPIENT}" and failed["Action"] == "failed" and failed["Status"] == "5.1.1"
        assert failed["Diagnostic-Code"] == "smtp; 550 5.1.1 no ?[31m such user" and failed["Remote-MTA"] == "dns; [127.0.0.1]"
        assert "Subject:" in report.get_payload()[2].as_string() and mail(1).split(b"\r\n\r\n", 1)[1] not in content
        wait_until("an empty queue", lambda: server.status()["queued"] == 0)
        server.kill()
        server.start()
        assert server.recipients() == [] and len(reports_in(sink)) == 1
        (line,) = server.audited("report_sent")
        assert line["recipients"] == 1 and line["report"] != line["message"]


class Choosy(AioSink):
    """A next hop that has an answer of its own for each recipient."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        for word, answer in (("later", "451 4.2.1 later"), ("never", "550 5.1.1 no such user")):
            if address.startswith(word):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"


def test_mail_that_is_tried_long_enough_fails_and_its_sender_is_warned_before(home):
    settings = {"retry.first": "100 ms", "retry.max": "200 ms", "queue.delay_warning": "1 s", "queue.lifetime": "4 s"}
    with Choosy() as sink, Server(home, sink.route, settings) as server:
        send(server, [1], ["later@example.net"])
        wait_until("a warning and a failure", lambda: len(reports_in(sink)) == 2, meanwhile=server.must_run)
        fates = [email.message_from_bytes(content).get_payload()[1].get_payload()[1] for _, content in reports_in(sink)]
        assert [fate["Action"] for fate in fates] == ["delayed", "failed"]
        assert [fate["Status"] for fate in fates] == ["4.2.1", "4.4.7"] and fates[0]["Will-Retry-Until"]
        wait_until("an empty queue", lambda: server.status()["queued"] == 0)


def test_each_recipient_has_an_outcome_of_its_own(home):
    with Choosy() as sink, Server(home, sink.route) as server:
        send(server, [1], ["later@example.net", "good@example.net", "never@example.net", "fine@example.net"])
        wait_until("three outcomes", lambda: sink.count() and {one["state"] for one in server.recipients()} >= {"deferred", "failed"})
        ((_, recipients, content),) = [one for one in sink.messages() if one[0] != "<>"]
        assert recipients == ["good@example.net", "fine@example.net"] and without_received(content) == mail(1)
        states = {one["address"].partition("@")[0]: one["state"] for one in server.recipients()}
        assert states["never"] == "failed" and states["later"] in ("deferred", "delivering")
        wait_until("a second attempt", lambda: any(one["attempts"] >= 2 for one in server.recipients()))
        assert len([one for one in sink.messages() if one[0] != "<>"]) == 1, "who had the message got it again"
        ((recipients, content),) = wait_until("a report", lambda: reports_in(sink), meanwhile=server.must_run)
        assert recipients == [SENDER] and b"never@example.net" in content and b"later@example.net" not in content


def test_mail_without_an_outcome_is_tried_at_once_after_a_start(home):
    with Server(home, settings={"retry.first": "1 h", "retry.max": "1 h"}) as server:
        send(server, range(3))
        server.kill()
        with BenchSink() as sink:
            server.settings["route.default"] = sink.route
            server.write_config()
            server.start()
            server.wait_delivered()
            check_arrived(sink, range(3))


# ---- the audit log

def test_a_torn_end_of_the_log_is_told(home):
    """After a crash it is what nobody was told is kept; without one the operator must look at the disk."""
    with Server(home, settings={"shards": "1"}) as server:
        send(server, [1])
        server.kill()
        (segment,) = [path for path in server.spool.glob("*/*") if path.is_file() and b"RPGROUP1" in path.read_bytes()]
        content = segment.read_bytes()
        with segment.open("r+b") as file:
            file.seek(content.rindex(b"RPGROUP1") + 150)  # behind its header
            file.write(bytes(octet ^ 1 for octet in content[file.tell():file.tell() + 1]))
        before = len(server.said())
        server.start()
        wait_until("a word about it", lambda: "groups that are not whole" in server.said()[before:], meanwhile=server.must_run)
        line = next(line for line in server.said()[before:].splitlines() if "groups that are not whole" in line)
        assert line.startswith("warning ") and re.search(r"tails=1 bytes=4096\b", line), line


def test_the_audit_log_tells_what_happened_and_no_address(home):
    with Choosy() as sink, Server(home, sink.route) as server:
        send(server, range(3), [RECIPIENT, "never.ibis@recipient-domain.example", "later.ibis@recipient-domain.example"])

        def kinds():
            return [line["event"] for line in server.audit_lines()]
        wait_until("the events", lambda: all(kinds().count(kind) >= 3 for kind in (
            "message_accepted", "recipient_delivered", "recipient_failed", "recipient_deferred")), meanwhile=server.must_run)
        lines = server.audit_lines()
        accepted = {line["message"]: line for line in lines if line["event"] == "message_accepted"}
        delivered = [line for line in lines if line["event"] == "recipient_delivered" and line["message"] in accepted]
        assert len(accepted) == 3 == len(delivered) and {line["message"] for line in delivered} == set(accepted)
        assert all(line["recipients"] == 3 and line["client"] == "127.0.0.1" and line["reply"].startswith("250")
                   for line in accepted.values())
        assert all(line["next_hop"] == f"127.0.0.1:{sink.port}" for line in delivered)
        assert {line["reply"] for line in lines if line["event"] == "recipient_failed"} == {"550 5.1.1"}
        server.stop()
    text = b"".join(path.read_bytes() for path in [server.log, *server.audit.glob("*")] if path.is_file()).lower()
    for word in (b"heron", b"egret", b"ibis", b"sender-domain", b"recipient-domain", b"no such user", b"number", b"hello"):
        assert word not in text, word
    # Without holes: each source counts from 1.
    sequences = {}
    for line in server.audit_lines():
        sequences.setdefault(line["incarnation"], []).append(line["sequence"])
    for numbers in sequences.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), numbers


# ---- other shapes of the same server

def test_another_number_of_shards_adopts_all_mail(home):
    with BenchSink() as sink, Server(home) as server:
        numbers = 0
        for shards in (3, 1, 2):
            server.stop()
            server.settings["shards"] = str(shards)
            server.write_config()
            server.start()
            for _ in range(12):  # connections spread over the shards
                send(server, [numbers])
                numbers += 1
            assert server.status()["shards"] == shards
        assert len(server.queue()) == numbers
        server.ctl("set", f"route.default={sink.route}")
        server.wait_delivered()
        check_arrived(sink, range(numbers))


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("shards", [1, 2, 8])
def test_the_spool_of_four_shards_is_delivered_by_any_number(home, shards, stops):
    count = 200
    with BenchSink() as sink, Server(home, settings={"shards": "4"}) as server:
        for number in range(count):  # a connection each, so that every shard has some
            send(server, [number])
        if stops:
            server.stop()
        else:
            server.kill()
            server.end()
        server.settings.update({"shards": str(shards), "route.default": sink.route})
        server.write_config()
        server.start()
        assert server.status()["partitions"] == max(shards, 4)
        server.wait_delivered()
        check_arrived(sink, range(count))
        assert server.status()["queued"] == 0


@as_root
def test_root_is_given_up_by_all(home):
    with Server(home) as server:
        users = {"ringpostd": "ringpost", "ringpost-keyd": "ringpost-key", "ringpost-auditd": "ringpost-audit",
                 "ringpost-helper": "ringpost-helper"}
        processes = {server.process.pid: "ringpostd", **{pid: name for pid, name in server.family().items() if name in users}}
        assert len(processes) == 4
        for pid, name in processes.items():
            assert pathlib.Path(f"/proc/{pid}").exists()
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            uid = pwd.getpwnam(users[name]).pw_uid
            assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", status, re.MULTILINE), (name, status)
        assert server.status()["separation"] == "users"
        for folder, user in ((server.spool, "ringpost"), (server.keys, "ringpost-key"), (server.audit, "ringpost-audit")):
            assert folder.owner() == user and folder.stat().st_mode & 0o077 == 0


@as_root
def test_an_ordinary_user_runs_everything_and_status_says_so(home):
    with BenchSink() as sink, Server(home, sink.route, user="nobody") as server:
        send(server, range(3))
        server.wait_delivered()
        check_arrived(sink, range(3))
        assert server.status()["separation"] == "none"
        owners = {pathlib.Path(f"/proc/{pid}").stat().st_uid for pid in [server.process.pid, *server.family()]}
        assert 0 not in owners
        server.stop()


@as_root
def test_separation_that_is_required_cannot_be_had_by_an_ordinary_user(home):
    server = Server(home, settings={"security.require_separation": "yes"}, user="nobody")
    _, said = server.refuses_to_start()
    assert "security.require_separation" in said, said


def test_a_hundred_connections_of_one_client(home):
    with Server(home) as server, contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(Client(server.port)) for _ in range(100)]
        for number, client in enumerate(clients):
            client.send(SENDER, [RECIPIENT], mail(number))
        status = server.status()
        assert status["connections"] >= 100 and status["accepted"] == 100


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
