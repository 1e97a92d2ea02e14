#!/usr/bin/python3
"""A wrong configuration is refused with file, line and the nearest valid key, and nothing starts; on reload nothing changes.

And what ringpostctl says and does.
"""
import json
import os
import re
import signal
import socket

import pytest
from server import PATIENCE_S, BenchSink, Client, Server, wait_until, without_received

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"

# What is wrong, as one more line of a file that is right, and what the refusal must name.
WRONG = [
    ("shard = 2", "shards"),
    ("rout.default = hold", "route.default"),
    ("route.defualt = hold", "route.default"),
    ("recipient.example.org = any", "recipients.example.org"),
    ("recipients.example.org = all", "recipients.example.org"),
    ("relay.domains = example.org, @example.net", "relay.domains"),
    ("spool.dircetory = /x", "spool.directory"),
    ("keys.allow_same_filesytem = yes", "keys.allow_same_filesystem"),
    ("smtp.message_byte_max = 1 MiB", "smtp.message_bytes_max"),
    ("smtp.recipient_max = 10", "smtp.recipients_max"),
    ("relay.client = 127.0.0.0/8", "relay.clients"),
    ("security.require_seperation = no", "security.require_separation"),
    ("listener.test.adress = 127.0.0.1:25", "listener.test.address"),
    ("listener.test.bare_newlines = refuse", "listener.test.bare_newline"),
    ("control.sock = /run/x", "control.socket"),
    ("smtp.recipients_max = many", "smtp.recipients_max"),
    ("smtp.recipients_max = 0", "smtp.recipients_max"),
    ("smtp.message_bytes_max = 10 parsecs", "smtp.message_bytes_max"),
    ("smtp.message_bytes_max = -1", "smtp.message_bytes_max"),
    ("smtp.session_max = 1", "smtp.session_max"),
    ("smtp.hops_max = 1001", "smtp.hops_max"),
    ("security.require_separation = maybe", "security.require_separation"),
    ("listener.test.role = submission", "listener.test.role"),
    ("listener.test.bare_newline = ignore", "listener.test.bare_newline"),
    ("listener.other.address = 127.0.0.1", "listener.other.address"),
    ("listener.other.address = localhost:25", "listener.other.address"),
    ("log.level = verbose", "log.level"),
    ("retry.first = 2 days", "retry.first"),
    ("route.default = hold", "route.default"),  # twice
    ("listener.test.role = relay\nlistener.test.role = relay", "listener.test.role"),
    ("smtp.hops_max 50", "smtp.hops_max"),
    ("smtp.hops_max =", "smtp.hops_max"),
    ("= 50", ""),
]
# The same keys, but not in the base configuration already: a bad value of these is bad by itself, not because it is there twice.
BAD_VALUES = [
    ("shards", "0"), ("shards", "257"), ("shards", "two"), ("relay.clients", "127.0.0.0/33"), ("relay.clients", "everyone"),
    ("route.default", "smtp://127.0.0.256"), ("route.default", "smtp://127.0.0.1:0"), ("route.default", "lmtp://127.0.0.1"),
    ("route.default", "keep"), ("spool.directory", "spool"), ("keys.directory", "/a/../b"), ("audit.directory", ""),
    ("keys.allow_same_filesystem", "1"), ("control.socket", "/" + "x" * 120), ("hostname", "a b"), ("spool.segment_bytes", "1 KiB"),
]


@pytest.fixture
def server(home):
    server = Server(home)
    yield server
    server.end()


def check_refused_start(server, line_number, key):
    before = sorted(server.home.iterdir())
    code, said = server.refuses_to_start()
    assert re.search(rf"{re.escape(str(server.config))}:{line_number}\b", said), said
    assert key in said, said
    assert not re.search(r"^220|accepting mail", said, re.MULTILINE), said
    assert server.family() == {}
    made = [path for path in sorted(server.home.iterdir()) if path not in before and path != server.log]
    assert made == [], "something was made although nothing may start"
    return code


