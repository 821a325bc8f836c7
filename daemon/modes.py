"""Who else can read what is secret: files are looked at by their mode, so that root is told too."""

import os
import shlex
import stat
from collections.abc import Iterable
from glob import escape
from pathlib import Path

_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


def exposed(file: Path) -> str | None:
    """The mode of a file that others than its owner can read or write; None for a private one, or one that is not there.

    One that belongs to root may be readable for the group of whom it is given to: so Kubernetes hands out secrets.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    given = found.st_uid == 0 and os.geteuid() != 0
    open_to = found.st_mode & (_OTHERS & ~stat.S_IRGRP if given else _OTHERS)
    return f"{stat.S_IMODE(found.st_mode):o}" if open_to else None


def chmod(files: Iterable[Path]) -> str:
    """The command that makes them private."""
    return shlex.join(["chmod", "600", *map(str, files)])


def beside(db: Path) -> list[Path]:
    """The files of a store that others can read: the database, what SQLite and we keep beside it, and copies of it."""
    return [file for file in sorted(db.parent.glob(escape(db.name) + "*")) if exposed(file)]
