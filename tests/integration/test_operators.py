#!/usr/bin/python3
"""What operators do to mail that waits: look, hold, release, retry, bounce, delete, redirect; where mail goes and why it waits."""
import json
import os
import re
import shutil
import socket
import subprocess

import pytest
from server import BUILD, PATIENCE_S, BenchSink, Client, Server, free_port, wait_until

BODY = b"Subject: s\r\n\r\nhello\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 64 * 32 + b"\r\n"  # chunks in the log


def lines(server, *words):
    return [json.loads(line) for line in server.ctl("queue", *words, "--json").splitlines()]


def addresses(messages):
    return sorted(recipient["address"] for message in messages for recipient in message["recipients"])


def send(server, sender, recipients, content=BODY):
    with Client(server.port) as client:
        client.send(sender, recipients, content)


@pytest.fixture
def held(home):
    """A server that holds all mail: anna's to bert and carl, dora's to bert, the null sender's to emil."""
    with Server(home, settings={"shards": "2", "route.default": "hold"}) as server:
        send(server, "anna@example.org", ["bert@one.example", "carl@two.example"])
        send(server, "dora@example.com", ["bert@one.example"])
        send(server, "", ["emil@sub.two.example"])
        yield server


def test_a_listing_shows_what_a_filter_means(held):
    everybody = ["bert@one.example", "bert@one.example", "carl@two.example", "emil@sub.two.example"]
    assert addresses(lines(held, "list")) == everybody
    for words, count in [(["--sender", "ANNA@example.org"], 1), (["--sender", "@example.com"], 1), (["--null-sender"], 1),
                         (["--recipient", "bert@ONE.example"], 2), (["--recipient", "@two.example"], 1), (["--domain", "one.example"], 2),
                         (["--domain", "*.two.example"], 1), (["--domain", "example"], 0), (["--reason", "route_holds"], 3),
                         (["--reason", "timed_out"], 0), (["--state", "held"], 3), (["--state", "deferred"], 0), (["--older", "1h"], 0),
                         (["--younger", "1h"], 3), (["--destination", "192.0.2.1"], 0),
                         (["--domain", "one.example", "--sender", "dora@example.com"], 1)]:
        assert len(lines(held, "list", *words)) == count, words
        assert lines(held, "summary", *words)[0]["messages"] == count, words
    (one,) = lines(held, "list", "--sender", "dora@example.com")
    assert one["recipients"] == [{"address": "bert@one.example", "state": "held", "attempts": 0, "code": None, "reason": "route_holds",
                                  "host": None, "next": None}]
    one["recipients"][0]["reply"] = None
    assert lines(held, "show", one["id"]) == [one]


def test_a_summary_counts_by_state_reason_and_domain(held):
    (summary,) = lines(held, "summary")
    assert (summary["messages"], summary["recipients"]) == (3, 4)
    assert summary["bytes"] == sum(message["size"] for message in lines(held, "list"))
    assert summary["oldest"] == min(message["arrived"] for message in lines(held, "list"))
    assert summary["states"] == {"held": 4} and summary["reasons"] == {"route_holds": 4}
    assert {domain["domain"]: domain["messages"] for domain in summary["domains"]} == {"one.example": 1, "sub.two.example": 1}
    assert summary["messages_to_several_domains"] == 1
    text = held.ctl("queue", "summary")
    assert "3 messages for 4 recipients" in text and "sub.two.example" in text


def test_mistakes_are_refused_and_change_nothing(held):
    before = lines(held, "list")
    for words in (["delete"], ["bounce"], ["hold"], ["redirect", "nobody", "--all"], ["redirect", "a b@c", "--all"], ["delete", "12ab"],
                  ["delete", "--older", "soon"], ["delete", "--null-sender", "--sender", "a@b"], ["delete", "--domain", "nowhere.example"],
                  ["delete", "0" * 32], ["release", "--all"], ["destroy", "--all"]):
        run = held.run_ctl("queue", *words)
        assert run.returncode != 0 and run.stderr, words
    assert lines(held, "list") == before


