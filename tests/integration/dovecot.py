"""A Dovecot that does nothing but answer about passwords, at a socket of its own."""
import os
import re
import shutil
import signal
import subprocess

import pytest
from server import PATIENCE_S, wait_until

CONFIGURATION = """\
{version}
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols =
ssl = no
auth_mechanisms = plain
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
{passdb}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
"""
# Since 2.4 the configuration says which version it is of.
OLD = "passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%u {users}\n}}\n"
NEW = "passdb passwd-file {{\n  passwd_file_path = {users}\n  default_password_scheme = PLAIN\n}}\n"

needs_dovecot = pytest.mark.skipif(not shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin:/bin"), reason="dovecot is not installed")


class Dovecot:
    """`users`: passwords by login."""

    def __init__(self, home, users):
        self.home, self.socket, self.users = home / "dovecot", home / "dovecot" / "auth", home / "dovecot" / "users"
        self.home.mkdir()
        self.home.chmod(0o755)
        self.program = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin:/bin")
        self.set(users)
        version = re.match(r"(\d+)\.(\d+)\.?(\d*)", subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout)
        is_new = (int(version[1]), int(version[2])) >= (2, 4)
        self.config = self.home / "dovecot.conf"
        self.config.write_text(CONFIGURATION.format(
            home=self.home, socket=self.socket, passdb=(NEW if is_new else OLD).format(users=self.users),
            version=f"dovecot_config_version = {version[0]}\ndovecot_storage_version = {version[0]}" if is_new else ""))

    def set(self, users):
        new = self.users.with_suffix(".new")
        new.write_text("".join(f"{login}:{{PLAIN}}{password}\n" for login, password in users.items()))
        new.chmod(0o644)
        new.rename(self.users)

    def __enter__(self):
        self.process = subprocess.Popen([self.program, "-F", "-c", self.config], start_new_session=True)

        def must_run():
            assert self.process.poll() is None, (self.home / "log").read_text()
        wait_until("Dovecot's socket", self.socket.exists, meanwhile=must_run)
        return self

    def __exit__(self, *_):
        # At once: asked to end, its processes would wait for their clients.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
