#!/usr/bin/python3
"""MTA-STS on the real thing: policies from web servers at port 443 of the loopback, next hops at port 25, DNS of the test's own (T8)."""
import contextlib
import os

import pytest
from certificates import Authority
from dns_server import SERVFAIL
from server import Client, wait_until
from sts_world import MESSAGE, World, fake_time, policy
from web_server import Answer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ports 25 and 443 need root")


@pytest.fixture
def world(home):
    with contextlib.ExitStack() as stack:
        yield World(home, stack)


VERIFIED = ("delivered", None, "mta_sts", True, None)
# As to a domain without a policy: the hop has TLS, and nobody asks whose it is.
AS_WITHOUT = ("delivered", None, "opportunistic", False, "resolver_not_validating")


def test_T8_each_policy_has_its_outcome(world):
    mx, strange = world.hop("mx.good.example"), world.hop("mx.strange.example", "another.name")
    expired = world.hop("mx.expired.example", begins=-30, ends=-1)
    self_made = Authority(world.home)
    foreign = world.hop("mx.foreign.example", authority=self_made)
    clear = world.hop("mx.clear.example", offers=False)
    world.zones["a.b.mail.example"] = dict(world.zones["mx.good.example"])
    deep = world.hop("one.mail.example")
    enforced = {
        "good.example": ("mx.good.example", "mx.good.example"),
        "strange.example": ("mx.strange.example", "*.strange.example"),
        "expired.example": ("mx.expired.example", "mx.expired.example"),
        "foreign.example": ("mx.foreign.example", "mx.foreign.example"),
        "clear.example": ("mx.clear.example", "mx.clear.example"),
        "unnamed.example": ("mx.good.example", "mx.elsewhere.example"),
        "wild.example": ("one.mail.example", "*.mail.example"),
        "too-deep.example": ("a.b.mail.example", "*.mail.example")}
    for domain, (host, pattern) in enforced.items():
        world.domain(domain, host, answer=policy("enforce", pattern))
        world.domain(f"testing-{domain}", host, answer=policy("testing", pattern))
    world.domain("none.example", "mx.strange.example", answer=policy("none"))
    world.domain("plain.example", "mx.strange.example")
    world.start()
    assert {domain: world.one(domain) for domain in enforced} == {
        "good.example": VERIFIED,
        "strange.example": ("deferred", "peer_not_verified", "mta_sts", False, "certificate"),
        "expired.example": ("deferred", "peer_not_verified", "mta_sts", False, "certificate"),
        "foreign.example": ("deferred", "peer_not_verified", "mta_sts", False, "certificate"),
        "clear.example": ("deferred", "tls_not_offered", "mta_sts", False, "not_offered"),
        "unnamed.example": ("deferred", "sts_mx_mismatch", "mta_sts", False, "sts_mx"),
        "wild.example": VERIFIED,
        "too-deep.example": ("deferred", "sts_mx_mismatch", "mta_sts", False, "sts_mx")}
    assert [len(hop.kept) for hop in (mx, strange, expired, foreign, clear, deep)] == [1, 0, 0, 0, 0, 1]
    # A policy that tests fails no mail, and the event says what it would have come to.
    assert {domain: world.one(f"testing-{domain}") for domain in enforced} == {
        "good.example": ("delivered", None, "opportunistic", True, "sts_testing"),
        "strange.example": ("delivered", None, "opportunistic", False, "certificate"),
        "expired.example": ("delivered", None, "opportunistic", False, "certificate"),
        "foreign.example": ("delivered", None, "opportunistic", False, "certificate"),
        "clear.example": ("delivered", None, "opportunistic", False, "not_offered"),
        "unnamed.example": ("delivered", None, "opportunistic", True, "sts_mx"),
        "wild.example": ("delivered", None, "opportunistic", True, "sts_testing"),
        "too-deep.example": ("delivered", None, "opportunistic", False, "sts_mx")}
    assert world.one("none.example") == AS_WITHOUT
    assert world.one("plain.example") == AS_WITHOUT
    way = world.explain("good.example")
    assert way["tls"] == [{"host": "mx.good.example", "tlsa": "off", "policy": "mta_sts", "refused": None}]
    assert {key: way["mta_sts"][key] for key in ("mode", "id", "mx", "trouble")} == {
        "mode": "enforce", "id": "1", "mx": ["mx.good.example"], "trouble": None}
    assert world.explain("unnamed.example")["tls"][0]["refused"] == "sts_mx_mismatch"
    assert world.explain("plain.example")["mta_sts"] is None


