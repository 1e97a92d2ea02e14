"""The kill loop in short, for every run of the tests: each victim, and one storm."""
import os
import pathlib
import tempfile

import pytest

from kill_loop import DELIVERY_WINDOW_S, STORM_EVERY, VICTIMS, KillLoop, in_flight

BUILD = os.environ.get("RINGPOST_BUILD") or pathlib.Path(__file__).parents[2] / "build"


@pytest.fixture
def home():
    """pytest's own folders have names that leave no room for a socket's, and are for their owner only; the server's users must get
    through to theirs."""
    with tempfile.TemporaryDirectory(prefix="ringpost-crash.", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.mark.alone
def test_a_server_that_is_killed_keeps_what_it_acknowledged(home):
    result = KillLoop(BUILD, home, seed=7).run(rounds=STORM_EVERY, seconds=0.8)
    assert result["problems"] == []
    assert result["check"]["sent"] > 0
    assert all(result["kills"].get(victim) for victim in VICTIMS), result["kills"]
    assert result["kills"]["in a storm"] >= 3


@pytest.mark.parametrize("copies, explained, problems", [
    ([10.0], 0, 0),
    ([10.0, 12.0], 1, 0),
    ([10.0, 12.0, 21.0], 1, 1),                          # the kill explains one copy; the next has none between
    ([10.0, 10.5], 0, 1),                                # both from one life of the server
    ([11.1, 12.0], 1, 0),                                # the next hop read it late: the server had not been started anew
    ([11.3, 12.0], 0, 1),                                # behind the last kill
    ([10.9 - DELIVERY_WINDOW_S, 12.0], 0, 1),            # it had been on record for long
])
def test_a_copy_is_explained_by_a_kill_between(copies, explained, problems):
    found = in_flight({"t": copies}, [(11.0, 11.2)])
    assert (len(found[0]), len(found[1])) == (explained, problems)
