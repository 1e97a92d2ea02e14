#!/usr/bin/python3
"""Postfix and Dovecot as next hops under TLS: what their own books say of our connections."""
import re

import pytest
from certificates import Authority
from other_servers import Dovecot, Postfix, needs_dovecot, needs_postfix
from server import Client, Server, wait_until, without_received

MESSAGE = b"From: a@client.example\r\nTo: b@next.example\r\nSubject: s\r\n\r\nhello\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"%06d %s\r\n" % (n, b"x" * 70) for n in range(20_000))


@pytest.fixture
def authority(home):
    return Authority(home)


def relay(home, hop, authority, policy, scheme="smtp", **settings):
    return Server(home, route=f"{scheme}://localhost:{hop.port}", settings={
        "shards": "1", "tls.trust_file": str(authority.trust), "destination.localhost..tls": policy, "retry.first": "300 s", **settings})


def send(server, content=MESSAGE, recipients=("b@next.example",)):
    with Client(server.port) as client:
        client.send("a@client.example", list(recipients), content)


def ways(server, kind="recipient_delivered"):
    """(policy, verified, version) of each delivery, by the audit log."""
    return [(event["tls"]["policy"], event["tls"]["verified"], event["tls"]["version"]) for event in server.audit_lines() if event["event"] == kind]


def arrived(hop, count):
    return wait_until("mail in the Maildirs", lambda: len(found := hop.messages()) >= count and found, meanwhile=hop.must_run)


@needs_postfix
@pytest.mark.parametrize("policy, versions, minimum", [("opportunistic", ">=TLSv1.3", "TLSv1.3"), ("encrypt", ">=TLSv1.2, <=TLSv1.2", "TLSv1.2"),
                                                       ("verify", ">=TLSv1.3", "TLSv1.3"), ("verify", ">=TLSv1.2, <=TLSv1.2", "TLSv1.2")])
def test_postfix_that_wants_tls(home, authority, policy, versions, minimum):
    with Postfix(home, authority, "localhost", smtpd_tls_mandatory_protocols=versions) as hop, relay(home, hop, authority, policy) as server:
        for content in (MESSAGE, LARGE, MESSAGE):
            send(server, content)
        server.wait_delivered()
        kept = arrived(hop, 3)
        assert all(re.search(rb"\(using " + minimum.encode() + rb" with cipher ", content) for content in kept), kept[0][:800]
        assert any(LARGE.replace(b"\r\n", b"\n").partition(b"\n\n")[2] in content for content in kept)
        assert {(verified, version) for _, verified, version in wait_until("events", lambda: ways(server))} == {(policy == "verify", minimum)}


def waits_for_another_policy(server, hop, why, policy):
    """What was sent is tried in vain, for that reason and with that code; with `policy` it arrives, once."""
    tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
    assert (tried[0]["reason"], tried[0]["code"]) == why
    server.ctl("set", f"destination.localhost..tls={policy}")
    server.ctl("queue", "retry", "--all")
    server.wait_delivered()
    assert len(arrived(hop, 1)) == 1


@needs_postfix
def test_postfix_that_wants_tls_gets_nothing_in_clear(home, authority):
    """530 at MAIL: what is wrong here is the administrator's to set right, and no bounce."""
    with Postfix(home, authority, "localhost") as hop, relay(home, hop, authority, "none") as server:
        send(server)
        waits_for_another_policy(server, hop, ("hop_login_demanded", 530), "verify")


@needs_postfix
def test_postfix_whose_name_is_another(home, authority):
    with Postfix(home, authority, "elsewhere.example") as hop, relay(home, hop, authority, "verify") as server:
        send(server)
        waits_for_another_policy(server, hop, ("peer_not_verified", 451), "encrypt")


@needs_postfix
def test_postfix_asks_who_we_are_and_is_shown_our_certificate(home, authority):
    ours = authority.files("relay", "relay.example.com")
    demands = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_req_ccert": "yes", "smtpd_tls_CAfile": authority.trust}
    with Postfix(home, authority, "localhost", **demands) as hop:
        with relay(home, hop, authority, "verify", **{"destination.localhost..tls_certificate": "relay"}, **ours) as server:
            send(server)
            server.wait_delivered()
            kept = arrived(hop, 1)[0]
            assert re.search(rb'\(Client CN "relay.example.com", Issuer "Test authority" \(verified OK\)\)', kept), kept[:800]
            server.ctl("set", "destination.localhost..tls_certificate=none")
            send(server)
            tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
            assert tried[0]["reason"] in ("next_hop_protocol", "connection_lost", "next_hop_deferred", "tls_failed"), tried


@needs_dovecot
@pytest.mark.parametrize("policy", ["opportunistic", "encrypt", "verify"])
def test_dovecot_takes_mail_by_lmtp_under_tls(home, authority, policy):
    with Dovecot(home, authority, "localhost") as hop, relay(home, hop, authority, policy, scheme="lmtp") as server:
        send(server, recipients=("b@next.example", "c@next.example", "d@next.example"))
        send(server, LARGE)
        server.wait_delivered()
        kept = arrived(hop, 4)
        assert sorted(LARGE.partition(b"\r\n\r\n")[2] in content.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n") for content in kept) == [False] * 3 + [True]
        assert {(verified, version) for _, verified, version in wait_until("events", lambda: ways(server))} == {(policy == "verify", "TLSv1.3")}
        assert b"with LMTPS" in kept[0] or b"with LMTP" in kept[0], kept[0][:600]


@needs_dovecot
def test_dovecot_without_tls_gets_nothing_that_demands_it(home, authority):
    with Dovecot(home, authority, "localhost", ssl="no") as hop, relay(home, hop, authority, "encrypt", scheme="lmtp") as server:
        send(server)
        tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
        assert (tried[0]["reason"], tried[0]["code"]) == ("tls_not_offered", 451)
        assert hop.messages() == []