def test_held_mail_waits_for_its_release_over_a_restart(home):
    with BenchSink() as sink:
        with Server(home, settings={"shards": "2", "route.default": "hold"}) as server:
            send(server, "anna@example.org", ["bert@one.example"])
            send(server, "dora@example.com", ["carl@two.example"])
            assert server.ctl("queue", "hold", "--sender", "anna@example.org") == "1 message held\n"
            assert server.run_ctl("queue", "hold", "--sender", "anna@example.org").returncode == 1, "it is held already"
            (one,) = lines(server, "list", "--reason", "operator_holds")
            assert one["recipients"][0]["state"] == "held"
            server.ctl("set", f"route.default={sink.route}")
            wait_until("the other message", lambda: sink.count() == 1)
            server.kill()
            server.settings["route.default"] = sink.route
            server.write_config()
            server.start()
            (one,) = server.queue()
            assert one["recipients"][0]["reason"] == "operator_holds"
            assert server.ctl("queue", "release", one["id"]) == "1 message released\n"
            server.wait_delivered()
            assert [recipients for _, recipients, _ in sink.messages()] == [["carl@two.example"], ["bert@one.example"]]
            acts = server.audited("message_held", "message_released")
            assert [(line["event"], line["message"], line["user"]) for line in acts] == \
                [("message_held", one["id"], os.getuid()), ("message_released", one["id"], os.getuid())]


def test_a_retry_does_not_wait_for_its_time(home):
    port = free_port()
    with Server(home, settings={"shards": "1", "route.default": f"smtp://127.0.0.1:{port}", "retry.first": "1 h", "retry.max": "1 h"}) as server:
        send(server, "anna@example.org", ["bert@one.example"])
        wait_until("the first attempt", lambda: server.queue()[0]["recipients"][0]["attempts"] == 1)
        (one,) = server.queue()
        (recipient,) = one["recipients"]
        assert (recipient["state"], recipient["reason"], recipient["host"]) == ("deferred", "connection_refused", f"127.0.0.1:{port}")
        assert lines(server, "list", "--destination", "127.0.0.1") == lines(server, "list", "--destination", f"127.0.0.1:{port}") == [one]
        assert recipient["next"] > one["arrived"] and recipient["code"] is None
        (way,) = [json.loads(line) for line in server.ctl("explain", "bert@one.example", "--json").splitlines()]
        assert way["route"] == f"smtp://127.0.0.1:{port}" and way["site"]["failures"] == 1
        assert server.ctl("queue", "retry", "--destination", "127.0.0.1") == "1 message retried\n"
        wait_until("the second attempt", lambda: server.queue()[0]["recipients"][0]["attempts"] == 2)
        with BenchSink(port) as sink:
            assert server.ctl("queue", "retry", "--all") == "1 message retried\n"
            wait_until("the retry", lambda: sink.count() == 1)
            server.wait_delivered()