@pytest.mark.parametrize("text, key", WRONG)
def test_a_wrong_line_is_refused_at_start(server, text, key):
    server.write_config(text)
    last = len(server.config.read_text().splitlines())
    assert check_refused_start(server, last, key) == 2


@pytest.mark.parametrize("key, value", BAD_VALUES)
def test_a_bad_value_is_refused_at_start(server, key, value):
    server.settings[key] = value
    server.write_config()
    line = 1 + [entry.split(" =")[0] for entry in server.config.read_text().splitlines()].index(key)
    assert check_refused_start(server, line, key) == 2


def test_every_mistake_is_named(server):
    server.write_config("shard = 2", "smtp.hops_max = never", "route.default = hold")
    last = len(server.config.read_text().splitlines())
    _, said = server.refuses_to_start()
    for line in (last - 2, last - 1, last):
        assert f"{server.config}:{line}" in said, said


def test_a_mistake_in_conf_d_is_refused(server):
    folder = server.home / "conf.d"
    folder.mkdir()
    (folder / "10-more.conf").write_text("# fine\nsmtp.hops_max = 7\n")
    (folder / "20-wrong.conf").write_text("smtp.hop_max = 7\n")
    code, said = server.refuses_to_start()
    assert code == 2 and f"{folder}/20-wrong.conf:1" in said and "smtp.hops_max" in said, said
    (folder / "20-wrong.conf").unlink()
    with server:
        assert server.ctl("get", "smtp.hops_max").split("=")[1].split()[0] == "7"


def test_a_file_that_is_not_there_is_refused(server):
    server.config.unlink()
    code, said = server.refuses_to_start()
    assert code == 2 and str(server.config) in said


def test_reload_is_atomic(server):
    server.start()

    def settings():
        return server.ctl("get", "-a", by_socket=True)
    everything = settings()
    for text, key in WRONG:
        # A right change beside the wrong one: neither may happen.
        server.write_config("smtp.errors_max = 19", text)
        place = f"{server.config}:{len(server.config.read_text().splitlines())}"
        run = server.run_ctl("reload", by_socket=True)
        assert run.returncode == 1 and place in run.stderr and key in run.stderr, (text, run)
        run = server.run_ctl("reload")
        assert run.returncode != 0 and place in run.stderr and key in run.stderr, (text, run)
        assert settings() == everything, text
    server.write_config("smtp.errors_max = 19", "shard = 2")
    said = len(server.said())
    server.process.send_signal(signal.SIGHUP)
    wait_until("the refusal of SIGHUP", lambda: "nearest valid key: shards" in server.said()[said:], meanwhile=server.must_run)
    assert settings() == everything
    # What only a start can change is refused, and what stands beside it does not happen either.
    server.settings["spool.directory"] = "/elsewhere"
    server.write_config("smtp.errors_max = 19")
    run = server.run_ctl("reload")
    assert run.returncode == 1 and "spool.directory" in run.stderr, run
    assert settings() == everything
    with Client(server.port) as client:
        client.send("anna@example.org", ["bert@example.net"], MESSAGE)
    server.stop()


@pytest.mark.parametrize("how", ["reload", "SIGHUP"])
def test_reload_changes_what_may_change(server, how):
    server.start()
    server.settings["smtp.recipients_max"] = "2"
    server.write_config()
    if how == "reload":
        assert "smtp.recipients_max" in server.ctl("reload")
    else:
        server.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: server.ctl("get", "smtp.recipients_max").split("=")[1].split()[0] == "2", meanwhile=server.must_run)
    with Client(server.port) as client:
        assert client.ask("MAIL FROM:<a@example.org>").startswith("250")
        replies = [client.ask(f"RCPT TO:<b{number}@example.net>")[:3] for number in range(3)]
        assert replies == ["250", "250", "452"]


