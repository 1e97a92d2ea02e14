"""The service manager's units are what it takes for units."""
import pathlib
import re
import shutil
import subprocess

import pytest

from server import BUILD

UNITS = pathlib.Path(__file__).parents[2] / "systemd"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_units_pass_verification(home):
    for unit in UNITS.iterdir():  # nothing is installed here: the same programs, where they were built
        (home / unit.name).write_text(unit.read_text().replace("/usr/sbin/", f"{BUILD}/"))
    names = sorted(unit.name for unit in UNITS.iterdir())
    assert len([name for name in names if name.endswith(".service")]) == 4
    run = subprocess.run(["systemd-analyze", "verify", *[home / name for name in names]], capture_output=True, text=True)
    assert run.returncode == 0 and not run.stderr, run.stderr


def test_units_name_programs_and_options_that_exist():
    for unit in UNITS.glob("*.service"):
        command = re.search(r"^ExecStart=/usr/sbin/(.+)$", unit.read_text(), re.M)[1].split()
        usage = subprocess.run([BUILD / command[0], "--help"], capture_output=True, text=True)
        assert usage.returncode == 0
        for option in (word for word in command if word.startswith("-")):
            assert re.search(rf"(^|[ ,]){re.escape(option)}\b", usage.stdout, re.M), (unit.name, option)