def test_the_words_of_the_last_reply_are_shown_for_one_message(home):
    """Also when it left memory, when the server was started again, and when its index is made anew from the log; never in a listing."""
    with BenchSink(mode="tempfail@rcpt") as sink, Server(home, sink.route, {"shards": "1", "retry.first": "1 h", "retry.max": "1 h"}) as server:
        send(server, "anna@example.org", ["bert@one.example", "carl@two.example"])
        wait_until("the first attempt", lambda: server.queue()[0]["recipients"][0]["attempts"] == 1)
        (one,) = server.queue()
        assert [recipient["code"] for recipient in one["recipients"]] == [450, 450] and "reply" not in one["recipients"][0]

        def check():
            server.settle()
            (shown,) = lines(server, "show", one["id"])
            replies = [recipient.pop("reply") for recipient in shown["recipients"]]
            assert replies == [replies[0]] * 2 and re.search("[a-z]{3}", replies[0]), replies
            assert [recipient["address"] for recipient in shown["recipients"]] == ["bert@one.example", "carl@two.example"]
            assert re.search(rf"^ +reply +{re.escape(replies[0])}$", server.ctl("queue", "show", one["id"]), re.M)
            return replies[0]
        words = check()
        left = r"^ringpost_messages_left_memory_total\S* 1$"
        wait_until("the message to leave memory", lambda: re.search(left, server.ctl("metrics"), re.M), meanwhile=server.must_run)
        assert check() == words
        assert words.encode() not in b"".join(path.read_bytes() for path in server.spool.rglob("*") if path.is_file())
        server.stop()
        server.start()
        assert check() == words
        # What an operator changes says nothing of the hop's words.
        server.ctl("queue", "hold", one["id"])
        assert check() == words
        server.stop()
        for index in server.spool.glob("*/index"):
            shutil.rmtree(index)
        server.start()
        assert check() == words
        # A later reply takes the place of an earlier one.
        server.ctl("set", "route.default=smtp://127.0.0.1:1")
        server.ctl("queue", "release", one["id"])
        wait_until("the second attempt", lambda: lines(server, "show", one["id"])[0]["recipients"][0]["attempts"] == 2)
        (shown,) = lines(server, "show", one["id"])
        assert shown["recipients"][0]["code"] is None and shown["recipients"][0]["reply"] is None


def test_a_bounce_tells_the_sender_and_leaves_other_recipients_alone(held):
    assert held.ctl("queue", "bounce", "--recipient", "bert@one.example", "--sender", "@example.org") == "1 message bounced\n"
    wait_until("the report", lambda: len(lines(held, "list")) == 4)
    (message,) = lines(held, "list", "--sender", "anna@example.org")
    assert [(recipient["address"], recipient["state"], recipient["reason"]) for recipient in message["recipients"]] == \
        [("bert@one.example", "failed", "operator_bounced"), ("carl@two.example", "held", "route_holds")]
    (report,) = lines(held, "list", "--recipient", "anna@example.org")
    assert report["sender"] == ""
    with BenchSink() as sink:
        held.ctl("set", f"route.default={sink.route}")
        held.wait_delivered()
        (content,) = [content for sender, recipients, content in sink.messages() if recipients == ["anna@example.org"]]
        assert b"Final-Recipient: rfc822;bert@one.example" in content.replace(b"rfc822; ", b"rfc822;") and b"Status: 5.7.1" in content
        assert b"the administrator of this server returned it" in content
        assert sorted(recipients for _, recipients, _ in sink.messages()) == \
            [["anna@example.org"], ["bert@one.example"], ["carl@two.example"], ["emil@sub.two.example"]]
    acts = held.audited("message_bounced", "recipient_failed", "report_sent")
    assert [line["event"] for line in acts] == ["message_bounced", "recipient_failed", "report_sent"]
    assert {line["message"] for line in acts} == {message["id"]} and acts[1]["reason"] == "operator_bounced"


def test_a_deleted_message_is_gone_and_nobody_is_told(held):
    held.ctl("queue", "delete", "--null-sender")
    held.ctl("queue", "delete", "--sender", "dora@example.com")
    assert addresses(lines(held, "list")) == ["bert@one.example", "carl@two.example"]
    held.kill()
    held.start()
    assert addresses(held.queue()) == ["bert@one.example", "carl@two.example"], "it was durable"
    assert held.ctl("queue", "delete", "--all", "--json").count('"done"') == 1
    assert not held.queue() and held.status()["queued"] == 0
    assert len(held.audited("message_deleted")) == 3


