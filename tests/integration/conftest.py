"""What the integration tests share: the folder's own helper modules, and a folder for each test where every user may look."""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


def new_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-test.", dir="/var/tmp"))
    os.chmod(folder, 0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home():
    """A folder on a disk (/tmp may be memory, where there is no O_DIRECT). Its own users must be able to pass through it."""
    yield from new_folder()


@pytest.fixture(scope="module")
def home_of_module():
    """One that all tests of a file share."""
    yield from new_folder()
