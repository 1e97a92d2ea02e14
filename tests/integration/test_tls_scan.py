#!/usr/bin/python3
"""What testssl finds at our listeners: nothing but what docs/tls.md keeps. RINGPOST_TLS_SCAN=whole (tools/tls-scan) leaves no check out."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from certificates import Authority
from server import PATIENCE_S, wait_until
from test_tls import HOST, TlsServer

pytestmark = pytest.mark.alone

SCAN_S = 900
WHOLE = os.environ.get("RINGPOST_TLS_SCAN") == "whole"
# Protocols, categories of ciphers, server defaults with the certificate, vulnerabilities; the rest simulates clients
# and lists what these have found in another order.
CHECKS = [] if WHOLE else ["-p", "-s", "-S", "-U"]
COUNTS = {"LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"}
# What must have been looked at, and not ended in a WARN of the scanner's own: a scan that fell silent would find nothing, too.
LOOKED_AT = {"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW",
             "heartbleed", "CCS", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST",
             "LUCKY13", "RC4", "cert_chain_of_trust", "cert_trust"}
DOCS = pathlib.Path(__file__).parents[2] / "docs/tls.md"


def kept():
    """The findings that docs/tls.md gives a reason for."""
    return set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.M))


class Scan:
    def __init__(self, home, server, name, port, *options):
        self.name, self.out, self.log = name, home / f"{name}.json", home / f"{name}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "min", "--ip", "127.0.0.1", "--add-ca", server.authority.trust,
                 "--jsonfile", self.out, *CHECKS, *options, f"{HOST}:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home)

    def findings(self):
        return json.loads(self.out.read_text())


@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl is not installed")
def test_T1_a_scan_finds_nothing_but_what_is_kept(home):
    authority = Authority(home)
    certificates = {**authority.files("a", HOST, ends=80), **authority.files("b", HOST, kind="rsa", ends=80)}
    with TlsServer(home, authority, certificates, **{"limits.connections_per_client": "1000"}) as server:
        scans = [Scan(home, server, "starttls", server.port, "-t", "smtp"), Scan(home, server, "implicit", server.implicit)]
        try:
            wait_until("the scans", lambda: all(scan.process.poll() is not None for scan in scans), SCAN_S, server.must_run)
        finally:
            for scan in scans:
                scan.process.terminate()
                scan.process.wait(PATIENCE_S)
        for scan in scans:
            found = scan.findings()
            looked_at = {each["id"].split(" ")[0] for each in found if each["severity"] != "WARN"}
            assert LOOKED_AT <= looked_at, (scan.name, LOOKED_AT - looked_at, scan.log.read_text())
            bad = {each["id"].split(" ")[0]: (each["severity"], each["finding"]) for each in found if each["severity"] in COUNTS}
            assert not {id: what for id, what in bad.items() if id not in kept()}, scan.name
            assert [each["finding"] for each in found if each["id"] in ("TLS1", "TLS1_1")] == ["not offered"] * 2
            if WHOLE:
                print(scan.log.read_text())
