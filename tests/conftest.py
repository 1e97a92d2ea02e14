"""What all Python tests share: a network for each process that runs some. See pytest.ini for the marker `alone`."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from network import NETWORK  # noqa: E402


def pytest_configure(config):
    """With pytest-xdist the tests run in workers, each of which comes here, too."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        NETWORK.make_own()
