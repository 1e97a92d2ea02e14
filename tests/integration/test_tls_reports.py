#!/usr/bin/python3
"""SMTP TLS Reporting on the real thing: what connections came to is counted over a restart, and reported by HTTPS when the day is over (T6)."""
import contextlib
import datetime
import gzip
import json
import os

import pytest
from certificates import Authority
from server import wait_until
from sts_world import World, fake_time, policy
from web_server import Answer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ports 25 and 443 need root")
NOON_S, DAY_S = 12 * 3600, 86400


class Reports(World):
    """Every domain wants its reports from one web server, by a path of its own. The server's day is young."""

    def __init__(self, home, stack):
        super().__init__(home, stack)
        self.collector = self.web("report.example", Answer(status=201))
        now = datetime.datetime.now(datetime.timezone.utc)
        self.offset = NOON_S - (now.hour * 3600 + now.minute * 60 + now.second)
        self.day = now.date()

    def wants(self, domain, *uris):
        self.zones[f"_smtp._tls.{domain}"] = {"TXT": ["v=TLSRPTv1; rua=" + ",".join(uris or [f"https://report.example/{domain}"])]}

    def start(self, **settings):
        return super().start({"environment": fake_time(f"{self.offset:+d}s")}, **{
            "tls_report.contact": "tls@relay.example.com", "tls_report.organization": "Relay Example", **settings})

    def days_later(self, days):
        self.restart(fake_time(f"{self.offset + days * DAY_S:+d}s"))

    def wait_sent(self, count):
        """Until the server has heard that so many were taken: what it did not hear of it sends again."""
        line = 'ringpost_tls_reports_sent_total{shard="0"} %d\n' % count
        wait_until("the last answer", lambda: line in self.server.ctl("metrics"), meanwhile=self.server.must_run)

    def reports(self, count):
        """By domain, once so many have come in all."""
        wait_until("the reports", lambda: len(self.collector.posted) >= count, meanwhile=self.server.must_run)
        found = {}
        for path, header, body in self.collector.posted:
            assert header["Content-Type"] == "application/tlsrpt+gzip"
            found[path.removeprefix("/")] = json.loads(gzip.decompress(body))
        return found


@pytest.fixture
def world(home):
    with contextlib.ExitStack() as stack:
        yield Reports(home, stack)


def only(report):
    (policy_report,) = report["policies"]
    return policy_report


def test_T6_each_failure_is_reported_by_its_type(world):
    world.hop("mx.good.example")
    world.hop("mx.strange.example", "another.name")
    world.hop("mx.expired.example", begins=-30, ends=-2)
    world.hop("mx.foreign.example", authority=Authority(world.home))  # which has the name of the one that is trusted
    world.hop("mx.clear.example", offers=False)
    cases = {  # type, successful sessions, failed ones, result type and reason
        "good.example": ("enforce", "mx.good.example", "mx.good.example", ("sts", 1, 0, None)),
        "strange.example": ("enforce", "mx.strange.example", "mx.strange.example", ("sts", 0, 1, ("certificate-host-mismatch", "wrong_name"))),
        "expired.example": ("enforce", "mx.expired.example", "mx.expired.example", ("sts", 0, 1, ("certificate-expired", "expired"))),
        "foreign.example": ("testing", "mx.foreign.example", "mx.foreign.example", ("sts", 0, 1, ("certificate-not-trusted", "bad_chain"))),
        "clear.example": ("testing", "mx.clear.example", "mx.clear.example", ("sts", 0, 1, ("starttls-not-supported", None))),
        "unnamed.example": ("testing", "mx.good.example", "mx.other.example", ("sts", 0, 1, ("validation-failure", "mx_not_in_policy")))}
    for domain, (mode, host, pattern, _) in cases.items():
        world.domain(domain, host, answer=policy(mode, pattern))
    world.domain("unfetched.example", "mx.good.example", answer=Answer(status=404))
    world.domain("invalid.example", "mx.good.example", answer=policy("enforce"))
    world.domain("webpki.example", "mx.good.example", answer=policy("enforce", "mx.good.example"), begins=-30, ends=-2)
    world.domain("plain.example", "mx.strange.example")
    world.domain("bare.example", "mx.clear.example")
    expected = {domain: case[3] for domain, case in cases.items()}
    expected |= {"unfetched.example": ("sts", 0, 1, ("sts-policy-fetch-error", "status")),
                 "invalid.example": ("sts", 0, 1, ("sts-policy-invalid", "mx")),
                 "webpki.example": ("sts", 0, 1, ("sts-webpki-invalid", "certificate")),
                 "plain.example": ("no-policy-found", 1, 0, None),
                 "bare.example": ("no-policy-found", 0, 1, ("starttls-not-supported", None))}
    for domain in expected:
        world.wants(domain)
    world.domain("silent.example", "mx.good.example")  # wants no report
    world.start()
    for domain in (*expected, "silent.example"):
        world.one(domain)
    assert world.collector.posted == []
    world.days_later(2)
    reports = world.reports(len(expected))
    assert set(reports) == set(expected)
    for domain, report in reports.items():
        said = only(report)
        kind, successful, failed, failure = expected[domain]
        assert (said["policy"]["policy-type"], said["policy"]["policy-domain"]) == (kind, domain)
        assert said["summary"] == {"total-successful-session-count": successful, "total-failure-session-count": failed}, domain
        if failure is None:
            assert "failure-details" not in said, domain
            continue
        (detail,) = said["failure-details"]
        assert (detail["result-type"], detail.get("failure-reason-code")) == failure, domain
        assert detail["failed-session-count"] == 1 and detail["sending-mta-ip"].startswith("127."), domain
        assert detail["receiving-mx-hostname"] == world.zones[domain]["MX"][0][1], domain
        assert detail["receiving-ip"] == world.zones[detail["receiving-mx-hostname"]]["A"][0], domain
    good = reports["good.example"]
    assert (good["organization-name"], good["contact-info"]) == ("Relay Example", "tls@relay.example.com")
    assert good["date-range"] == {"start-datetime": f"{world.day}T00:00:00Z", "end-datetime": f"{world.day}T23:59:59Z"}
    assert good["report-id"] == f"{world.day}.good.example@relay.example.com"
    assert only(good)["policy"] == {"policy-type": "sts", "policy-domain": "good.example", "mx-host": ["mx.good.example"],
                                    "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.good.example", "max_age: 604800"]}
    world.wait_sent(len(expected))