def test_each_change_is_in_the_audit_log(server):
    def changes(expected):
        def look():
            return [{key: value for key, value in line.items() if key in ("setting", "instance", "before", "after", "user")}
                    for line in server.audit_lines() if line["event"] == "config_changed"]
        wait_until(f"{expected} changes in the audit log", lambda: len(look()) >= expected, meanwhile=server.must_run)
        assert len(look()) == expected
        return look()[-1]
    me = os.getuid()
    server.start()
    server.ctl("set", "smtp.hops_max=7")
    assert changes(1) == {"setting": "smtp.hops_max", "before": "50", "after": "7", "user": me}
    server.ctl("set", "smtp.hops_max=7")  # no change
    assert server.run_ctl("set", "smtp.hops_max=none").returncode == 1
    server.ctl("set", "route.example.org=reject " + "no mail here " * 10)
    assert changes(2) == {"setting": "route.DOMAIN", "instance": "example.org", "user": me,
                          "after": ("reject " + "no mail here " * 10)[:61] + "..."}
    server.settings["smtp.errors_max"], server.settings["smtp.recipients_max"] = "19", "21"
    server.write_config()
    server.ctl("reload")
    assert changes(4) == {"setting": "smtp.errors_max", "before": "20", "after": "19", "user": me}
    server.settings["smtp.errors_max"] = None
    server.write_config()
    server.process.send_signal(signal.SIGHUP)
    assert changes(5)["after"] == "20"
    # A start tells nothing of what was changed while nobody ran.
    server.stop()
    server.settings["smtp.recipients_max"] = "22"
    server.write_config()
    server.start()
    server.ctl("set", "smtp.hops_max=8")
    assert changes(6)["after"] == "8"


def test_a_configuration_that_was_replaced_is_read(server):
    """Editors and configuration management write a new file and rename it."""
    server.start()
    server.settings["smtp.hops_max"] = "9"
    old = server.config.read_text()
    (server.home / "new").write_text(old + "smtp.hops_max = 9\n")
    os.chmod(server.home / "new", 0o644)
    (server.home / "new").rename(server.config)
    assert "smtp.hops_max" in server.ctl("reload")


def test_set_and_get(server):
    server.start()
    assert server.ctl("get", "smtp.hops_max").startswith("smtp.hops_max = 50")
    assert server.ctl("set", "smtp.hops_max=7") == "smtp.hops_max: 50 -> 7\n"
    assert server.ctl("get", "smtp.hops_max").startswith("smtp.hops_max = 7")
    for assignment, mentions in (("smtp.hops_max=none", "smtp.hops_max"), ("smtp.hop_max=3", "smtp.hops_max"),
                                 ("spool.directory=/x", "spool.directory"), ("nonsense", "nonsense")):
        run = server.run_ctl("set", assignment)
        assert run.returncode == 1 and mentions in run.stderr, run
    assert server.ctl("get", "smtp.hops_max").startswith("smtp.hops_max = 7")
    run = server.run_ctl("get", "smtp.hop_max")
    assert run.returncode == 1 and "smtp.hops_max" in run.stderr, run


def test_get_all_is_itself_a_configuration(server):
    server.start()
    everything = server.ctl("get", "-a")
    for key in ("shards", "listener.test.address", "route.default", "smtp.message_bytes_max", "security.require_separation"):
        assert re.search(rf"^{re.escape(key)} = ", everything, re.MULTILINE), key
    server.stop()
    server.config.write_text(everything)
    with server:
        values = [line.split("#")[0].strip() for line in everything.splitlines()]
        assert [line.split("#")[0].strip() for line in server.ctl("get", "-a").splitlines()] == values


