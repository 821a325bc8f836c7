"""What holds in every test: no sandbox speaks to a guest or enrols anybody, unless the test says that it speaks."""

import os
import shutil
from pathlib import Path

import pytest

from connectors.sandbox import Sandbox

_MEMORY = Path("/dev/shm")
_ENOUGH = 2**30


def _fits(folder):
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free > _ENOUGH


if _fits(_MEMORY):
    # Hundreds of databases are made, and each commit waits for the disk: one in memory keeps nobody waiting.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
os.umask(0o077)  # what tests write is as private as what users are asked to have

_HEARD = ("messages_to_guests", "guest_messages", "enrolments")


@pytest.fixture(autouse=True)
def nobody_is_notified_by_accident(request, monkeypatch):
    """All sandboxes that a test makes are looked at when it is over. ``@pytest.mark.speaks`` allows them to speak."""
    made, make = [], Sandbox.__init__

    def remembered(self, *args, **options):
        make(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(Sandbox, "__init__", remembered)
    yield
    if request.node.get_closest_marker("speaks"):
        return
    said = [message for box in made for name in _HEARD for message in getattr(box, name, ())]
    assert not said, f"told to guests, though the test is not marked as one that speaks: {said}"
