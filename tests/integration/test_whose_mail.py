#!/usr/bin/python3
"""Whose mail the server takes: our own domains from everybody, their recipients from a file, and nothing for anybody else."""
import pytest
from server import AioSink, BenchSink, Client, Server

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"


@pytest.fixture
def server(home):
    """An MX for example.org, to which the test itself is a stranger."""
    (home / "users").write_text("# who is here\njohn\nMary@example.org\n")
    server = Server(home, settings={"listener.test.role": "mx", "relay.clients": "none", "relay.domains": "example.org, *.example.org",
                                    "recipients.example.org": f"file:{home}/users", "route.old.example.org": "reject moved away"})
    yield server
    server.end()


def codes(server, *recipients):
    with Client(server.port) as client:
        assert client.ask("MAIL FROM:<a@client.example>").startswith("250")
        return [client.ask(f"RCPT TO:<{recipient}>")[:9].rstrip() for recipient in recipients]


def test_who_exists_is_welcome_and_mail_for_nobody_else_is_taken(server):
    with BenchSink() as sink:
        server.settings["route.default"] = sink.route
        server.write_config()
        with server:
            assert codes(server, "john@example.org", "MARY@Example.ORG", "postmaster", "Postmaster@example.org", "u@x.example.org") \
                == ["250 2.1.5"] * 5
            assert codes(server, "nobody@example.org", "u@example.net", "u%example.net@x.example.org", "u@old.example.org", "u@[127.0.0.1]") \
                == ["550 5.1.1", *["550 5.7.1"] * 4]
            with Client(server.port) as client:
                client.send("a@client.example", ["john@example.org", "postmaster"], MESSAGE)
            server.wait_delivered()
            assert [recipients for _, recipients, _ in sink.messages()] == [["john@example.org", "postmaster"]]


def test_the_file_is_read_again_at_reload_and_a_mistake_in_it_changes_nothing(server):
    users = server.home / "users"
    with server:
        assert codes(server, "new@example.org") == ["550 5.1.1"]
        replacement = server.home / "users.new"  # as editors do it
        replacement.write_text("new\n")
        replacement.rename(users)
        server.ctl("reload")
        assert codes(server, "new@example.org", "john@example.org") == ["250 2.1.5", "550 5.1.1"]
        users.write_text("new\njohn@example.com\n")
        refused = server.run_ctl("reload")
        assert refused.returncode != 0 and f"{users}:2" in refused.stderr, refused.stderr
        assert codes(server, "new@example.org", "john@example.org") == ["250 2.1.5", "550 5.1.1"]


def test_a_mistake_in_the_file_stops_a_start(server):
    (server.home / "users").write_text("john\nmary, joe\n")
    code, said = server.refuses_to_start()
    assert code == 2 and f"{server.home}/users:2" in said, said
    (server.home / "users").unlink()
    code, said = server.refuses_to_start()
    assert code == 2 and f"{server.home}/users" in said and "No such file" in said, said


def test_the_next_hop_says_who_exists(home):
    asked = []

    class Handler(AioSink):
        async def handle_RCPT(self, server, session, envelope, address, options):
            asked.append((envelope.mail_from, address))
            if address.startswith("nobody"):
                return "550 5.1.1 no mailbox"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    sink = Handler()
    server = Server(home, settings={"listener.test.role": "mx", "relay.clients": "none", "relay.domains": "example.org",
                                    "recipients.example.org": "callout", "route.default": sink.route, "shards": "1"})
    try:
        with sink, server:
            assert codes(server, "john@example.org", "nobody@example.org", "postmaster@example.org", "JOHN@example.org") \
                == ["250 2.1.5", "550 5.1.1", "250 2.1.5", "250 2.1.5"]
            assert asked == [("<>", "john@example.org"), ("<>", "nobody@example.org")]
            with Client(server.port) as client:
                client.send("a@client.example", ["john@example.org"], MESSAGE)
            server.wait_delivered()
            assert sink.count() == 1
            metrics = server.ctl("metrics")
            for name, value in (("sent", 2), ("unsure", 0)):
                assert f'ringpost_callouts_{name}_total{{shard="0"}} {value}' in metrics, metrics
        with server:  # the hop is gone
            assert codes(server, "john@example.org", "postmaster@example.org") == ["451 4.4.3", "250 2.1.5"]
            server.ctl("set", "callout.when_unsure=accept")
            assert codes(server, "john@example.org") == ["250 2.1.5"]
            assert "accepted if the next hop says that it exists" in server.ctl("explain", "john@example.org", "--json")
    finally:
        server.end()