@pytest.mark.parametrize("content", [BODY, LARGE], ids=["small", "large"])
def test_a_redirected_message_goes_to_the_new_address_byte_for_byte(home, content):
    with BenchSink() as sink, Server(home, settings={"shards": "2", "route.default": "hold"}) as server:
        send(server, "anna@example.org", ["bert@one.example", "carl@two.example"], content)
        (before,) = server.queue()
        (done,) = lines(server, "redirect", "heir@three.example", "--domain", "one.example")
        assert (done["id"], done["result"], done["recipients"]) == (before["id"], "done", 1)
        server.kill()
        server.settings["route.default"] = sink.route
        server.write_config()
        server.start()
        server.wait_delivered()
        got = {recipients[0]: (sender, body) for sender, recipients, body in sink.messages()}
        assert sorted(got) == ["carl@two.example", "heir@three.example"]
        assert got["heir@three.example"] == got["carl@two.example"], "the same sender, the same bytes"
        assert got["heir@three.example"][1].endswith(content)
        (act,) = server.audited("message_redirected")
        assert act["successor"] == done["successor"] and act["message"] == before["id"]


def test_orders_for_many_messages_are_carried_out_once_each(home):
    with Server(home, settings={"shards": "2", "route.default": "hold"}) as server:
        count = 3000
        subprocess.run([BUILD / "ringpost-bench", "send", "--to", f"127.0.0.1:{server.port}", "--connections", "20", "--messages", str(count),
                        "--size", "1000", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        assert server.ctl("queue", "hold", "--all") == "3,000 messages held\n"
        assert lines(server, "summary")[0]["reasons"] == {"operator_holds": count}
        ids = {message["id"] for message in lines(server, "list", "--state", "held")}
        assert len(ids) == count
        done = lines(server, "delete", "--reason", "operator_holds")
        assert {one["id"] for one in done} == ids and len(done) == count
        assert not server.queue()


def test_top_and_destinations_show_what_goes_on(home):
    with BenchSink() as sink, Server(home, settings={"shards": "2", "route.default": sink.route}) as server:
        send(server, "anna@example.org", ["bert@one.example"])
        server.wait_delivered()
        text = server.ctl("top", "--frames", "2", "--interval", "0.2")
        assert len(re.findall(r"accepted 1 \(\d+/s\)", text)) == 2 and "0 queued" in text
        assert f"smtp:127.0.0.1:{sink.port}" in text
        sites = [json.loads(line) for line in server.ctl("destinations", "--json").splitlines()]
        assert sum(site["connections"] for site in sites) >= 1
        assert {address for site in sites for address in site["addresses"]} == {f"127.0.0.1:{sink.port}"}
        assert "connections_max" in server.ctl("destinations")


def test_a_stop_does_not_wait_for_an_answer_to_an_operator(home):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(PATIENCE_S)
        server = Server(home, settings={"shards": "1", "route.default": "mx", "dns.servers": "127.0.0.1:%d" % silent.getsockname()[1],
                                        "dns.timeout": f"{PATIENCE_S} s"})
        with server:
            command = [BUILD / "ringpostctl", "-c", server.config, "explain", "bert@one.example"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
                silent.recv(512)  # DNS is being asked
                assert server.stop() < PATIENCE_S / 4
                asking.wait(PATIENCE_S)


def test_explain_says_where_mail_goes_and_why_it_would_wait(home):
    settings = {"shards": "2", "route.default": "hold", "route.one.example": "smtp://127.0.0.1:9", "route.two.example": "reject not for us",
                "relay.domains": "one.example, two.example", "recipients.one.example": "any"}
    with Server(home, settings=settings) as server:
        def explain(address):
            return json.loads(server.ctl("explain", address, "--json").splitlines()[0])
        held = explain("a@other.example")
        assert held["route"] == "hold" and held["would_wait"].startswith("the route holds") and held["rcpt_from_anyone_on_mx"].startswith("550 5.7.1")
        assert held["rcpt_from_relay_clients"] == "accepted"
        one = explain("a@one.example")
        assert one["route"] == "smtp://127.0.0.1:9" and one["rcpt_from_anyone_on_mx"] == "accepted" and one["would_wait"] is None
        assert explain("a@two.example")["rcpt_from_anyone_on_mx"] == "550 5.7.1 not for us"
        assert "route" in server.ctl("explain", "a@one.example")
        assert server.run_ctl("explain", "no address").returncode == 1
