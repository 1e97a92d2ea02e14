#!/usr/bin/python3
"""MTA-STS on the real thing: policies from web servers at port 443 of the loopback, next hops at port 25, DNS of the test's own (T8)."""
import contextlib
import json
import os

import pytest
from certificates import Authority
from dns_server import SERVFAIL, DnsServer
from server import Client, Server, TlsSink, wait_until
from web_server import Answer, WebServer

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"
WEEK_S = 7 * 86400

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ports 25 and 443 need root")


def policy(mode, *mx, max_age=WEEK_S, **more):
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in mx), f"max_age: {max_age}"]
    return Answer(("\r\n".join(lines) + "\r\n").encode(), **more)


class World:
    """DNS, an authority that the server trusts, and hosts at addresses of their own."""

    def __init__(self, home, stack):
        self.home, self.stack = home, stack
        (home / "authority").mkdir(mode=0o755)
        self.authority = Authority(home / "authority")
        self.authority.trust.chmod(0o644)
        self.zones = {"": {"SOA": [60]}}
        self.dns = stack.enter_context(DnsServer(self.zones, ttl=0, negative_ttl=0))
        self.next_address = 40
        self.server = None

    def address(self):
        self.next_address += 1
        return f"127.0.0.{self.next_address}"

    def hop(self, name, *names, authority=None, **how):
        """A mail host called `name`, with a certificate for `names` (else for its own)."""
        address = self.address()
        self.zones[name] = {"A": [address]}
        folder = self.home / address
        folder.mkdir()
        trusted = authority or self.authority
        other = Authority.__new__(Authority)
        other.__dict__.update(trusted.__dict__, folder=folder)
        return self.stack.enter_context(TlsSink(other, *(names or [name]), host=address, port=25, **how))

    def domain(self, name, *mx, answer=None, record="v=STSv1; id=1;", web_names=None, **how):
        """A domain with these mail hosts, and with a policy if there is an `answer`. Returns its web server."""
        self.zones[name] = {"MX": [(10, host) for host in mx]}
        if answer is None:
            return None
        address = self.address()
        self.zones[f"_mta-sts.{name}"] = {"TXT": [record]}
        self.zones[f"mta-sts.{name}"] = {"A": [address]}
        return self.stack.enter_context(WebServer(address, self.authority, *(web_names or [f"mta-sts.{name}"]), answer=answer, **how))

    def start(self, **settings):
        self.server = self.stack.enter_context(Server(self.home, route="mx", settings={
            "shards": "1", "dns.servers": self.dns.servers, "dns.allow_private": "yes", "retry.first": "600 s",
            "tls.trust_file": self.authority.trust, **settings}))
        self.wait_for_dns(1)
        return self.server

    def wait_for_dns(self, starts):
        """Until the server knows that nothing is proven here: events say so."""
        wait_until("the resolver's test", lambda: self.server.said().count("DANE IS OFF") == starts, meanwhile=self.server.must_run)

    def restart(self, environment=None):
        self.server.stop()
        if environment:
            self.server.environment.update(environment)
        starts = self.server.said().count("DANE IS OFF") + 1
        self.server.start()
        self.wait_for_dns(starts)

    def deliver(self, *domains):
        """By domain: state, reason, and of the newest event how the connection was secured: policy, verified, why it is not better."""
        server, before = self.server, len(self.server.audit_lines())
        with Client(server.port) as client:
            client.send("a@client.example", [f"b@{domain}" for domain in domains], MESSAGE)

        def look():
            events = [event for event in server.audit_lines()[before:] if event["event"].startswith("recipient_")]
            return events if len(events) >= len(domains) else None
        events = wait_until("an event for each", look, meanwhile=server.must_run)
        found = {}
        by_message = {each["address"].partition("@")[2]: each for message in server.queue() for each in message["recipients"]
                      if message["id"] == events[0]["message"]}
        for domain in domains:
            at_hand = by_message.get(domain) or {"state": "delivered", "reason": None}
            found[domain] = (at_hand["state"], at_hand["reason"])
        return found, sorted((event["event"].removeprefix("recipient_"), *how(event)) for event in events)

    def one(self, domain):
        """state, reason, policy, verified, why not better of one delivery."""
        found, ((state, *secured),) = self.deliver(domain)
        assert found[domain][0] == state
        return (*found[domain], *secured)

    def explain(self, domain):
        (line,) = self.server.ctl("explain", f"b@{domain}", "--json").splitlines()
        return json.loads(line)

    def forget_ways(self):
        """Mail asks for its way anew: what a way was found to be is kept for half a minute, whatever DNS's TTL."""
        wait = "31 s" if "idle = 31 s" not in self.server.ctl("get", "deliver.timeout.idle") else "32 s"
        self.server.ctl("set", f"deliver.timeout.idle = {wait}")


def how(event):
    tls = event.get("tls")
    return (tls["policy"], tls["verified"], tls["why_not_better"]) if tls else (None, None, None)


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


def fake_time(offset):
    """The environment of a server whose wall clock is wrong by `offset`; its timers are not."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
    if not os.path.exists(library):
        pytest.skip("faketime is not installed")
    return {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


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


def test_a_silent_web_server_holds_up_no_login_and_no_other_mail(world):
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