def test_T8_a_document_that_is_not_to_be_believed_is_none(world):
    world.hop("mx.a.example", "another.name")  # would be refused if any of these were believed
    good = policy("enforce", "mx.a.example")
    other = world.domain("other.example", "mx.a.example", answer=good)
    huge = Answer(good.body + b"x-padding: " + b"x" * (64 * 1024) + b"\r\n")
    cases = {
        "redirect.example": ({"answer": Answer(status=302, location="https://mta-sts.other.example/.well-known/mta-sts.txt")},
                             "sts-policy-fetch-error: redirect"),
        "html.example": ({"answer": Answer(good.body, type="text/html")}, "sts-policy-invalid: content_type"),
        "huge.example": ({"answer": huge}, "sts-policy-fetch-error: too_large"),
        "gone.example": ({"answer": Answer(status=404)}, "sts-policy-fetch-error: status"),
        "expired.example": ({"answer": good, "begins": -30, "ends": -1}, "sts-webpki-invalid: certificate"),
        "wrong-name.example": ({"answer": good, "web_names": ["www.wrong-name.example"]}, "sts-webpki-invalid: certificate"),
        "broken.example": ({"answer": Answer(b"version: STSv1\nmode: enforce\nmax_age: 86400\n")}, "sts-policy-invalid: mx"),
        "for-ever.example": ({"answer": policy("enforce", "mx.a.example", max_age=31557601)}, "sts-policy-invalid: max_age"),
        "two.example": ({"answer": good}, None)}
    for domain, (how_it_is, _) in cases.items():
        world.domain(domain, "mx.a.example", **how_it_is)
    world.zones["_mta-sts.two.example"]["TXT"].append("v=STSv1; id=2;")
    world.domain("nowhere.example", "mx.a.example", answer=good)
    world.zones["mta-sts.nowhere.example"] = {"A": ["127.0.0.250"]}  # nobody listens there
    world.domain("homeless.example", "mx.a.example", answer=good)
    del world.zones["mta-sts.homeless.example"]
    cases["nowhere.example"] = (None, "sts-policy-fetch-error: connect")
    cases["homeless.example"] = (None, "sts-policy-fetch-error: no_address")
    world.start()
    for domain, (_, trouble) in cases.items():
        assert world.one(domain) == AS_WITHOUT, domain
        said = world.explain(domain)["mta_sts"]
        assert (said and said["trouble"]) == trouble, domain
        assert not said or said["mode"] is None, domain
    assert other.asked == []  # where the redirect led
    assert world.one("other.example")[:2] == ("deferred", "peer_not_verified")


