import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for near in (HERE, HERE.parent / "sync", HERE.parent / "cli"):
    sys.path.insert(0, str(near))

from faulty import Disk, built  # noqa: E402 - found there


@pytest.fixture
def disk(tmp_path):
    """A disk that can fail, under a folder of its own."""
    folder = tmp_path / "home"
    folder.mkdir()
    return Disk(built(tmp_path), folder, tmp_path / "control")
