#!/usr/bin/python3
"""DANE on the real thing: zones signed by ldns-signzone, served by nsd, validated by unbound; next hops at port 25 of the loopback."""
import contextlib
import hashlib
import json
import os
import pathlib

import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns_server import DnsServer
from server import Client, Server, TlsSink, wait_until
from signed_dns import SignedDns, missing_programs

MESSAGE = b"Subject: s\r\n\r\nhello\r\n"

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="port 25 needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason=f"missing: {missing_programs()}")]


class Hop(TlsSink):
    """A sink with a certificate of its own, and what TLSA records would say of it. `sends_authority`: the chain has it, too."""

    def __init__(self, home, address, name, sends_authority=False):
        folder = pathlib.Path(home) / address
        folder.mkdir()
        self.authority = Authority(folder)
        self.sends_authority = sends_authority
        super().__init__(self, name, host=address, port=25)

    def files(self, *names, **how):
        made = self.authority.files(*names, **how)
        chain = next(iter(made.values()))
        self.certificate = x509.load_pem_x509_certificate(chain.read_bytes())
        if self.sends_authority:
            chain.write_bytes(chain.read_bytes() + self.authority.trust.read_bytes())
        return made

    def tlsa(self, usage, selector=1):
        certificate = self.authority.certificate if usage in (0, 2) else self.certificate
        selected = (certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if selector
                    else certificate.public_bytes(Encoding.DER))
        return f"TLSA {usage} {selector} 1 {hashlib.sha256(selected).hexdigest()}"


def deliver(server, recipients):
    """state, reason and the event's `tls` of each recipient, once each was tried."""
    with Client(server.port) as client:
        client.send("a@client.example", recipients, MESSAGE)

    def tried():
        found = {each["address"]: (each["state"], each["reason"]) for each in server.recipients() if each["attempts"]}
        return found if len(found) == len(recipients) else None
    return wait_until("an attempt for each", tried, meanwhile=server.must_run)


def how(server, state, policy, why):
    """Some event of this kind has this result."""
    def look():
        return [event for event in server.audit_lines() if event["event"] == f"recipient_{state}" and "tls" in event
                and (event["tls"]["policy"], event["tls"]["why_not_better"]) == (policy, why)]
    return wait_until(f"{state} {policy} {why} in the audit stream", look, meanwhile=server.must_run)[0]