def test_sessions_are_counted_once_and_over_restarts(world):
    world.hop("mx.a.example")
    world.domain("a.example", "mx.a.example", answer=policy("enforce", "mx.a.example"))
    world.domain("b.example", "mx.a.example", answer=policy("enforce", "mx.a.example"))
    for domain in ("a.example", "b.example"):
        world.wants(domain)
    world.start(**{"deliver.timeout.idle": "60 s"})
    for _ in range(3):  # one connection carries all of it
        world.one("a.example")
    world.one("b.example")
    world.days_later(0)
    world.one("a.example")  # another one
    for path in (path for path in world.server.spool.rglob("*") if path.is_file()):
        assert b"a.example" not in path.read_bytes(), path
    world.days_later(2)
    reports = world.reports(2)
    counts = {domain: only(report)["summary"]["total-successful-session-count"] for domain, report in reports.items()}
    assert counts == {"a.example": 2, "b.example": 1}


def test_a_report_that_is_not_taken_is_sent_again_and_one_that_is_taken_is_not(world):
    world.hop("mx.a.example")
    world.domain("a.example", "mx.a.example")
    world.domain("m.example", "mx.a.example")
    other = world.web("other.example", Answer(status=200))
    world.wants("a.example", "https://report.example/a.example", "https://other.example/also", "mailto:tls@a.example")
    world.wants("m.example", "mailto:tls@m.example")
    world.start()
    world.one("a.example")
    world.one("m.example")
    world.collector.answer = Answer(status=503)
    world.days_later(2)
    first = world.reports(1)["a.example"]
    wait_until("the other target's", lambda: other.posted, meanwhile=world.server.must_run)
    wait_until("what status says", lambda: world.server.status()["tls_reports_waiting"], meanwhile=world.server.must_run)
    assert world.server.status()["tls_reports_waiting"].startswith("1 were wanted by mail alone")
    world.collector.answer = Answer(status=201)
    world.days_later(3)
    assert world.reports(2)["a.example"] == first
    world.wait_sent(1)
    world.days_later(4)
    world.one("a.example")
    assert len(world.collector.posted) == 2 and len(other.posted) == 1


def test_nothing_is_counted_without_a_contact(world):
    world.hop("mx.a.example")
    world.domain("a.example", "mx.a.example")
    world.wants("a.example")
    world.start(**{"tls_report.contact": None})
    world.one("a.example")
    world.server.stop()
    assert not (world.server.spool / "tls-reports").exists()
