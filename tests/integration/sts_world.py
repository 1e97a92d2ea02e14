"""Domains with MTA-STS policies at web servers on port 443 of the loopback, their mail hosts on port 25, and DNS of a test's own."""
import json
import os

import pytest
from certificates import Authority
from dns_server import DnsServer
from server import Client, Server, TlsSink, wait_until
from web_server import Answer, WebServer

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"
WEEK_S = 7 * 86400


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

    def web(self, name, answer):
        """A web server called `name`."""
        address = self.address()
        self.zones[name] = {"A": [address]}
        return self.stack.enter_context(WebServer(address, self.authority, name, answer=answer))

    def start(self, how=None, **settings):
        """`how`: arguments of Server."""
        self.server = self.stack.enter_context(Server(self.home, route="mx", **(how or {}), settings={
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


# ---- the clock

def fake_time(offset):
    """The environment of a server whose wall clock is wrong by `offset`; its timers are not."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
    if not os.path.exists(library):
        pytest.skip("faketime is not installed")
    return {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