def test_T7_each_kind_of_proof_has_its_outcome(home):
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(Hop(home, "127.0.0.21", "another.name"))
        vouched = stack.enter_context(Hop(home, "127.0.0.22", "vouched.example", sends_authority=True))
        other = stack.enter_context(Hop(home, "127.0.0.23", "mx.other.example"))
        records = f"""
good.example. MX 10 mx.good.example.
mx.good.example. A 127.0.0.21
_25._tcp.mx.good.example. {good.tlsa(3)}
_25._tcp.mx.good.example. {other.tlsa(3)}
alias.example. MX 10 mx.alias.example.
mx.alias.example. CNAME mx.good.example.
vouched.example. MX 10 mx.vouched.example.
mx.vouched.example. A 127.0.0.22
_25._tcp.mx.vouched.example. {vouched.tlsa(2, 0)}
wrong.example. MX 10 mx.wrong.example.
mx.wrong.example. A 127.0.0.23
_25._tcp.mx.wrong.example. {good.tlsa(3)}
pkix.example. MX 10 mx.pkix.example.
mx.pkix.example. A 127.0.0.23
_25._tcp.mx.pkix.example. {good.tlsa(1)}
port.example. MX 10 mx.port.example.
mx.port.example. A 127.0.0.23
_26._tcp.mx.port.example. {good.tlsa(3)}
bogus.example. MX 10 mx.bogus.example.
mx.bogus.example. A 127.0.0.23
"""
        plain = f"x.plain. MX 10 mx.plain.\ny.plain. MX 10 mx.plain.\nmx.plain. A 127.0.0.23\n_25._tcp.mx.plain. {good.tlsa(3)}\n"
        world = stack.enter_context(SignedDns(home, records, unsigned={"plain.": plain}, broken={
            "_tcp.mx.bogus.example.": f"_25._tcp.mx.bogus.example. {other.tlsa(3)}\n",
            "forged.": "x.forged. MX 10 mx.good.example.\n"}))
        server = stack.enter_context(Server(home, route="mx", settings={
            "shards": "1", "dns.servers": world.servers, "dns.allow_private": "yes", "retry.first": "600 s", "destination.y.plain.tls": "dane"}))
        wait_until("the resolver's test", lambda: 'ringpost_dns_validating{shard="0"} 1' in server.ctl("metrics"), meanwhile=server.must_run)
        assert deliver(server, [f"a@{domain}" for domain in (
            "good.example", "alias.example", "vouched.example", "wrong.example", "pkix.example", "port.example", "bogus.example",
            "x.plain", "y.plain", "x.forged")]) == {
                "a@good.example": ("delivered", None),
                "a@alias.example": ("delivered", None),
                "a@vouched.example": ("delivered", None),
                "a@wrong.example": ("deferred", "tlsa_mismatch"),
                "a@pkix.example": ("delivered", None),
                "a@port.example": ("delivered", None),
                "a@bogus.example": ("deferred", "tlsa_unavailable"),
                "a@x.plain": ("delivered", None),
                "a@y.plain": ("deferred", "tlsa_missing"),
                "a@x.forged": ("deferred", "dns_temporary")}
        assert [len(hop.kept) for hop in (good, vouched, other)] == [2, 1, 3]
        assert {version for hop in (good, vouched, other) for version, _ in hop.kept} == {"TLSv1.3"}
        proven = how(server, "delivered", "dane", None)["tls"]
        assert proven["verified"] and proven["version"] == "TLSv1.3" and proven["suite"].startswith("TLS_"), proven
        for state, policy, why in [("deferred", "dane", "certificate"), ("delivered", "encrypt", "tlsa_unusable"),
                                   ("delivered", "opportunistic", "no_tlsa"), ("delivered", "opportunistic", "dns_insecure"),
                                   ("deferred", "dane", "tlsa_unavailable"), ("deferred", "dane", "dns_insecure")]:
            assert not how(server, state, policy, why)["tls"]["verified"]
        (way,) = [json.loads(line) for line in server.ctl("explain", "a@good.example", "--json").splitlines()]
        assert way["tls"] == [{"host": "mx.good.example", "tlsa": "found", "policy": "dane", "refused": None}]


def test_T7_a_resolver_that_does_not_validate_turns_dane_off_and_says_so(home):
    zones = {"": {"SOA": [60]}, "x.example": {"MX": [(10, "mx.example")]}, "y.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.24"]}}
    with Hop(home, "127.0.0.24", "mx.example") as hop, DnsServer(zones) as dns:
        zones["_25._tcp.mx.example"] = {"TLSA": [(3, 1, 1, bytes(32))]}
        with Server(home, route="mx", settings={"shards": "1", "dns.servers": dns.servers, "dns.allow_private": "yes", "retry.first": "600 s",
                                                "destination.y.example.tls": "dane"}) as server:
            wait_until("the warning", lambda: "DANE IS OFF" in server.said(), meanwhile=server.must_run)
            assert 'ringpost_dns_validating{shard="0"} 0' in server.ctl("metrics")
            assert deliver(server, ["a@x.example", "a@y.example"]) == {"a@x.example": ("delivered", None),
                                                                     "a@y.example": ("deferred", "resolver_not_validating")}
            assert [version for version, _ in hop.kept] == ["TLSv1.3"]
            assert ("_25._tcp.mx.example", "TLSA") not in dns.asked
            assert how(server, "deferred", "dane", "resolver_not_validating")
