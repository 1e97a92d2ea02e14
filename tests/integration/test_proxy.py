#!/usr/bin/python3
"""Clients behind proxies: HAProxy in front of a listener, and whoever would like to be taken for one."""
import contextlib
import shutil
import smtplib
import socket
import ssl
import subprocess

import pytest
from certificates import Authority
from server import BenchSink, PATIENCE_S, Server, free_port, wait_until

HOST = "relay.example.com"
CLIENT = "127.0.0.66"
HEADER = b"PROXY TCP4 127.0.0.66 127.0.0.1 4711 25\r\n"


class ProxiedServer(Server):
    """`port` is direct; `proxied` and `implicit` stand behind proxies at 127.0.0.1. Only CLIENT may relay."""

    def __init__(self, home, route="hold", **settings):
        self.proxied, self.implicit, self.authority = free_port(), free_port(), Authority(home)
        of_proxies = {"proxy_protocol": "required", "proxy_peers": "127.0.0.1"}
        super().__init__(home, route, settings={
            "relay.clients": f"{CLIENT}/32",
            "listener.proxied.address": f"127.0.0.1:{self.proxied}", "listener.proxied.tls": "offered",
            "listener.smtps.address": f"127.0.0.1:{self.implicit}", "listener.smtps.tls": "implicit",
            **{f"listener.{name}.{key}": value for name in ("proxied", "smtps") for key, value in of_proxies.items()},
            **self.authority.files("main", HOST), **settings})


    def clients(self):
        """The client of each accepted message, as the audit log has it."""
        return [line["client"] for line in self.audited("message_accepted")]


class HaProxy:
    """Passes connections on, with a header of version 1 and 2, and checks our health with the same."""

    def __init__(self, home, server):
        self.v1, self.v2, self.tls, self.stats = (free_port() for _ in range(4))
        ways = {"v1": (self.v1, server.proxied, "send-proxy"), "v2": (self.v2, server.proxied, "send-proxy-v2"),
                "tls": (self.tls, server.implicit, "send-proxy-v2")}
        parts = [f"global\n  stats socket {home}/haproxy.sock level admin",
                 "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
                 "  timeout check 60s"]  # else as long as the checks are apart
        for name, (port, target, how) in ways.items():
            health = "" if name == "tls" else "  option smtpchk EHLO haproxy.example.com\n"
            check = "" if name == "tls" else "check inter 100 check-" + ("send-proxy" if how == "send-proxy" else how.removesuffix("-v2"))
            parts.append(f"listen {name}\n  bind 127.0.0.1:{port}\n{health}  server r 127.0.0.1:{target} {how} {check}")
        self.config = home / "haproxy.cfg"
        self.config.write_text("\n".join(parts) + "\n")
        self.log, self.control = home / "haproxy.log", home / "haproxy.sock"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", self.config], stdout=log, stderr=log)
        wait_until("HAProxy", lambda: self.control.exists(), meanwhile=self.must_run)
        return self

    def must_run(self):
        assert self.process.poll() is None, self.log.read_text()

    def health(self):
        """Of each of its servers that is checked: "UP" or "DOWN", and what the check came to."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.control))
            control.sendall(b"show stat\n")
            text = control.makefile().read()
        names, *rows = [row.split(",") for row in text.removeprefix("# ").splitlines() if row]
        return {row[0]: (row[names.index("status")], row[names.index("check_status")]) for row in rows if row[1] == "r"}

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def connect(port, source=CLIENT):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(source, 0))


def heard(sock):
    """Everything up to the end of the connection."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(4096):
            said += data
    return said


def send(smtp):
    smtp.sendmail("a@client.example", ["b@next.example"], "Subject: x\r\n\r\nbody\r\n")


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin:/usr/bin"), reason="haproxy is not installed")
def test_haproxy_in_front(home):
    with BenchSink() as sink, ProxiedServer(home, sink.route) as server, HaProxy(home, server) as proxy:
        context = ssl.create_default_context(cafile=server.authority.trust)
        for port in (proxy.v1, proxy.v2):
            for source in (CLIENT, "127.0.0.67"):
                smtp = smtplib.SMTP(local_hostname="client.example", source_address=(source, 0))
                smtp.connect("127.0.0.1", port)
                smtp._host = HOST
                smtp.starttls(context=context)
                if source == CLIENT:
                    send(smtp)
                else:
                    with pytest.raises(smtplib.SMTPRecipientsRefused):
                        send(smtp)
                smtp.quit()
        smtp = smtplib.SMTP()
        smtp.sock, smtp.file = context.wrap_socket(connect(proxy.tls), server_hostname=HOST), None
        assert smtp.getreply()[0] == 220
        smtp.ehlo("client.example")
        send(smtp)
        smtp.quit()
        assert wait_until("the audit log", lambda: len(clients := server.clients()) == 3 and clients) == [CLIENT] * 3
        server.wait_delivered()
        assert all(f"from client.example ([{CLIENT}])".encode() in content for _, _, content in sink.messages())
        wait_until("good health", lambda: all(state == ("UP", "L7OK") for name, state in proxy.health().items() if name != "tls"))