def test_status_metrics_and_queue(server):
    server.start()
    with Client(server.port) as client:
        for number in range(3):
            client.send("anna@example.org", [f"r{number}@example.net", "s@example.net"], MESSAGE)
        status = server.status()
    assert {key: status[key] for key in ("shards", "partitions", "accepted", "queued", "delivered", "deferred", "failed")} == \
        {"shards": 2, "partitions": 2, "accepted": 3, "queued": 3, "delivered": 0, "deferred": 0, "failed": 0}
    assert status["separation"] == ("users" if os.geteuid() == 0 else "none") and status["hardware_aes"] is True
    assert status["connections"] >= 1
    plain = server.ctl("status")
    for key in ("shards", "partitions", "connections", "accepted", "queued", "delivered", "deferred", "failed", "separation", "hardware_aes"):
        assert re.search(rf"^{key}\s", plain, re.MULTILINE), plain
    assert "commit" in plain and "p99" in plain, plain

    queue = server.queue()
    assert len(queue) == 3 == len(server.ctl("queue", "list").splitlines())
    for message in queue:
        assert re.fullmatch("[0-9a-f]{32}", message["id"]) and message["size"] > len(MESSAGE)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", message["arrived"])
        assert [(recipient["state"], recipient["reason"], recipient["next"]) for recipient in message["recipients"]] == \
            [("held", "route_holds", None)] * 2
        assert all({"address", "state", "reason", "next"} <= set(recipient) for recipient in message["recipients"])
        shown = json.loads(server.ctl("queue", "show", message["id"], "--json"))
        assert [recipient.pop("reply") for recipient in shown["recipients"]] == [None] * len(message["recipients"]) and shown == message
        assert "s@example.net" in server.ctl("queue", "show", message["id"])
    assert "s@example.net held (route_holds)" in server.ctl("queue", "list")
    assert {recipient["address"] for message in queue for recipient in message["recipients"]} == \
        {"r0@example.net", "r1@example.net", "r2@example.net", "s@example.net"}
    for unknown in ("0" * 32, "f" * 32, "x", "12"):
        assert server.run_ctl("queue", "show", unknown).returncode == 1

    metrics = server.ctl("metrics")
    samples = [line for line in metrics.splitlines() if line and not line.startswith("#")]
    assert samples and all(re.fullmatch(r"[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+0-9.eEInfNa]+", line) for line in samples)
    accepted = [float(line.split()[-1]) for line in samples if "messages_accepted" in line]
    assert sum(accepted) == 3, metrics


def test_a_route_that_is_set_lets_held_mail_go(server):
    server.start()
    with Client(server.port) as client:
        client.send("anna@example.org", ["bert@example.net"], MESSAGE)
    (held,) = server.queue()
    assert held["recipients"][0]["state"] == "held"
    server.ctl("set", "route.default=smtp://127.0.0.1:1")  # a route that nobody answers on is no hold
    wait_until("an attempt", lambda: server.recipients()[0]["state"] == "deferred", meanwhile=server.must_run)
    server.ctl("set", "route.default=hold")
    assert [server.recipients()[0][key] for key in ("state", "reason", "next")] == ["held", "route_holds", None]
    with BenchSink() as sink:
        server.ctl("set", f"route.default={sink.route}")
        server.wait_delivered()
        ((_, recipients, content),) = sink.messages()
        assert recipients == ["bert@example.net"] and len(content) == held["size"]
        assert server.status()["delivered"] == 1


def test_a_size_is_that_of_what_is_kept_and_relayed(server):
    """The same number in the list, in the audit log and at the next hop: what the client sent and our Received field."""
    server.start()
    with BenchSink() as sink:
        with Client(server.port) as client:
            client.send("anna@example.org", ["bert@example.net"], b"x" * 700 + b"\r\n" + MESSAGE)
            client.envelope("anna@example.org", ["bert@example.net"])
            for part, last in ((MESSAGE, ""), (b"y" * 100_000, " LAST")):  # over several pieces, too
                client.write(f"BDAT {len(part)}{last}\r\n".encode() + part)
                assert client.reply().startswith("250")
        listed = sorted(message["size"] for message in server.queue())
        assert {size: True for size in listed} == {int(line.split()[1]): True for line in server.ctl("queue", "list").splitlines()}
        server.ctl("set", f"route.default={sink.route}")
        server.wait_delivered()
        contents = [content for _, _, content in sink.messages()]
        assert sorted(map(len, contents)) == listed
        assert all(len(content) > len(without_received(content)) for content in contents)

        def audited():
            lines = server.audit_lines()
            sizes = {event: sorted(line["size"] for line in lines if line["event"] == event)
                     for event in ("message_accepted", "recipient_delivered")}
            return sizes if len(sizes["recipient_delivered"]) == 2 else None
        assert wait_until("its audit events", audited, meanwhile=server.must_run) == \
            {"message_accepted": listed, "recipient_delivered": listed}


