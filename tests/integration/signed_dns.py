"""A signed world of DNS on the loopback: nsd serves it, unbound validates it from its own root down.

    world = SignedDns(folder, "good.example. MX 10 mx.good.example.\nmx.good.example. A 127.0.0.21\n",
                      unsigned={"plain.": "..."}, broken={"forged.": "..."})
    with world: ... world.servers is the value for dns.servers

All of it is one signed root zone, but for the zones named beside it: `unsigned` ones have no DS record; `broken` ones have one, and no signatures.
"""
import pathlib
import shutil
import subprocess

from server import free_port, wait_until

PROGRAMS = ("nsd", "unbound", "ldns-keygen", "ldns-signzone", "drill")
SOA = "{zone} 60 IN SOA ns. hostmaster. 1 3600 600 86400 5\n{zone} 60 IN NS ns.\n"


def missing_programs():
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return [program for program in PROGRAMS if not shutil.which(program, path=path)]


class SignedDns:
    def __init__(self, folder, records, unsigned=None, broken=None):
        self.folder = pathlib.Path(folder) / "dns"
        self.folder.mkdir()
        self.unsigned, self.broken = unsigned or {}, broken or {}
        self.nsd_port, self.port = free_port(), free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self.processes = []
        self._sign(records)
        self._write_configurations()

    def _run(self, *command):
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def _sign(self, records):
        for zone, content in {**self.unsigned, **self.broken}.items():
            (self.folder / f"{zone}zone").write_text("$TTL 60\n" + SOA.format(zone=zone) + content)
            records += f"{zone} NS ns.\n"
        for zone in self.broken:
            records += f"{zone} DS 12345 13 2 {'ab' * 32}\n"
        (self.folder / "root.zone").write_text("$ORIGIN .\n$TTL 60\n" + SOA.format(zone=".") + "ns. A 127.0.0.1\n" + records)
        signing = self._run("ldns-keygen", "-a", "ECDSAP256SHA256", ".").strip()
        anchor = self._run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", ".").strip()
        self._run("ldns-signzone", "-o", ".", "-f", "root.signed", "root.zone", signing, anchor)
        (self.folder / "anchor").write_text((self.folder / f"{anchor}.key").read_text())

    def _write_configurations(self):
        zones = {".": "root.signed", **{zone: f"{zone}zone" for zone in (*self.unsigned, *self.broken)}}
        (self.folder / "nsd.conf").write_text(
            f'server:\n  ip-address: 127.0.0.1@{self.nsd_port}\n  username: ""\n  chroot: ""\n  zonesdir: "{self.folder}"\n'
            f'  pidfile: "{self.folder}/nsd.pid"\n  database: ""\n  zonelistfile: "{self.folder}/zone.list"\n  xfrdfile: "{self.folder}/xfrd.state"\n'
            f'  xfrdir: "{self.folder}"\n  server-count: 1\nremote-control:\n  control-enable: no\n'
            + "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{file}"\n' for zone, file in zones.items()))
        (self.folder / "unbound.conf").write_text(
            f'server:\n  interface: 127.0.0.1@{self.port}\n  username: ""\n  chroot: ""\n  directory: "{self.folder}"\n  pidfile: ""\n  use-syslog: no\n'
            '  do-daemonize: no\n  do-not-query-localhost: no\n  module-config: "validator iterator"\n  trust-anchor-file: "anchor"\n  ede: yes\n'
            '  do-ip6: no\n  num-threads: 1\nremote-control:\n  control-enable: no\n'
            + "".join(f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{self.nsd_port}\n' for zone in zones))

    def _start(self, name, *command):
        log = (self.folder / f"{name}.log").open("wb")
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder))

    def __enter__(self):
        try:
            self._start("nsd", "/usr/sbin/nsd", "-d", "-c", str(self.folder / "nsd.conf"))
            self._start("unbound", "/usr/sbin/unbound", "-d", "-p", "-c", str(self.folder / "unbound.conf"))
            wait_until("a proof of the root's SOA", self._proves, meanwhile=self.must_run)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _proves(self):
        asked = subprocess.run(["drill", "-D", "-p", str(self.port), ".", "SOA", "@127.0.0.1"], capture_output=True, text=True, timeout=30)
        return any(line.startswith(";; flags:") and " ad " in line for line in asked.stdout.splitlines())

    def must_run(self):
        for name, process in zip(("nsd", "unbound"), self.processes):
            assert process.poll() is None, f"{name} ended: " + (self.folder / f"{name}.log").read_text(errors="replace")

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
