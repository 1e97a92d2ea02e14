"""Reports to senders, read by other people's programs: python3-flufl.bounce and Python's email must find the failed address and its status
in every report we make. Run by Meson, which names the program that prints reports in RINGPOST_PRINT_REPORTS."""
import email
import email.policy
import json
import os
import pathlib
import re
import subprocess

import pytest

PROGRAM = os.environ.get("RINGPOST_PRINT_REPORTS") or str(
    pathlib.Path(os.environ.get("RINGPOST_BUILD", "build")) / "tests/integration/print-reports")
REPORTS = 1000


@pytest.fixture(scope="module")
def reports():
    done = subprocess.run([PROGRAM, str(REPORTS)], capture_output=True, check=True)
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(made) == REPORTS
    return [(bytes(report["message"]), report) for report in made]


def unembedded(address):
    """utf-8-addr-xtext of RFC 6533 section 3, or a plain address."""
    return re.sub(r"\\x\{([0-9A-F]+)\}", lambda match: chr(int(match[1], 16)), address)


def groups(text):
    """The blocks of a delivery status, read as RFC 3464 says: name, colon, value, folded lines, blank lines between."""
    blocks = []
    for block in re.split(r"\r?\n\r?\n", text.strip()):
        fields = {}
        for line in re.sub(r"\r?\n[ \t]+", " ", block).splitlines():
            name, value = line.split(":", 1)
            assert name not in fields, f"{name} twice"
            fields[name] = value.strip()
        blocks.append(fields)
    return blocks


def status_blocks(message):
    part = message.get_payload()[1]
    if part.get_content_type() == "message/delivery-status":
        return [{name: " ".join(value.split()) for name, value in block.items()} for block in part.get_payload()]
    assert part.get_content_type() == "message/global-delivery-status"
    raw = bytes(message).split(b"message/global-delivery-status", 1)[1].split(b"\n\n", 1)[1].split(b"\n--=_", 1)[0]
    return groups(raw.decode("utf-8"))


def test_every_report_is_fit_for_the_wire(reports):
    for raw, report in reports:
        assert raw.endswith(b"\r\n") and b"\0" not in raw
        lines = raw.split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line for line in lines), "E33: only CRLF ends a line"
        assert max(map(len, lines)) <= 998
        assert report["eight_bit"] == any(octet > 127 for octet in raw)
        header = raw.split(b"\r\n\r\n", 1)[0]
        assert report["smtputf8"] or header.isascii()
        assert report["smtputf8"] == (not report["sender"].isascii())


def test_every_report_says_what_it_is(reports):
    for raw, report in reports:
        message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
        assert not message.defects
        assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example.org>"
        assert message["To"] == f"<{report['sender']}>" or str(message["To"]) == report["sender"]
        assert message["Auto-Submitted"] == "auto-replied" and message["MIME-Version"] == "1.0"
        assert message["Message-ID"].endswith("@mx.example.org>") and message["Date"].datetime.timestamp() == 1_800_000_060
        assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
        assert len(message.get_payload()) == 3
        assert [part.defects for part in message.walk() if part.defects] in ([], ) or not report["smtputf8"]


def test_python_finds_every_recipient_with_action_and_status(reports):
    for raw, report in reports:
        message = email.message_from_bytes(raw)
        about, *found = status_blocks(message)
        assert about["Reporting-MTA"] == "dns; mx.example.org"
        assert about.get("Original-Envelope-Id") == ("QQ+314159" if report["envelope_id"] else None)
        assert len(found) == len(report["recipients"]), "N3: no text makes a group of its own"
        for block, meant in zip(found, report["recipients"]):
            kind, address = block["Final-Recipient"].split("; ", 1)
            assert (kind == "rfc822") == meant["address"].isascii()
            assert unembedded(address) == meant["address"]
            assert block["Action"] == meant["action"] and block["Status"] == meant["status"]
            if meant["code"]:
                assert block["Diagnostic-Code"].startswith(f"smtp; {meant['code']}")
                assert block["Status"][0] == str(meant["code"])[0], "the class is the code's first digit"
            assert set(block) <= {"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
                                  "Last-Attempt-Date", "Will-Retry-Until"}


def as_flufl_sees_it(meant):
    """It takes Original-Recipient if there is one, knows the type rfc822 only, cuts addresses at `=` and `;`, and reads no literals. None: beyond it."""
    if meant["original"] not in ("", "rfc822;Orig+2Btag@example.org"):
        return None
    address = "Orig+tag@example.org" if meant["original"] else meant["address"]
    return address if address.isascii() and not set(address) & set("=;[\"") else None


def test_flufl_finds_every_failed_and_delayed_recipient(reports):
    bounce = pytest.importorskip("flufl.bounce", reason="the package python3-flufl.bounce is not installed")
    exact = looked_for = 0
    for raw, report in reports:
        if report["smtputf8"]:  # it does not know message/global-delivery-status (RFC 6533)
            continue
        temporary, permanent = bounce.all_failures(email.message_from_bytes(raw))
        for action, found in (("failed", permanent), ("delayed", temporary)):
            meant = [as_flufl_sees_it(one) for one in report["recipients"] if one["action"] == action]
            wanted = {address.encode() for address in meant if address}
            assert wanted <= set(found)
            looked_for += len(wanted)
            if None not in meant:
                assert wanted == set(found), "N3: nobody else has failed"
                exact += 1
    assert looked_for > REPORTS / 2 and exact > REPORTS / 2