def test_ctl_works_while_the_configuration_has_errors(server):
    """That is when an operator needs it."""
    server.start()
    server.write_config("shard = 2", "smtp.hops_max = never")
    line = len(server.config.read_text().splitlines()) - 1
    run = server.run_ctl("status", "--json")
    assert run.returncode == 0 and json.loads(run.stdout)["shards"] == 2, run
    assert f"warning: the configuration has errors" in run.stderr and f"{server.config}:{line}: shard" in run.stderr, run
    assert "and 1 more" in run.stderr
    run = server.run_ctl("reload")
    assert run.returncode == 1 and f"{server.config}:{line + 1}: smtp.hops_max" in run.stderr, run
    server.write_config("control.sock = /run/x")  # which server is meant cannot be told: the wrong one might stop
    run = server.run_ctl("stop")
    assert run.returncode == 2 and "--socket" in run.stderr and server.process.poll() is None, run
    server.config.rename(server.home / "away.conf")
    run = server.run_ctl("stop")
    assert run.returncode == 2 and str(server.config) in run.stderr and server.process.poll() is None, run
    (server.home / "away.conf").rename(server.config)
    server.write_config("nonsense")
    server.ctl("stop")
    assert server.process.wait(PATIENCE_S) == 0


def test_a_greeting_delay_turns_those_away_who_do_not_listen(server):
    server.settings["listener.test.greeting_delay"] = "60 s"
    server.write_config()
    server.launch()
    wait_until("the listener", lambda: "accepting mail" in server.said(), meanwhile=server.must_run)
    with socket.create_connection(("127.0.0.1", server.port), timeout=50) as hasty:
        hasty.sendall(b"EHLO client.example.org\r\n")
        assert hasty.makefile("rb").read().startswith(b"554 ")
    assert "talked before the banner" in server.said() and "client=127.0.0.1" in server.said()
    server.ctl("set", "listener.test.greeting_delay=0")
    with Client(server.port) as client:
        assert client.greeting.startswith("220")


def test_ctl_names_its_commands_to_who_mistypes_one(server):
    run = server.run_ctl("statsu")
    assert run.returncode == 2 and "no command statsu" in run.stderr and "status" in run.stderr, run
    run = server.run_ctl("status")
    assert run.returncode == 2 and "it does not run" in run.stderr and str(server.settings["control.socket"]) in run.stderr, run


def test_a_folder_in_the_files_place_is_named(server):
    server.config.unlink()
    server.config.mkdir()
    code, said = server.refuses_to_start()
    assert code == 2 and f"{server.config}: is a directory, not a configuration file" in said, said


def test_a_next_hop_that_dns_does_not_know_keeps_its_mail_waiting(server):
    server.settings.update({"route.default": "smtp://no-such-host.invalid:25", "dns.servers": "127.0.0.1:9", "dns.timeout": "1 s"})
    server.write_config()
    with server:
        with Client(server.port) as client:
            client.send("a@example.org", ["b@example.net"], MESSAGE)
        waiting = wait_until("an attempt", lambda: [r for r in server.recipients() if r["attempts"]], meanwhile=server.must_run)
        assert waiting[0]["reason"] == "dns_temporary" and waiting[0]["state"] == "deferred", waiting


def test_stop(server):
    server.start()
    family = server.family()
    assert sorted(set(family.values())) == ["ringpost-auditd", "ringpost-helper", "ringpost-keyd", "ringpost-nanny"]
    server.ctl("stop")
    assert server.process.wait(PATIENCE_S) == 0
    run = server.run_ctl("status")
    assert run.returncode == 2 and "control.sock" in run.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