def test_T8_a_policy_that_holds_is_replaced_by_a_document_and_by_nothing_else(world):
    world.hop("mx.a.example")
    world.hop("mx.b.example", "another.name")
    web = world.domain("a.example", "mx.a.example", answer=policy("enforce", "mx.a.example"))
    world.start()
    refused = ("deferred", "sts_mx_mismatch", "mta_sts", False, "sts_mx")
    assert world.one("a.example") == VERIFIED
    # An attacker who owns DNS sends mail to a host of its own, and keeps us from asking for the policy in every way there is.
    world.zones["a.example"]["MX"] = [(10, "mx.b.example")]
    good = web.answer

    def attack(blocked, restore):
        blocked()
        world.forget_ways()
        assert world.one("a.example") == refused
        restore()
    record = world.zones["_mta-sts.a.example"]
    attack(lambda: record.update(TXT=[]), lambda: record.update(TXT=["v=STSv1; id=1;"]))
    attack(lambda: world.dns.habits.update({"_mta-sts.a.example": SERVFAIL}), world.dns.habits.clear)
    attack(lambda: record.update(TXT=["v=STSv1; id=2;"]) or setattr(web, "answer", Answer(status=500)), lambda: None)
    wait_until("the failure", lambda: world.explain("a.example")["mta_sts"]["trouble"] == "sts-policy-fetch-error: status")
    web.answer = good
    assert world.explain("a.example")["mta_sts"]["id"] == "1"
    # A restart keeps it, sealed: no file of the spool names the domain.
    world.restart()
    for path in (path for path in world.server.spool.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert b"a.example" not in content and b"STSv1" not in content, path
    assert (world.server.spool / "mta-sts").exists()
    asked = len(web.asked)
    world.zones["mta-sts.a.example"] = {}
    assert world.one("a.example") == refused
    assert len(web.asked) == asked
    # The same id is never fetched again before its time; a new one is, and takes effect, also when it says that there is none.
    address = f"127.0.0.{int(web.server.server_address[0].rpartition('.')[2])}"
    world.zones["mta-sts.a.example"] = {"A": [address]}
    record.update(TXT=["v=STSv1; id=1;"])
    web.answer = policy("none")
    world.forget_ways()
    assert world.one("a.example") == refused
    assert len(web.asked) == asked
    record.update(TXT=["v=STSv1; id=3;"])
    world.explain("a.example")
    wait_until("the new policy", lambda: world.explain("a.example")["mta_sts"]["mode"] == "none")
    world.forget_ways()
    assert world.one("a.example") == AS_WITHOUT


def test_T8_max_age_ends_a_policy(world):
    world.hop("mx.a.example", "another.name")
    short = world.domain("short.example", "mx.a.example", answer=policy("enforce", "mx.a.example", max_age=86400))
    world.domain("long.example", "mx.a.example", answer=policy("enforce", "mx.a.example", max_age=31557600))
    world.start()
    refused = ("deferred", "peer_not_verified", "mta_sts", False, "certificate")
    assert world.one("short.example") == refused and world.one("long.example") == refused
    short.answer = Answer(status=503)
    world.zones["_mta-sts.long.example"] = {}
    world.restart(fake_time("+2d"))  # hops' certificates are good for a month
    assert world.one("short.example") == AS_WITHOUT
    assert world.one("long.example") == refused


def test_T8_mail_of_a_domain_that_enforces_never_shares_a_connection_with_other_mail(world):
    hop = world.hop("mx.a.example", "another.name")
    good = world.hop("mx.b.example")
    world.domain("enforces.example", "mx.a.example", answer=policy("enforce", "mx.a.example"))
    world.domain("plain.example", "mx.a.example")
    world.domain("one.example", "mx.b.example", answer=policy("enforce", "mx.b.example"))
    world.domain("two.example", "mx.b.example", answer=policy("enforce", "*.b.example", max_age=86400))
    world.start(**{"deliver.timeout.idle": "30 s"})
    assert world.one("plain.example") == AS_WITHOUT
    found, events = world.deliver("plain.example", "enforces.example")
    assert found == {"plain.example": ("delivered", None), "enforces.example": ("deferred", "peer_not_verified")}
    assert len(hop.kept) == 2
    # Where two policies say the same of the hosts, one connection is good for both.
    found, events = world.deliver("one.example", "two.example")
    assert {event[1:] for event in events} == {("mta_sts", True, None)} and len(good.kept) == 1


def test_T8_an_operator_demands_a_policy_or_asks_for_none(world):
    world.hop("mx.a.example", "another.name")
    world.domain("plain.example", "mx.a.example")
    world.domain("tests.example", "mx.a.example", answer=policy("testing", "mx.a.example"))
    world.domain("enforces.example", "mx.a.example", answer=policy("enforce", "mx.a.example"))
    world.start(**{"destination.plain.example.tls": "mta-sts", "destination.tests.example.tls": "mta-sts",
                   "destination.enforces.example.tls": "opportunistic"})
    assert world.one("plain.example") == ("deferred", "sts_missing", "mta_sts", False, "sts_missing")
    assert world.one("tests.example") == ("deferred", "peer_not_verified", "mta_sts", False, "certificate")
    assert world.one("enforces.example") == ("delivered", None, "opportunistic", False, "not_asked")
    assert world.server.run_ctl("set", "tls.mta_sts = no").returncode != 0  # two destinations rest on it


def test_a_silent_web_server_holds_up_no_other_mail(world):
    world.hop("mx.a.example")
    web = world.domain("silent.example", "mx.a.example", answer=Answer(silent=True))
    world.domain("plain.example", "mx.a.example")
    world.start()
    with Client(world.server.port) as client:
        client.send("a@client.example", ["b@silent.example"], MESSAGE)
    wait_until("the request", lambda: web.asked, meanwhile=world.server.must_run)
    assert world.one("plain.example") == AS_WITHOUT
    assert [recipient["attempts"] for recipient in world.server.recipients()] == [0]
    web.released.set()
    world.server.wait_delivered()
