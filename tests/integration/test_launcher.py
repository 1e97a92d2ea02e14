"""Processes and their users: separation, helpers that die, a server that dies, two servers, planted files."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

import pytest

from server import BUILD, PATIENCE_S, Server, is_running, parents, wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become several users")
HELPERS = {"ringpost-keyd": "ringpost-key", "ringpost-auditd": "ringpost-audit", "ringpost-helper": "ringpost-helper"}
USERS = ["ringpost", *HELPERS.values()]


def ordinary_user():
    """Somebody who is not root; None: whoever runs the tests."""
    return "ringpost" if os.geteuid() == 0 else None


def effective_user(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return pwd.getpwuid(int(line.split()[2])).pw_name
    raise AssertionError(pid)


def status_field(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    raise AssertionError(name)


@needs_root
def test_each_process_runs_as_its_own_user_confined(home):
    with Server(home) as server:
        assert server.status()["separation"] == "users"
        assert effective_user(server.process.pid) == "ringpost"
        for name, user in HELPERS.items():
            assert effective_user(server.helper(name)) == user
        for pid in [server.process.pid, *map(server.helper, HELPERS)]:
            assert int(status_field(pid, "CapEff"), 16) == 0
            assert status_field(pid, "NoNewPrivs") == "1"
            assert status_field(pid, "Seccomp") == "2"
        for folder, user in zip([server.spool, server.keys, server.audit], USERS):
            info = folder.stat()
            assert pwd.getpwuid(info.st_uid).pw_name == user and info.st_mode & 0o777 == 0o700


@needs_root
def test_paths_are_named_as_they_are_configured(home):
    """Also by processes that were handed them open, under a name that says nothing to an operator."""
    home.chmod(0o700)
    with Server(home) as server:
        os.kill(server.helper("ringpost-keyd"), signal.SIGKILL)  # whatever it says at its second start, too
        wait_until("keyd's second start", lambda: server.said().count("the key store is open") >= 1, meanwhile=server.must_run)
    said = server.said()
    assert f"directory={server.keys}" in said and f"file={server.keys / 'kek'}" in said, said
    (server.keys / "kek").chmod(0o440)
    _, refused = server.refuses_to_start()
    assert f"file={server.keys / 'kek'}" in refused, refused
    (server.keys / "kek").chmod(0o400)
    (server.spool / "store").write_bytes(b"not a store")
    _, damaged = server.refuses_to_start()
    assert f"{server.spool}/store: " in damaged, damaged
    assert "/proc/self" not in said + refused + damaged


@needs_root
def test_parents_closed_to_the_users_are_no_hindrance(home):
    home.chmod(0o700)
    with Server(home) as server:
        assert server.status()["separation"] == "users"
        server.settings["retry.first"] = "2 s"
        server.write_config()
        assert "retry.first" in server.ctl("reload")
        server.write_config("no.such.key = 1")
        refused = server.run_ctl("reload", by_socket=True)
        assert refused.returncode != 0 and f"{server.config}:" in refused.stdout + refused.stderr


def test_an_ordinary_user_is_told_that_nothing_is_separated(home):
    with Server(home, user=ordinary_user()) as server:
        assert server.status()["separation"] == "none"
        assert "separation: none" in server.said()


def test_required_separation_refuses_an_ordinary_user(home):
    server = Server(home, settings={"security.require_separation": "yes"}, user=ordinary_user())
    _, said = server.refuses_to_start()
    assert "security.require_separation" in said
    assert not server.spool.exists()


@pytest.mark.parametrize("name", HELPERS)
def test_H1_a_helper_that_dies_is_started_anew(home, name):
    with Server(home) as server:
        for _ in range(3):
            before = server.helper(name)
            os.kill(before, signal.SIGKILL)
            wait_until(f"another {name}", lambda: server.helper(name) != before, meanwhile=server.must_run)


def test_H1_a_helper_outlives_its_nanny_and_ends_with_the_server(home):
    with Server(home) as server:
        helpers = [server.helper(name) for name in HELPERS]
        nannies = [pid for pid, name in server.family().items() if name == "ringpost-nanny"]
        assert len(nannies) == len(helpers)
        assert server.status()["helpers"] == "kept"
        for nanny in nannies:
            os.kill(nanny, signal.SIGKILL)
        wait_until("a word about it", lambda: server.status()["helpers"] == "unsupervised", meanwhile=server.must_run)
        assert "a nanny was killed" in server.said()
        assert all(map(is_running, helpers))
        os.kill(server.process.pid, signal.SIGKILL)
        wait_until("the helpers' end", lambda: not any(map(is_running, helpers)))


@pytest.mark.parametrize("name", HELPERS)
def test_H1_a_helper_that_nobody_can_start_anew_ends_the_server_in_order(home, name):
    """Root is given up: only a new start brings it back, and the service manager gives one to whoever fails."""
    with Server(home) as server:
        helper = server.helper(name)
        nanny = parents()[helper]
        assert server.family()[nanny] == "ringpost-nanny"
        os.kill(nanny, signal.SIGKILL)
        wait_until("the look at it", lambda: server.status()["helpers"] == "unsupervised", meanwhile=server.must_run)
        os.kill(helper, signal.SIGKILL)
        assert server.process.wait(PATIENCE_S) == 1
        assert "a helper and its nanny were killed" in server.said() and "info stopped" in server.said()
        with Server(home) as again:
            assert again.status()["helpers"] == "kept"


@pytest.mark.alone
def test_H1_helpers_end_within_a_second_when_the_server_is_killed(home):
    took = []
    while not took or min(took) >= 1:
        assert len(took) < 5, took  # a busy machine may be late once, not always
        with Server(home) as server:
            family = set(server.family())
            assert len(family) == 2 * len(HELPERS), server.family()
            os.kill(server.process.pid, signal.SIGKILL)
            ended = time.monotonic()
            wait_until("the helpers' end", lambda: not any(map(is_running, family)))
            took.append(time.monotonic() - ended)


def test_H15_a_new_start_is_not_hindered_by_an_old_one(home):
    store = None
    for _ in range(5):
        with Server(home) as server:
            now = (server.spool / "store").read_bytes()
            assert store in (None, now)
            store = now
            os.kill(server.process.pid, signal.SIGKILL)


def test_H15_a_second_server_is_refused_and_the_first_goes_on(home):
    with Server(home) as first:
        keyd = first.helper("ringpost-keyd")
        second = Server(home)
        second.log = home / "second.log"
        _, said = second.refuses_to_start()
        assert "another ringpostd" in said
        assert is_running(keyd)
        first.config.write_text("\n".join(f"{key} = {value}" for key, value in first.settings.items()) + "\n")
        assert first.status()["shards"] == 2


@pytest.mark.parametrize("which", ["spool", "keys", "audit"])
def test_H15_a_directory_in_use_is_refused_at_once_by_its_name(home, which):
    with Server(home) as first:
        (home / "second").mkdir(mode=0o755)
        folder = getattr(first, which)
        second = Server(home / "second", settings={f"{which}.directory": folder})
        began = time.monotonic()
        _, said = second.refuses_to_start()
        assert time.monotonic() - began < 30, "it waited for what does not end"
        assert f"{which}.directory: {folder} is in use" in said and f"process {first.process.pid}" in said, said
        assert "stop that one first" in said
        assert not (second.keys / "kek").exists()
        assert first.status()["shards"] == 2


def test_H15_a_predecessor_that_stops_is_waited_for(home):
    """Whoever says "stop" and then "start" must not need to know how long the first takes."""
    with Server(home) as first:
        first.process.send_signal(signal.SIGTERM)
        second = Server(home)
        second.settings["listener.test.address"], second.port = first.settings["listener.test.address"], first.port
        second.write_config()
        wait_until("the name of one that ends", lambda: first.process.poll() is not None or
                   pathlib.Path(f"/proc/{first.process.pid}/comm").read_text().strip() == "ringpostd-stops")
        second.launch()
        try:
            assert first.process.wait(PATIENCE_S) == 0
            wait_until("the second server's 220", second.banner, meanwhile=second.must_run)
        finally:
            second.end()


@pytest.mark.parametrize("which", ["spool", "keys", "audit"])
def test_H6_a_link_in_a_directorys_place_is_refused(home, which):
    server = Server(home)
    (home / "elsewhere").mkdir()
    (home / which).symlink_to(home / "elsewhere")
    _, said = server.refuses_to_start()
    assert f"{home / which}: is not a directory" in said
    assert not list((home / "elsewhere").iterdir())


@needs_root
def test_H6_a_strangers_directory_is_refused(home):
    server = Server(home)
    server.spool.mkdir()
    os.chown(server.spool, pwd.getpwnam("nobody").pw_uid, -1)
    _, said = server.refuses_to_start()
    assert "belongs to user" in said


@needs_root
def test_H6_what_others_left_in_the_spool_is_not_given_away(home):
    secret = home / "secret"
    secret.write_text("root's own")
    with Server(home):
        pass
    os.link(secret, home / "spool" / "planted")
    with Server(home):
        assert secret.stat().st_uid == 0


def test_H9_a_lost_kek_with_mail_in_the_spool_is_refused(home):
    with Server(home) as server:
        kek = (server.keys / "kek").read_bytes()
    (server.keys / "kek").unlink()
    (server.keys / "keystore").unlink()
    _, said = server.refuses_to_start()
    assert "key-encryption key is missing" in said
    assert f"It belongs at {server.keys / 'kek'}: put it back from your backup" in said, said
    assert not (server.keys / "kek").exists()
    assert len(kek) == 32


def test_a_new_kek_is_logged_and_audited(home):
    with Server(home) as server:
        def created():
            return [line for line in server.audit_lines() if line["event"] == "kek_created"]
        wait_until("its audit event", created, meanwhile=server.must_run)
        assert len(created()) == 1 and created()[0]["process"] == "ringpost-keyd"
    assert "created a key-encryption key" in server.said()


@needs_root
def test_H19_other_users_do_not_reach_the_helpers(home):
    with Server(home) as server:
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            reached = 0
            for name in ("keyd", "auditd", "helperd"):
                with contextlib.suppress(PermissionError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
                    probe.connect(f"{server.settings['control.socket']}.{name}")
                    reached += 1
            os._exit(reached)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_root
def test_helpers_that_are_services_of_their_own_are_separation_too(home):
    """As the service manager does it: sockets first, then each process as its user, ringpostd with one capability."""
    server = Server(home)
    for folder, user in zip([server.spool, server.keys, server.audit, home / "run"], ["ringpost", "ringpost-key", "ringpost-audit", "ringpost"]):
        folder.mkdir(mode=0o700 if folder.name != "run" else 0o755)
        shutil.chown(folder, user, user)
    started = []
    with contextlib.ExitStack() as stack:
        for name, group, mode, clients in [("keyd", "ringpost", 0o600, ["ringpost"]), ("helperd", "ringpost", 0o600, ["ringpost"]),
                                           ("auditd", "ringpost-key", 0o660, ["ringpost", "ringpost-key"])]:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            path = f"{server.settings['control.socket']}.{name}"
            listener.bind(path)
            os.chmod(path, mode)
            shutil.chown(path, "ringpost", group)
            listener.listen()
            user = HELPERS[f"ringpost-{name}"[:15]]  # as the kernel cuts names
            command = [BUILD / f"ringpost-{name}", "--listen-fd", str(listener.fileno()), "-c", server.config]
            for client in clients:
                command += ["--client-user", client]
            log = stack.enter_context(server.log.open("ab"))
            started.append(subprocess.Popen(as_user(user, command), pass_fds=[listener.fileno()], stdout=log, stderr=log))
            stack.callback(started[-1].wait)
            stack.callback(started[-1].terminate)
        service = ["setpriv", "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"]
        command = as_user("ringpost", [BUILD / "ringpostd", "-c", server.config, "--no-helpers"], service)
        log = stack.enter_context(server.log.open("ab"))
        server.process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(server.end)
        wait_until("the server's 220", server.banner, meanwhile=server.must_run)
        assert server.status()["separation"] == "users"
        assert int(status_field(server.process.pid, "CapEff"), 16) == 0
        assert not server.family()
        wait_until("keyd's audit events", lambda: any(line["process"] == "ringpost-keyd" for line in server.audit_lines()))


def as_user(name, command, setpriv=("setpriv",)):
    user = pwd.getpwnam(name)
    return [*setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *map(str, command)]
