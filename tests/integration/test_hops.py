#!/usr/bin/python3
"""Mail that passes several of our own servers: each of them judges line ends as if it were the first (E34), and what goes in circles
ends, with one report (A5)."""
import email

import pytest
from server import BenchSink, Client, Server, wait_until, without_received

HOPS_MAX = 6


def pair(home, **settings):
    """Two servers that are not started yet; the first one sends to the second."""
    for name in ("first", "second"):
        (home / name).mkdir()
    second = Server(home / "second", settings=settings)
    first = Server(home / "first", route=f"smtp://127.0.0.1:{second.port}", settings=settings)
    return first, second


def route(server, domain, where):
    server.settings["route.default" if domain is None else f"route.{domain}"] = where
    server.write_config()


# Endings that one server may take for the end of a message and another one not, line ends that are none, dots, and lines without one.
CONTENTS = {
    "plain": b"Subject: plain\r\n\r\nbody\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n",
    "bare LF": b"Subject: lf\r\n\r\none\ntwo\r\n",
    "bare CR": b"Subject: cr\r\n\r\none\rtwo\r\n",
    "LF dot LF": b"Subject: smuggled\r\n\r\none\n.\nMAIL FROM:<eve@example.org>\r\n",
    "LF dot CRLF": b"Subject: smuggled\r\n\r\none\n.\r\nMAIL FROM:<eve@example.org>\r\n",
    "CR dot CR": b"Subject: smuggled\r\n\r\none\r.\rMAIL FROM:<eve@example.org>\r\n",
    "NUL": b"Subject: nul\r\n\r\none\0two\r\n",
    "no line end": b"Subject: open\r\n\r\nbody",
    "long line": b"Subject: long\r\n\r\n" + b"x" * 5000 + b"\r\n",
}


def by_data(client, content):
    return client.data(content if content.endswith(b"\r\n") else content + b"\r\n")


def by_bdat(client, content):
    client.write(b"BDAT %d LAST\r\n" % len(content) + content)
    return client.reply()


@pytest.mark.parametrize("way", [by_data, by_bdat])
def test_E34_every_hop_has_the_same_rule_for_line_ends(home, way):
    first, second = pair(home)
    with BenchSink() as sink:
        route(second, None, sink.route)
        with first, second:
            verdicts, taken = {}, []
            for name, content in CONTENTS.items():
                for server in (first, second):
                    with Client(server.port) as client:
                        client.envelope("anna@example.org", [f"{len(taken)}@example.net"])
                        reply = way(client, content)
                        verdicts.setdefault(name, set()).add("250" if reply.startswith("250") else reply)
                        if reply.startswith("250"):
                            taken.append((f"{len(taken)}@example.net", server is first, content))
            assert all(len(verdict) == 1 for verdict in verdicts.values()), verdicts
            assert not any(verdicts[name] == {"250"} for name in ("LF dot LF", "LF dot CRLF", "CR dot CR", "bare LF", "bare CR")), verdicts
            assert verdicts["plain"] == verdicts["dots"] == {"250"}
            wait_until("all that was taken", lambda: sink.count() >= len(taken), meanwhile=first.must_run)
            first.wait_delivered()
            second.wait_delivered()
            arrived = {recipients[0]: content for _, recipients, content in sink.messages()}
            assert sink.count() == len(taken) == len(arrived)
            for recipient, two_hops, content in taken:
                came = without_received(arrived[recipient])
                came = without_received(came) if two_hops else came
                assert came in (content, content + b"\r\n" if not content.endswith(b"\r\n") else content), recipient


def test_A5_a_loop_ends_with_one_report(home):
    first, second = pair(home, **{"smtp.hops_max": str(HOPS_MAX)})
    with BenchSink() as sink:
        route(second, None, f"smtp://127.0.0.1:{first.port}")
        for server in (first, second):
            route(server, "example.org", sink.route)
        with first, second:
            with Client(first.port) as client:
                client.send("anna@example.org", ["list@example.net"], b"Subject: to the list\r\n\r\nround and round\r\n")
            wait_until("a report", sink.count, meanwhile=first.must_run)
            first.wait_delivered()
            second.wait_delivered()
            ((sender, recipients, content),) = sink.messages()
            assert sender == "" and recipients == ["anna@example.org"]
            report = email.message_from_bytes(content)
            assert report.get_content_type() == "multipart/report"
            _, failed = report.get_payload()[1].get_payload()
            assert failed["Final-Recipient"] == "rfc822; list@example.net" and failed["Action"] == "failed" and failed["Status"] == "5.4.6"

            def events(kind):
                return sum(len(server.audited(kind)) for server in (first, second))
            assert events("report_sent") == 1
            rounds = events("message_accepted")
            assert HOPS_MAX <= rounds <= HOPS_MAX + 2, "it went round more often than it may"
