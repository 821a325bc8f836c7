"""A disk that fails when it is told to: ``faulty.c``, preloaded into a child process."""

import errno
import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_FIELDS = ("write_errno", "open_errno", "sync_errno", "delay_us", "spared", "failed")
FAULTS = {
    "full": {"write_errno": errno.ENOSPC, "open_errno": errno.ENOSPC},
    "read-only": {"write_errno": errno.EROFS, "open_errno": errno.EROFS},
    "broken": {"write_errno": errno.EIO, "sync_errno": errno.EIO},
    "fsync": {"sync_errno": errno.EIO},
}


class Disk:
    """What is on the disk under one folder, and what fails there."""

    def __init__(self, shim: Path, folder: Path, control: Path) -> None:
        self.folder = folder
        self._shim, self._control = shim, control
        control.write_bytes(bytes(4 * len(_FIELDS)))
        with control.open("r+b") as file:
            self._said = mmap.mmap(file.fileno(), 4 * len(_FIELDS))

    @property
    def env(self) -> dict[str, str]:
        """For the child process."""
        return {
            "LD_PRELOAD": str(self._shim),
            "FAULTY_FOLDER": str(self.folder),
            "FAULTY_CONTROL": str(self._control),
        }

    def fail(self, **how: int) -> None:
        """Fail like this from now on, and in no other way. ``spared``: so many calls still succeed."""
        values = dict.fromkeys(_FIELDS, 0) | how
        self._said[:] = struct.pack(f"{len(_FIELDS)}i", *(values[name] for name in _FIELDS))

    def heal(self) -> None:
        self.fail()

    @property
    def failed(self) -> int:
        """How many calls failed since the last change."""
        return struct.unpack(f"{len(_FIELDS)}i", self._said[:])[-1]


def built(folder: Path) -> Path:
    """The shim, compiled."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here to build the failing disk with")
    source, shim = Path(__file__).with_name("faulty.c"), folder / "faulty.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl", "-lpthread"], check=True
    )
    return shim