def test_C18_limits_see_the_clients_and_not_their_proxy(home):
    with ProxiedServer(home, **{"limits.connections_per_client": "3", "limits.connections_per_prefix": "6"}) as server, contextlib.ExitStack() as stack:
        def come(client):
            sock = stack.enter_context(connect(server.proxied, "127.0.0.1"))
            sock.sendall(f"PROXY TCP4 {client} 127.0.0.1 4711 25\r\n".encode())
            return sock.recv(512)[:3]
        assert [come("192.0.2.1") for _ in range(5)] == [b"220"] * 3 + [b"421"] * 2
        assert [come(f"192.0.2.{i}") for i in range(10, 15)] == [b"220"] * 3 + [b"421"] * 2
        assert [come(f"198.51.{i}.1") for i in range(10)] == [b"220"] * 10


def test_C19_no_address_is_taken_from_who_may_not_give_one(home):
    with ProxiedServer(home) as server:
        with connect(server.proxied, "127.0.0.99") as sock:
            sock.sendall(HEADER)
            assert heard(sock) == b""
        for bad in (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x42", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + b"\x7f\0\0\x42" * 3, b"PROXY TCP4 127.0.0.66\r\n",
                    b"EHLO client.example\r\n"):
            for port in (server.proxied, server.implicit):
                with connect(port, "127.0.0.1") as sock:
                    sock.sendall(bad)
                    assert heard(sock) == b"", bad
        with connect(server.port, "127.0.0.1") as sock:
            assert sock.recv(512).startswith(b"220")
            sock.sendall(HEADER + b"EHLO client.example\r\n")
            assert heard(sock).startswith(b"554")
        with smtplib.SMTP("127.0.0.1", server.port, "client.example") as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
            send(smtp)
        assert server.clients() == []
        assert "a connection without a good PROXY header was closed" in server.said()


def test_a_silent_proxy_is_closed_after_its_time(home):
    with ProxiedServer(home) as server, connect(server.proxied, "127.0.0.1") as sock:
        sock.sendall(HEADER[:20])
        assert heard(sock) == b""


def swaks(server, *options):
    run = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.port), "--from", "a@client.example", "--to", "b@next.example",
                          "--helo", "client.example", *options], capture_output=True, text=True, timeout=PATIENCE_S)
    return run.returncode, run.stdout + run.stderr


def test_swaks_speaks_xclient(home):
    with ProxiedServer(home, **{"smtp.xclient_peers": "127.0.0.1"}) as server:
        code, said = swaks(server, "--xclient-addr", CLIENT, "--xclient-name", "spike.example", "--xclient-port", "4711", "--xclient-helo", "spike.example",
                           "--xclient-proto", "ESMTP", "--xclient-login", "joe@client.example", "--xclient-destaddr", "127.0.0.1", "--xclient-destport", "25")
        assert code == 0, said
        code, said = swaks(server, "--xclient-addr", "127.0.0.67")
        assert code != 0 and "550 5.7.1 Relaying denied" in said, said
        wait_until("the audit log", lambda: server.clients() == [CLIENT])
        server.ctl("set", "smtp.xclient_peers=127.0.0.99")
        code, said = swaks(server, "--xclient-addr", CLIENT)
        assert code != 0 and "Host did not advertise XCLIENT" in said, said


def test_C19_who_may_not_speak_for_others_stays_who_it_is(home):
    with ProxiedServer(home, **{"smtp.xclient_peers": "127.0.0.99", "smtp.xforward_peers": "127.0.0.99"}) as server:
        with smtplib.SMTP("127.0.0.1", server.port, "client.example") as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("xclient") and not smtp.has_extn("xforward")
            for command in ("XCLIENT", "XFORWARD"):
                assert smtp.docmd(f"{command} ADDR={CLIENT}") == (550, b"5.7.1 You may not speak for others")
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                send(smtp)


def test_xforward_is_named_in_the_log_beside_its_message(home):
    with ProxiedServer(home, **{"smtp.xforward_peers": "127.0.0.66"}) as server:
        with smtplib.SMTP("127.0.0.1", server.port, "client.example", source_address=(CLIENT, 0)) as smtp:
            smtp.ehlo()
            assert smtp.has_extn("xforward")
            assert smtp.docmd("XFORWARD NAME=spike.example ADDR=192.0.2.77 PORT=4711 PROTO=ESMTP HELO=spike.example IDENT=4F2A SOURCE=REMOTE")[0] == 250
            send(smtp)
            send(smtp)
        [first, second] = server.queue()
        lines = [line for line in server.said().splitlines() if "passed on for another client" in line]
        assert len(lines) == 1 and "client=192.0.2.77 port=4711" in lines[0] and f"peer={CLIENT}" in lines[0]
        assert any(f"message={message['id']}" in lines[0] for message in (first, second))
        wait_until("the audit log", lambda: server.clients() == [CLIENT] * 2)
