"""Postfix and Dovecot as next hops, each from a folder of its own: nothing of the machine's own mail is read or written."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
from server import PATIENCE_S, free_port, wait_until

# Each drops root by itself, and needs it before that.
needs_postfix = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("postfix", path="/usr/sbin:/usr/bin"), reason="needs root and postfix")
needs_dovecot = pytest.mark.skipif(os.geteuid() != 0 or not pathlib.Path("/usr/libexec/dovecot/lmtp").exists() and
                                   not pathlib.Path("/usr/lib/dovecot/lmtp").exists(), reason="needs root and dovecot-lmtpd")
NOBODY = 65534


class OtherServer:
    """A program in the foreground, which `with` starts and ends; `port` says when it is there."""
    command = None
    port = 0

    def __enter__(self):
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
        try:
            wait_until(f"a word on port {self.port}", self.answers, meanwhile=self.must_run)
        except BaseException:
            self.end()
            raise
        return self

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            return connection.recv(3) == b"220"

    def must_run(self):
        assert self.process.poll() is None, self.said()

    def said(self):
        return "".join(path.read_text(errors="replace") for path in (self.folder / "said", self.folder / "log") if path.exists())

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # it leads a session of its own
            self.process.wait()

    def __exit__(self, *_):
        self.end()

    def messages(self):
        """All mail that lies in anybody's Maildir."""
        return [path.read_bytes() for path in sorted(self.mail.glob("**/new/*"))]

    def make_folder(self, home, name):
        self.folder = pathlib.Path(home) / name
        self.folder.mkdir(mode=0o755)
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        os.chown(self.mail, NOBODY, NOBODY)

    def write_certificate(self, authority, *hosts, **how):
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        for path, content in zip((chain, key), authority.issue(*hosts, **how)):
            path.write_bytes(content)
        key.chmod(0o600)
        return chain, key


class Postfix(OtherServer):
    """smtpd on `port`, with mail for next.example in Maildirs. `settings` are of main.cf; `auth_socket` is Dovecot's, for logins."""

    def __init__(self, home, authority, *hosts, auth_socket=None, **settings):
        self.make_folder(home, "postfix")
        self.port = free_port()
        for name in ("queue", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        chain, key = self.write_certificate(authority, *hosts)
        wanted = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix", "setgid_group": "postdrop",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "myhostname": "localhost.localdomain", "mydestination": "",
            "alias_maps": "", "alias_database": "", "local_recipient_maps": "", "mynetworks": "127.0.0.0/8",
            "smtpd_peername_lookup": "no", "disable_dns_lookups": "yes", "default_transport": "error:none", "relay_transport": "error:none",
            "virtual_mailbox_domains": "next.example", "virtual_mailbox_base": self.mail, "virtual_mailbox_maps": "static:all/",
            "virtual_uid_maps": f"static:{NOBODY}", "virtual_gid_maps": f"static:{NOBODY}",
            "smtpd_tls_chain_files": f"{key}, {chain}", "smtpd_tls_security_level": "encrypt", "smtpd_tls_received_header": "yes",
            "maillog_file": self.folder / "log", "maillog_file_prefixes": self.folder,
            **({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": auth_socket, "smtpd_tls_auth_only": "yes",
                "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
                "smtpd_client_restrictions": "permit_sasl_authenticated, reject"} if auth_socket else {}),
            **settings}
        (self.folder / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in wanted.items()))
        # Name, type, private, unprivileged, chroot, wake-up, processes, program.
        (self.folder / "master.cf").write_text(f"""
127.0.0.1:{self.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
""")
        self.command = ["/usr/sbin/postfix", "-c", self.folder, "start-fg"]

    def end(self):
        subprocess.run(["/usr/sbin/postfix", "-c", self.folder, "stop"], capture_output=True, timeout=PATIENCE_S)
        super().end()


class Dovecot(OtherServer):
    """LMTP with STARTTLS on `port`, mail for everybody in Maildirs; `auth_socket` tells Postfix who may log in."""

    def __init__(self, home, authority, *hosts, users=None, mechanisms="plain login scram-sha-256", ssl="yes"):
        self.make_folder(home, "dovecot")
        self.port = free_port()
        chain, key = self.write_certificate(authority, *hosts)
        self.auth_socket = self.folder / "auth-client"
        (self.folder / "users").write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in (users or {}).items()))
        (self.folder / "dovecot.conf").write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/log
protocols = lmtp
listen = 127.0.0.1
ssl = {ssl}
ssl_cert = <{chain}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{self.mail}/%u
passdb {{
  driver = passwd-file
  args = username_format=%u {self.folder}/users
}}
userdb {{
  driver = static
  args = uid={NOBODY} gid={NOBODY} home={self.mail}/%u allow_all_users=yes
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.port}
  }}
}}
service auth {{
  unix_listener {self.auth_socket} {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
""")
        self.command = ["/usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf"]
